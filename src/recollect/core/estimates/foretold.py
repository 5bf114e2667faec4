"""Which setting of a search's trials tells more of their scores: foretold of trials that were left out.

Notable choices
- Scores enter as ranks, so that one broken trial does not decide everything; broken ones share the lowest rank.
- A setting in numbers foretells by a parabola in its ranks, since the best value is often inside; a named one by the
  mean of its name. Each trial is foretold from all others, so a setting that says nothing gains nothing.
- The difference of two settings' squared errors, trial by trial, as a share of what the mean alone misses; its interval
  is Student's over the trials. Simulated in benchmarks/findings_pages.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recollect.core.estimates.intervals import Estimate
from recollect.core.estimates.searches import OfTrials
from recollect.errors import InputError

LEAST_TRIALS = 12
"""With fewer trials no two settings are compared."""
Values = Sequence[float | str]
"""Of one setting, by trial."""


@dataclass(frozen=True)
class ForetoldBetter(OfTrials):
    """How much more `one` setting tells of the scores than the `other`, as a share of 1. It is a `Measure`."""

    one: Values
    other: Values
    scores: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.one) == len(self.other) == len(self.scores) or len(self.scores) < LEAST_TRIALS:
            raise InputError(f"two settings are compared on {LEAST_TRIALS} trials or more, but got {len(self.scores)}.")

    @cached_property
    def _each(self) -> Any:
        ranks = ranks_of(self.scores)
        alone = missed(np.ones((len(ranks), 1)), ranks).mean()
        if not alone:
            return np.zeros(len(ranks))
        return (missed(_design(self.other), ranks) - missed(_design(self.one), ranks)) / alone

    @property
    def value(self) -> float:
        """The mean over the trials."""
        return float(self._each.mean())

    def at(self, confidence: float) -> Estimate:
        """With its interval."""
        from scipy import stats

        n = len(self._each)
        half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * float(self._each.std(ddof=1)) / np.sqrt(n)
        return Estimate(self.value, self.value - half, self.value + half, n, "foretold of trials left out", confidence)


def told_by(values: Values, scores: Sequence[float]) -> float:
    """The share of the differences between trials that a setting foretells of trials left out; below 0 where it
    foretells worse than the mean does."""
    ranks = ranks_of(scores)
    alone = missed(np.ones((len(ranks), 1)), ranks).mean()
    return float(1 - missed(_design(values), ranks).mean() / alone) if alone else 0.0


def ranks_of(values: Sequence[float]) -> Any:
    """Ranks from -1 to 1, equal values sharing one."""
    from scipy.stats import rankdata

    ranks = rankdata(np.asarray(values, dtype=float))
    return 2 * (ranks - 1) / max(len(ranks) - 1, 1) - 1


def _design(values: Values) -> Any:
    if any(isinstance(value, str) for value in values):
        names = np.asarray([str(value) for value in values])
        return np.stack([names == name for name in np.unique(names)], axis=1).astype(float)
    ranks = ranks_of([float(value) for value in values])
    return np.stack([np.ones(len(ranks)), ranks, ranks**2], axis=1)


def missed(design: Any, ranks: Any) -> Any:
    """The squared error of each trial, foretold from the others; of one that no other is like, from their mean."""
    hat = design @ np.linalg.pinv(design)
    leverage = np.diag(hat)
    rest = ranks - hat @ ranks
    n = len(ranks)
    from_mean = (ranks - ranks.mean()) * n / (n - 1)
    alike = leverage < 1 - 1e-9
    return np.where(alike, rest / np.where(alike, 1 - leverage, 1.0), from_mean) ** 2
