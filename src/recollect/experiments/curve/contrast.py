"""What the measured means say about differences between sizes: weighted sums of them, with bounds.

No curve is fitted here, so nothing is said about a size that was not run.

Notable choices
- A bound has two parts that add in quadrature: test items (normal; what two sizes share cancels) and training runs
  (Student's t with the degrees of freedom of the pooled run variance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recollect.experiments.curve.items import Floats, Ints
from recollect.experiments.curve.noise import Noise


@dataclass(frozen=True)
class Value:
    """A number with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Means:
    """The mean score at each size, ascending, and their noise."""

    sizes: Ints
    scores: Floats
    noise: Noise

    @property
    def last(self) -> int:
        """Index of the largest size."""
        return len(self.sizes) - 1

    def at(self, *indices: int) -> Floats:
        """Weights of the mean of the means at `indices`."""
        weights = np.zeros(len(self.sizes))
        weights[list(indices)] = 1 / len(indices)
        return weights

    def value(self, weights: Floats) -> float:
        """The weighted sum of the means."""
        return float(weights @ self.scores)

    def reach(self, weights: Floats, level: float) -> float:
        """How far a one-sided bound at `level` lies from `value(weights)`."""
        from scipy import stats

        noise = self.noise
        items = max(0.0, float(weights @ noise.items @ weights))
        runs = float(weights**2 @ (noise.run_variance / noise.repeats))
        normal, student = float(stats.norm.ppf(level)), float(stats.t.ppf(level, noise.freedom))
        return float(np.hypot(normal * items**0.5, student * runs**0.5))

    def low(self, weights: Floats, level: float) -> float:
        """Lower bound of the weighted sum: the truth lies above it with probability `level`."""
        return self.value(weights) - self.reach(weights, level)

    def high(self, weights: Floats, level: float) -> float:
        """Upper bound of the weighted sum."""
        return self.value(weights) + self.reach(weights, level)

    def interval(self, weights: Floats, confidence: float) -> Value:
        """The weighted sum with its central interval."""
        value, reach = self.value(weights), self.reach(weights, (1 + confidence) / 2)
        return Value(value, value - reach, value + reach)
