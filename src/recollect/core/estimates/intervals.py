"""A number with its interval, and how intervals are made here: the confidence distributions of groups, added up.

Every value is a fraction (0..1, a difference -1..1), never a percentage.

How it works
- Whatever is estimated is a mean of bounded scores (right or wrong is 0 or 1, a paired change is -1, 0 or 1), or a
  weighted sum of such means. The upper confidence distribution of one group's mean gives every observed score, and one
  made-up score at the greatest possible value, the weights of a Dirichlet(1, ..., 1); the lower one has the made-up
  score at the least possible value (Gaffke 2005). For scores 0 and 1 these are the two beta distributions behind the
  Clopper-Pearson interval (1934).
- Groups (memory levels, two models) are combined by adding up their distributions: melding (Fay, Proschan and Brittain
  2015). With one whole made-up score in each of many groups that is wider than it need be. So of several groups each
  gets two thirds of a made-up score, and one more third is shared among them by the square of what one fact of each
  moves (Fay and Feuer 1997 give all to the greatest). A group alone has one whole.
- The quantile of such a sum is taken from the beta distribution of the same mean, variance and support; for one group
  of scores 0 and 1 that is exact.

docs/statistics.md has the simulated coverage, of this and of what was tried and does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from recollect.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A fraction, or a difference of fractions, with its interval, which always contains the value."""

    value: float
    low: float
    high: float
    n: int
    """How many were counted: facts, true values, or facts compared."""
    method: str
    """How the interval was made, in a few words for a reader."""
    confidence: float = CONFIDENCE

    @property
    def percent(self) -> tuple[float, float, float]:
        """Value, low and high times 100."""
        return 100 * self.value, 100 * self.low, 100 * self.high

    @property
    def sign(self) -> int:
        """1 when the whole interval lies above zero, -1 when below, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def widened(estimate: Estimate, half: float, method: str) -> Estimate:
    """The estimate with one more, independent error of half-width `half` on either side: squares add up
    (Zou and Donner 2008)."""
    low = estimate.value - math.hypot(estimate.value - estimate.low, half)
    high = estimate.value + math.hypot(estimate.high - estimate.value, half)
    return replace(estimate, low=low, high=high, method=method)


def within(estimate: Estimate, least: float, most: float) -> Estimate:
    """The estimate with its bounds cut to what is possible."""
    return replace(estimate, low=max(estimate.low, least), high=min(estimate.high, most))


_OWN = 2 / 3
"""The part of a made-up score that each of several groups gets. A group beside others that say nothing on one side then
misses on its own side in at most 5.5 %; with a half it is 8 % and coverage falls to 91.5 % (docs/statistics.md)."""

_TRIM = 1e-4


@dataclass(frozen=True)
class Scores:
    """Bounded scores of one independent group: how often each possible value was seen.

    `values` are all possible scores in rising order; the last axis of `counts` goes with them. Other axes, where there
    are any, are many samples side by side (for simulation). Raises InputError without an observation.
    """

    counts: Any
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        counts = np.asarray(self.counts)
        if (counts < 0).any() or (counts.sum(axis=-1) <= 0).any():
            raise InputError(f"counts must not be negative, and at least one above 0, but got {counts.tolist()}.")

    @property
    def n(self) -> Any:
        """Observations."""
        return np.asarray(self.counts).sum(axis=-1)

    @property
    def mean(self) -> Any:
        """The observed mean score."""
        return np.asarray(self.counts) @ np.asarray(self.values) / self.n


@dataclass(frozen=True)
class Tail:
    """One confidence distribution: mean, variance and support (numbers, or arrays of one shape)."""

    mean: Any
    variance: Any
    least: Any
    most: Any

    def times(self, weight: float) -> Tail:
        """The distribution of `weight` times the quantity."""
        ends = (self.least, self.most) if weight >= 0 else (self.most, self.least)
        return Tail(self.mean * weight, self.variance * weight**2, ends[0] * weight, ends[1] * weight)

    def plus(self, other: Tail) -> Tail:
        """The distribution of the sum of two independent quantities."""
        return Tail(
            self.mean + other.mean,
            self.variance + other.variance,
            self.least + other.least,
            self.most + other.most,
        )

    def trimmed(self) -> Tail:
        """The same with a support that leaves out one ten-thousandth at either end.

        A sum's support would else be as wide as the possible, where nothing lies, and its beta distribution too smooth.
        """
        return Tail(self.mean, self.variance, self.quantile(_TRIM), self.quantile(1 - _TRIM))

    def quantile(self, share: float) -> Any:
        """The quantile of the beta distribution with this mean, variance and support."""
        from scipy.special import betaincinv

        width = np.asarray(self.most - self.least, dtype=float)
        fixed = (width <= 1e-12) | (np.asarray(self.variance) <= 1e-15)
        safe = np.where(fixed, 1.0, width)
        mean = np.where(fixed, 0.5, np.clip((self.mean - self.least) / safe, 1e-9, 1 - 1e-9))
        variance = np.where(fixed, 0.05, self.variance / safe**2)
        size = np.maximum(mean * (1 - mean) / variance - 1, 1e-9)
        found = self.least + width * betaincinv(mean * size, (1 - mean) * size, share)
        return np.where(fixed, self.mean, found)


def bounds(groups: Sequence[Scores], weights: Sequence[float], confidence: float = CONFIDENCE) -> tuple[Any, Any, Any]:
    """Value, low and high of the weighted sum of the groups' mean scores; arrays where the counts are."""
    if not groups or len(groups) != len(weights):
        raise InputError(f"groups and weights must be equally long and not empty, but got {len(groups)} and {weights}.")
    value = sum(weight * group.mean for group, weight in zip(groups, weights, strict=True))
    lower = upper = Tail(0.0, 0.0, 0.0, 0.0)
    for group, weight, extra in zip(groups, weights, _made_up(groups, weights), strict=True):
        down, up = (_tail(group, extra, at_top=top) for top in (weight < 0, weight >= 0))
        if len(groups) > 1:
            down, up = down.trimmed(), up.trimmed()
        lower, upper = lower.plus(down.times(weight)), upper.plus(up.times(weight))
    outside = (1 - confidence) / 2
    low, high = lower.quantile(outside), upper.quantile(1 - outside)
    return value, np.minimum(low, value), np.maximum(high, value)


def weighted(
    groups: Sequence[Scores], weights: Sequence[float], method: str, confidence: float = CONFIDENCE
) -> Estimate:
    """The weighted sum of the groups' mean scores as one estimate."""
    value, low, high = (float(found) for found in bounds(groups, weights, confidence))
    return Estimate(value, low, high, int(sum(group.n for group in groups)), method, confidence)


def _made_up(groups: Sequence[Scores], weights: Sequence[float]) -> list[Any]:
    """How much of a made-up score each group gets."""
    moves = [
        (weight * (group.values[-1] - group.values[0]) / group.n) ** 2
        for group, weight in zip(groups, weights, strict=True)
    ]
    total = np.maximum(sum(moves), 1e-300)
    return [_OWN + (1 - _OWN) * move / total for move in moves]


def _tail(group: Scores, extra: Any, *, at_top: bool) -> Tail:
    """Dirichlet weights on the observed scores and the made-up one: mean, variance, support of the weighted mean."""
    seen, values, n = np.asarray(group.counts, dtype=float), np.asarray(group.values, dtype=float), group.n
    end = values[-1 if at_top else 0]
    mean = (seen @ values + extra * end) / (n + extra)
    square = (seen @ values**2 + extra * end**2) / (n + extra)
    variance = np.maximum(square - mean**2, 0.0) / (n + extra + 1)
    if at_top:
        return Tail(mean, variance, np.where(seen > 0, values, np.inf).min(axis=-1), end + 0 * mean)
    return Tail(mean, variance, end + 0 * mean, np.where(seen > 0, values, -np.inf).max(axis=-1))


LEAST_PER_LEVEL = 10
"""A level with fewer facts is shown and does not enter a macro: at 10, one fact moves a macro over five levels by 2
points and an interval's width by no more than the levels with many facts do (docs/statistics.md)."""

Level = TypeVar("Level", int, str)


def proportion(right: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """`right` successes in `n` independent trials, with the interval of Clopper and Pearson (1934).

    Raises InputError when n is 0 or right is not within 0 and n.
    """
    return weighted([right_or_wrong(right, n)], [1.0], "Clopper-Pearson", confidence)


def macro_mean(rights: Sequence[int], ns: Sequence[int], confidence: float = CONFIDENCE) -> Estimate:
    """The unweighted mean of several accuracies (docs/studies.md §3), each of `rights` in `ns`; for one it is
    `proportion`. Raises InputError for no accuracy, or one without facts."""
    if not ns or len(rights) != len(ns):
        raise InputError(f"rights and ns must be equally long and not empty, but got {rights=} and {ns=}.")
    groups = [right_or_wrong(right, n) for right, n in zip(rights, ns, strict=True)]
    return weighted(groups, [1 / len(ns)] * len(ns), "levels melded", confidence)


@dataclass(frozen=True)
class Macro(Generic[Level]):
    """A macro mean and what entered it."""

    estimate: Estimate | None
    """None when no level has enough facts."""
    entered: tuple[Level, ...]
    left_out: tuple[Level, ...]
    """Levels with at least one fact, but fewer than the minimum."""


def macro_over(
    counts: Mapping[Level, tuple[int, int]], least: int = LEAST_PER_LEVEL, confidence: float = CONFIDENCE
) -> Macro[Level]:
    """The macro mean over those levels of `counts` (level: right, n) that have at least `least` facts."""
    entered, left_out = enough({level: n for level, (_, n) in counts.items()}, least)
    rights, ns = [counts[level][0] for level in entered], [counts[level][1] for level in entered]
    return Macro(macro_mean(rights, ns, confidence) if entered else None, entered, left_out)


def enough(ns: Mapping[Level, int], least: int = LEAST_PER_LEVEL) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """The levels with at least `least` facts, and those with some but fewer; the order is kept."""
    entered = tuple(level for level, n in ns.items() if n >= max(least, 1))
    return entered, tuple(level for level, n in ns.items() if 0 < n < least)


def right_or_wrong(right: int, n: int) -> Scores:
    """The scores 0 and 1 of `n` answers; InputError for counts that no sample can have."""
    if n < 1:
        raise InputError(f"an accuracy needs n of at least 1, but got {n=}. Leave it out.")
    if not 0 <= right <= n:
        raise InputError(f"right must be between 0 and n, but got {right=} and {n=}.")
    return Scores([n - right, right], (0.0, 1.0))
