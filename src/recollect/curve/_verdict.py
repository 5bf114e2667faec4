"""The verdict on a data curve: saturated, rising, peaked or undecided, with the saturation size and its interval.

Definitions, for a curve f measured up to the largest size N and a margin m (a setting):
- **n_sat** is the smallest n such that no larger size up to N scores more than m above f(n).
- **peaked**: the best score up to N is more than m above f(N). `n_hurts` is the size from which on every score lies
  more than m below the best.
- **rising**: not peaked, and n_sat > N / 2 (and above the smallest size): the last doubling still brought more than m.
- **saturated**: neither; n_sat <= N / 2, or the curve is level over all sizes.

Every curve that could have made the observed means falls into one of the three. The verdict is the one that holds at
least `confidence` of their weight; else it is **undecided**. Intervals are central quantiles at the same confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from recollect.curve._between import bend_of, early_or_late
from recollect.curve._fit import SHAPE_ERROR, CurveFit, FamilyFit
from recollect.curve._items import Floats
from recollect.curve._next import Next, next_sizes
from recollect.curve._noise import Noise, measure_noise
from recollect.curve._observations import Observations
from recollect.errors import InputError

VerdictName = Literal["saturated", "rising", "peaked", "undecided"]
KINDS: tuple[VerdictName, ...] = ("saturated", "rising", "peaked")
MARGIN = 2.0
CONFIDENCE = 0.9
_POINTS = 240
_SEED = 20_250_516


@dataclass(frozen=True)
class Value:
    """A number with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """The curve over the range: sizes, and the middle and ends of the score there."""

    sizes: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Gain:
    """What going from one size to another buys."""

    start: int
    end: int
    points: Value
    measured: bool
    """False beyond the largest size, where it is an extrapolation."""

    @property
    def per_label(self) -> float:
        """Expected score units per additional label."""
        return self.points.value / (self.end - self.start)


@dataclass(frozen=True)
class Verdict:
    """What one curve says."""

    name: VerdictName
    probability: Mapping[VerdictName, float]
    """Weight of each of the three answers."""
    n_sat: Value
    n_best: Value
    n_hurts: Value | None
    """Of the curves that peak; None when none does."""
    sizes: tuple[int, ...]
    scores: tuple[Value, ...]
    repeats: tuple[int, ...]
    gains: tuple[Gain, ...]
    families: tuple[FamilyFit, ...]
    family: str
    """The family that foretells left-out sizes best (largest weight)."""
    band: Band
    family_curves: Mapping[str, tuple[float, ...]]
    """The mean curve of each family at the band's sizes."""
    last_doubling: Value
    """What the last doubling of the data brought."""
    loss: Value
    """How far the score at the largest size lies below the best."""
    next: tuple[Next, ...]
    margin: float
    confidence: float
    run_spread: float
    """Standard deviation of a single run between seeds, pooled over sizes."""
    notes: tuple[str, ...] = ()


def judge_curve(
    runs: Observations, margin: float = MARGIN, confidence: float = CONFIDENCE, most: int | None = None
) -> Verdict:
    """Judge the curve of `runs`; `margin` in the unit of the scores, `most` the number of examples there are.

    Needs at least three different sizes. Raises InputError otherwise, and for a margin or confidence out of range.
    """
    if not margin > 0 or not 0.5 < confidence < 1:
        raise InputError(f"margin must be above 0 and confidence in 0.5 to 1, but got {margin=} and {confidence=}.")
    sizes = runs.sizes
    if len(sizes) < 3:
        raise InputError(f"a curve needs at least three different sizes, but got {[int(n) for n in sizes]}. Add sizes.")
    noise, largest = measure_noise(runs), int(sizes[-1])
    fit = CurveFit(sizes, runs.means(), noise, margin)
    places = _places(fit, largest)
    ahead = [2.0 * largest, 4.0 * largest]
    every = np.clip(fit.draws([*places, *ahead]), *runs.limits)
    families = tuple(fit.families())
    missed = sum(one.weight * one.error for one in families)
    bend = bend_of(missed, max(float(np.ptp(runs.means())), margin))
    at = np.log1p(places / fit.grid.unit)
    every[:, : len(places)] = early_or_late(places, at, sizes, every[:, : len(places)], bend)
    curves, beyond = every[:, : len(places)], every[:, len(places) :]
    kind, n_sat, n_best, n_hurts = classify(places, curves, margin)
    shares = {name: float((kind == at).mean()) for at, name in enumerate(KINDS)}
    likely = max(shares, key=lambda name: shares[name])
    name: VerdictName = likely if shares[likely] >= confidence else "undecided"
    peaks = kind == KINDS.index("peaked")
    gains = _gains(fit, places, curves, None if name == "peaked" else beyond, confidence, runs.limits)
    return Verdict(
        name=name,
        probability=shares,
        n_sat=_interval(n_sat, confidence),
        n_best=_interval(n_best, confidence),
        n_hurts=_interval(n_hurts[peaks], confidence) if peaks.any() else None,
        sizes=tuple(int(n) for n in sizes),
        scores=tuple(_score(runs, noise, at, confidence) for at in range(len(sizes))),
        repeats=tuple(int(n) for n in runs.repeats()),
        gains=gains,
        families=families,
        family=max(families, key=lambda one: one.weight).name,
        band=_band(places, curves, confidence),
        family_curves={one: tuple(float(x) for x in row) for one, row in fit.mean_curves(places).items()},
        last_doubling=_interval(curves[:, -1] - curves[:, int(np.searchsorted(places, largest / 2))], confidence),
        loss=_interval(curves.max(axis=1) - curves[:, -1], confidence),
        next=next_sizes(name, fit, noise, places, every, kind, most),
        margin=margin,
        confidence=confidence,
        run_spread=float(np.sqrt(noise.run_variance.max())) if not noise.repeated else _pooled(noise),
        notes=_notes(runs, noise),
    )


def classify(places: Floats, curves: Floats, margin: float) -> tuple[np.ndarray, Floats, Floats, Floats]:
    """Of each curve (draws × places, ascending to the largest size): kind (an index of KINDS), n_sat, n_best, n_hurts.

    The definitions are at the top of this file; n_hurts is infinite where the curve does not peak.
    """
    later = np.flip(np.maximum.accumulate(np.flip(curves, 1), axis=1), 1)
    n_sat = places[(later - curves <= margin).argmax(axis=1)]
    best = curves.max(axis=1)
    n_best = places[curves.argmax(axis=1)]
    peaked = best - curves[:, -1] > margin
    near = best[:, None] - curves <= margin
    last_near = len(places) - 1 - np.flip(near, 1).argmax(axis=1)
    n_hurts = np.where(peaked, places[np.minimum(last_near + 1, len(places) - 1)], np.inf)
    rising = ~peaked & (n_sat > max(places[-1] / 2, places[0]))
    return np.where(peaked, 2, np.where(rising, 1, 0)), n_sat, n_best, n_hurts


def _places(fit: CurveFit, largest: int) -> Floats:
    """Sizes at which curves are looked at: evenly on the log axis, all measured ones, and half the largest."""
    unit = fit.grid.unit
    low, high = (np.log1p(n / unit) for n in (fit.grid.smallest, fit.grid.largest))
    even = unit * np.expm1(np.linspace(low, high, _POINTS))
    return np.unique(np.concatenate([even[1:-1], fit.sizes.astype(np.float64), [max(largest / 2, fit.grid.smallest)]]))


def _interval(values: Floats, confidence: float) -> Value:
    tail = (1 - confidence) / 2
    low, middle, high = np.quantile(values, [tail, 0.5, 1 - tail], method="nearest")
    return Value(float(middle), float(low), float(high))


def _score(runs: Observations, noise: Noise, at: int, confidence: float) -> Value:
    from scipy import stats

    mean = float(runs.means()[at])
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * float(np.sqrt(noise.items[at, at]))
    if noise.run_variance[at] > 0:
        t = float(stats.t.ppf((1 + confidence) / 2, noise.freedom))
        reach = float(np.hypot(reach, t * np.sqrt(noise.run_variance[at] / noise.repeats[at])))
    low, high = runs.limits
    return Value(mean, max(low, mean - reach), min(high, mean + reach))


def _band(places: Floats, curves: Floats, confidence: float) -> Band:
    tail = (1 - confidence) / 2
    low, middle, high = np.quantile(curves, [tail, 0.5, 1 - tail], axis=0)
    return Band(*(tuple(float(x) for x in row) for row in (places, middle, low, high)))


def _gains(
    fit: CurveFit,
    places: Floats,
    curves: Floats,
    beyond: Floats | None,
    confidence: float,
    limits: tuple[float, float],
) -> tuple[Gain, ...]:
    """Changes between neighbouring sizes, and to twice the largest: labels that may have yet to be made.

    Both ends may lie off the fitted curve, by the error that the fit allows for, but not beyond the limits.
    """
    rng, off = np.random.default_rng(_SEED), 2**0.5 * SHAPE_ERROR * fit.margin
    sizes = [int(n) for n in fit.sizes]
    at = {n: curves[:, int(np.searchsorted(places, n))] for n in sizes}
    steps = [(first, second, at[first], at[second], True) for first, second in pairwise(sizes)]
    if beyond is not None:
        steps.append((sizes[-1], 2 * sizes[-1], curves[:, -1], beyond[:, 0], False))
    found = []
    for first, second, before, after, measured in steps:
        reached = np.clip(after + off * rng.standard_normal(len(after)), *limits)
        found.append(Gain(first, second, _interval(reached - before, confidence), measured))
    return tuple(found)


def _pooled(noise: Noise) -> float:
    several = noise.run_variance > 0
    return float(np.sqrt(noise.run_variance[several].mean())) if several.any() else 0.0


def _notes(runs: Observations, noise: Noise) -> tuple[str, ...]:
    notes = []
    if not noise.repeated:
        notes.append(
            "No size was run with several seeds, so the spread between runs is guessed from how rough the curve is. "
            "Give two or more repeats."
        )
    if runs.items is None:
        notes.append("Only scores are known, not single test items, so the intervals hold for these test items only.")
    return tuple(notes)
