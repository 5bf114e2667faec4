"""Rank correlations over cells as measures, and the difference of two that may share one side.

The interval of one is that of `ranks.rank_agreement`: cells, and the spread between their trainings. The difference of
two is by Zou (2007), which joins the two intervals with the correlation between the coefficients; its quantile is
Student's t with n - 2 degrees of freedom. Without any true difference, and without the trainings' part, differences of
12 to 30 cells missed in 1.7 to 4.1 % at 95 % and in 0.0 to 0.1 % at 99.75 %; with 9 cells in up to 1.9 % of the latter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np

from recollect.core.estimates.intervals import Estimate
from recollect.core.estimates.measures import Source
from recollect.core.estimates.ranks import rank_agreement, rank_correlation
from recollect.errors import InputError

LEAST_PAIRS = 8
"""With fewer cells no correlation is judged: corrected for so many claims as a study makes, 7 cells decide nothing even
where they rank alike altogether (up to 4 claims, 8 cells up to 14). `ranks` only describes, so six are enough there."""
LEAST_FOR_DIFFERENCE = 12
"""With fewer cells no difference of correlations."""
Cells = Sequence[Sequence[float]]
"""Of every cell the value of each of its trainings."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's coefficient of the cells' means. It is a `Measure`."""

    first: Cells
    second: Cells

    def __post_init__(self) -> None:
        if len(self.first) != len(self.second) or len(self.first) < LEAST_PAIRS:
            raise InputError(
                f"a correlation needs at least {LEAST_PAIRS} pairs, but got {len(self.first)} and {len(self.second)}."
            )

    @property
    def means(self) -> tuple[list[float], list[float]]:
        """Of the cells, on either side."""
        return [fmean(one) for one in self.first], [fmean(one) for one in self.second]

    @cached_property
    def value(self) -> float:
        """The coefficient; 0 where one side never changes."""
        return spearman(*self.means)

    @cached_property
    def repeats(self) -> int:
        """Trainings of the cell with the fewest."""
        return min(len(one) for one in (*self.first, *self.second))

    def at(self, confidence: float) -> Estimate:
        """With its interval; from -1 to 1 where nothing can be said."""
        found = rank_agreement(self.first, self.second, confidence=confidence).interval
        return found or Estimate(self.value, -1.0, 1.0, len(self.first), "not measured", confidence)

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
        wider = 2 * float(stats.norm.cdf(stats.t.ppf((1 + confidence) / 2, n - 2))) - 1
        first, second = (pair.at(wider) for pair in (self.one, self.other))
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
    """Spearman's coefficient, numbers that differ by rounding alone being equal; 0 where one side never changes."""
    found = float(rank_correlation(np.round(first, 10), np.round(second, 10)))
    return 0.0 if math.isnan(found) else found


def _overlap(first: float, second: float, between: float) -> float:
    """The correlation of two coefficients that share one variable (Olkin and Finn 1995)."""
    spread = (1 - first**2) * (1 - second**2)
    if spread < 1e-9:
        return 0.0
    squares = first**2 + second**2 + between**2
    return max(min(((between - first * second / 2) * (1 - squares) + between**3) / spread, 1.0), -1.0)
