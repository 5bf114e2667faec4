"""A number with its interval. Every value is a fraction (0..1, a difference -1..1), never a percentage."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
