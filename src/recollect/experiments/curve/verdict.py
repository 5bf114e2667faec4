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

from dataclasses import replace
from itertools import pairwise

import numpy as np

from recollect.core.estimates import Estimate
from recollect.core.workspace.curve import Gain, Verdict
from recollect.errors import InputError
from recollect.experiments.curve.decide import (
    best,
    decide,
    half_index,
    hurts,
    loss,
    next_sizes,
    saturation,
)
from recollect.experiments.curve.fit import fit_means
from recollect.experiments.curve.means import Means, Noise, measure_noise
from recollect.experiments.curve.observations import Observations

MARGIN = 2.0
CONFIDENCE = 0.9


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
