"""Rank correlations over cells with intervals, and the difference of two that share one side.

Spearman's coefficient with Fisher's transformation and the standard error sqrt((1 + r^2 / 2) / (n - 3)) (Bonett and
Wright 2000). The difference of two correlations of the same outcome is by Zou (2007), which joins the two intervals
with the correlation between the coefficients; its quantile is Student's t with n - 2 degrees of freedom.
Without any correlation, pairs of 8 to 30 cells miss in 3.7 to 4.3 % at 95 %, in 0.1 to 0.2 % at 99.75 %; differences of
12 to 30 cells in 1.7 to 4.1 % and 0.0 to 0.1 %. With fewer cells differences of high correlations do not hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recollect.core.estimates.intervals import Estimate
from recollect.core.estimates.measures import Source
from recollect.errors import InputError

LEAST_PAIRS = 8
"""With fewer pairs no correlation is stated."""
LEAST_FOR_DIFFERENCE = 12
"""With fewer pairs no difference of correlations: with 9, of high ones, 1.9 % missed where 0.25 % may."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's coefficient of pairs. It is a `Measure`."""

    first: Sequence[float]
    second: Sequence[float]
    repeats: int = 2

    def __post_init__(self) -> None:
        if len(self.first) != len(self.second) or len(self.first) < LEAST_PAIRS:
            raise InputError(
                f"a correlation needs at least {LEAST_PAIRS} pairs, but got {len(self.first)} and {len(self.second)}."
            )

    @cached_property
    def value(self) -> float:
        """The coefficient; 0 where one side never changes."""
        return spearman(self.first, self.second)

    def at(self, confidence: float) -> Estimate:
        """With its interval."""
        from scipy import stats

        return self.within(float(stats.norm.ppf((1 + confidence) / 2)), confidence)

    def within(self, quantile: float, confidence: float) -> Estimate:
        """With the interval of so many standard errors on Fisher's scale."""
        n, r = len(self.first), max(min(self.value, 1 - 1e-6), 1e-6 - 1)
        half = quantile * math.sqrt((1 + r**2 / 2) / (n - 3))
        low, high = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
        return Estimate(
            self.value, min(low, self.value), max(high, self.value), n, "Spearman, Fisher's transformation", confidence
        )

    def mostly(self, confidence: float) -> Source:
        """More cells narrow it."""
        return "cells"


@dataclass(frozen=True)
class CorrelationDifference:
    """The first correlation less the second. It is a `Measure`."""

    one: RankCorrelation
    other: RankCorrelation
    between: float | None = None
    """Where both have one side in common: the rank correlation of the two others. None: they are taken as
    independent, which is wider wherever they move together."""

    def __post_init__(self) -> None:
        if min(len(self.one.first), len(self.other.first)) < LEAST_FOR_DIFFERENCE:
            raise InputError(f"a difference of correlations needs at least {LEAST_FOR_DIFFERENCE} pairs.")

    @property
    def value(self) -> float:
        """The difference."""
        return self.one.value - self.other.value

    @property
    def repeats(self) -> int:
        """The fewest of both."""
        return min(self.one.repeats, self.other.repeats)

    def at(self, confidence: float) -> Estimate:
        """With its interval."""
        from scipy import stats

        n = min(len(self.one.first), len(self.other.first))
        quantile = float(stats.t.ppf((1 + confidence) / 2, n - 2))
        first, second = (pair.within(quantile, confidence) for pair in (self.one, self.other))
        value = self.value
        shared = 0.0 if self.between is None else _overlap(first.value, second.value, self.between)
        down, up = first.value - first.low, first.high - first.value
        below, over = second.value - second.low, second.high - second.value
        low = value - math.sqrt(max(down**2 + over**2 - 2 * shared * down * over, 0.0))
        high = value + math.sqrt(max(up**2 + below**2 - 2 * shared * up * below, 0.0))
        return Estimate(value, low, high, n, "difference of two rank correlations (Zou)", confidence)

    def mostly(self, confidence: float) -> Source:
        """More cells narrow it."""
        return "cells"


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's coefficient; 0 where one side never changes."""
    from scipy.stats import rankdata

    one, other = rankdata(first), rankdata(second)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _overlap(first: float, second: float, between: float) -> float:
    """The correlation of two coefficients that share one variable (Olkin and Finn 1995)."""
    spread = (1 - first**2) * (1 - second**2)
    if spread < 1e-9:
        return 0.0
    squares = first**2 + second**2 + between**2
    return max(min(((between - first * second / 2) * (1 - squares) + between**3) / spread, 1.0), -1.0)
