"""The verdict on a data curve: saturated, rising, peaked or undecided, with the sizes and gains behind it.

Definitions, for a curve f measured up to the largest size N and a margin m (a setting):
- **n_sat** is the smallest n such that no larger size up to N scores more than m above f(n).
- **peaked**: the best score up to N is more than m above f(N). `n_hurts` is the size from which on every score lies
  more than m below the best.
- **rising**: not peaked, and n_sat > N / 2 (and above the smallest size): the last doubling still brought more than m.
- **saturated**: neither; n_sat <= N / 2, or the curve is level over all sizes.

How the measured means decide between them is in `decide.py`; a verdict says nothing about sizes that were not run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from recollect.core.estimates import Estimate
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.experiments.curve.decide import (
    Doubt,
    Next,
    VerdictName,
    best,
    decide,
    half_index,
    hurts,
    loss,
    next_sizes,
    saturation,
)
from recollect.experiments.curve.fit import Band, FamilyFit, fit_means
from recollect.experiments.curve.means import Means, Noise, measure_noise
from recollect.experiments.curve.observations import Observations

MARGIN = 2.0
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Gain:
    """What going from one size to another brings."""

    start: int
    end: int
    points: Estimate
    measured: bool
    """True between two measured sizes, from their means alone. False beyond the largest: fitted, an extrapolation."""

    @property
    def per_label(self) -> float:
        """Expected score units per additional label."""
        return self.points.value / (self.end - self.start)


class Verdict(Result):
    """What one curve says. Scores are in points, or in the unit of a user's own numbers, higher is better."""

    name: VerdictName
    doubts: tuple[Doubt, ...] = ()
    """Why it is undecided; empty otherwise."""
    n_sat: Estimate
    """The saturation size: above `low`, at most `high`, both measured sizes; `value` is interpolated."""
    n_best: Estimate
    """The best measured size, with the smallest and largest that may be as good."""
    n_hurts: Estimate | None
    """Where a peaked curve begins to hurt, between measured sizes likewise; None when it is not peaked."""
    sizes: tuple[int, ...]
    scores: tuple[Estimate, ...]
    repeats: tuple[int, ...]
    gains: tuple[Gain, ...]
    families: tuple[FamilyFit, ...]
    family: str | None
    """The family with the largest weight; None when all miss a measured mean."""
    band: Band | None = None
    """The fitted curve; None likewise."""
    family_curves: dict[str, tuple[float, ...]] = {}
    """The mean curve of each family that is used, at the band's sizes."""
    last_doubling: Gain | None
    """The measured change from the smallest size in the last doubling; None when no size lies there."""
    loss: Estimate
    """How far the score at the largest size lies below the best measured one."""
    next: tuple[Next, ...]
    margin: float
    confidence: float
    run_spread: float
    """Standard deviation of a single run between seeds, pooled over sizes; a guess where no size has repeats."""
    notes: tuple[str, ...] = ()


def judge_curve(
    runs: Observations, margin: float = MARGIN, confidence: float = CONFIDENCE, most: int | None = None
) -> Verdict:
    """Judge the curve of `runs`; `margin` in the unit of the scores, `most` the number of examples there are.

    Needs at least three different sizes. Raises InputError otherwise, and for a margin or confidence out of range.

    Examples:
        >>> from recollect import judge_curve
        >>> from recollect.experiments.curve import Observations
        >>> score = [40, 55, 60, 60, 41, 54, 60, 61]
        >>> runs = Observations.of(size=[50, 100, 200, 400] * 2, seed=[1] * 4 + [2] * 4, score=score)
        >>> judge_curve(runs, margin=2).name
        'saturated'
    """
    if not margin > 0 or not 0.5 < confidence < 1:
        raise InputError(f"margin must be above 0 and confidence in 0.5 to 1, but got {margin=} and {confidence=}.")
    if len(runs.sizes) < 3:
        raise InputError(
            f"a curve needs at least three different sizes, but got {[int(n) for n in runs.sizes]}. Add sizes."
        )
    noise = measure_noise(runs)
    means = Means(runs.sizes, runs.means(), noise)
    finding, fitted = decide(means, margin, confidence), fit_means(means, margin, confidence, runs.limits)
    used = [one for one in fitted.families if one.misses is None]
    gains = [_gain(means, first, second, confidence) for first, second in pairwise(range(len(means.sizes)))]
    if fitted.double is not None and noise.repeated and finding.name != "peaked":
        largest = int(means.sizes[-1])
        gains.append(Gain(largest, 2 * largest, fitted.double, measured=False))
    half = half_index(means)
    return Verdict(
        name=finding.name,
        doubts=finding.doubts,
        n_sat=saturation(means, finding, margin, confidence),
        n_best=best(means, confidence),
        n_hurts=hurts(means, margin, confidence) if finding.name == "peaked" else None,
        sizes=tuple(int(n) for n in means.sizes),
        scores=tuple(_score(means, at, confidence, runs.limits) for at in range(len(means.sizes))),
        repeats=tuple(int(n) for n in runs.repeats()),
        gains=tuple(gains),
        families=fitted.families,
        family=max(used, key=lambda one: one.weight).name if used else None,
        band=fitted.band,
        family_curves=fitted.curves,
        last_doubling=None if half is None else _gain(means, half, means.last, confidence),
        loss=loss(means, confidence),
        next=next_sizes(finding, means, most),
        margin=margin,
        confidence=confidence,
        run_spread=_pooled(noise),
        notes=_notes(runs, noise),
    )


def _score(means: Means, at: int, confidence: float, limits: tuple[float, float]) -> Estimate:
    found = means.interval(means.at(at), confidence)
    return replace(found, low=max(limits[0], found.low), high=min(limits[1], found.high))


def _gain(means: Means, first: int, second: int, confidence: float) -> Gain:
    change = means.interval(means.at(second) - means.at(first), confidence)
    return Gain(int(means.sizes[first]), int(means.sizes[second]), change, measured=True)


def _pooled(noise: Noise) -> float:
    several = noise.run_variance > 0
    return float(np.sqrt(noise.run_variance[several].mean())) if several.any() else 0.0


def _notes(runs: Observations, noise: Noise) -> tuple[str, ...]:
    notes = list(runs.notes)
    if not noise.repeated:
        notes.append(
            "No size was trained with several seeds, so nobody knows how far two trainings lie apart: there is no "
            "verdict, and the intervals rest on a spread guessed from how rough the curve is. Give two or more repeats."
        )
    if runs.items is None:
        notes.append("Only scores are known, not single test items, so the intervals hold for these test items only.")
    return tuple(notes)
