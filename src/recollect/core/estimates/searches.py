"""What a search for settings measured of its trials: do early scores forecast final ones, and what one number of it is.

Notable choices
- Pearson's and Spearman's correlation are the plain ones over the finished trials.
- These were mostly promoted for their early score, so over all trials the correlation is another. Its interval follows
  from the straight line of final on early score, which such a choice does not bend (Thorndike 1949, case II), and from
  the spread of all early scores: with slope b, residual sum of squares S, n pairs, and sums of squares Q of the pairs'
  and T of all N trials' early scores,

      rho / sqrt(1 - rho²)  =  (b·chi(n-2) / sqrt(S) - z / sqrt(Q)) · sqrt(T) / chi(N-1)

  has, with z normal, the distribution whose quantiles bound rho. With all trials finished (Q = T, N = n) it is Fisher's
  exact one (1930). Coverage is simulated by benchmarks/search_correlation.py.
- A range for one paused trial's final score is the textbook prediction interval of that line.
- How many of the k best early are among the k best at the end is, without any relation, hypergeometric. With one, its
  odds are taken as one number (Fisher's noncentral distribution), bounded exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from recollect.core.estimates.differences import unpaired
from recollect.core.estimates.intervals import CONFIDENCE, Estimate, widened
from recollect.core.estimates.measures import Source
from recollect.core.estimates.trainings import spread_of
from recollect.core.random import FIXED_SEED
from recollect.errors import InputError

LEAST_FINISHED = 4
"""Finished trials below which no correlation and no range is stated."""
_DRAWS = 20_000
_MORE_DRAWS = 100_000
"""For intervals of many claims, which end far out."""
Pairs = Sequence[tuple[float, float]]
"""Early and final score of each finished trial."""


@dataclass(frozen=True)
class Correlation:
    """Correlation of early and final scores.

    `pearson` and `spearman` are over the `pairs` finished trials alone. `low` and `high` bound Pearson's over all
    `trials` that have an early score, at 95 %. All None below four pairs, or where all scores are alike.
    """

    pairs: int
    trials: int
    pearson: float | None = None
    spearman: float | None = None
    low: float | None = None
    high: float | None = None


class Line:
    """Final score on early score, least squares over the finished trials.

    early: scores at the first rung of all trials that have one; pairs: (early, final) of the finished; both in points.
    """

    def __init__(self, early: Sequence[float], pairs: Pairs) -> None:
        self._all = np.asarray(early, dtype=float)
        both = np.asarray(pairs, dtype=float).reshape(-1, 2)
        self._x, self._y = both[:, 0], both[:, 1]
        varied = len(both) >= LEAST_FINISHED and np.ptp(self._x) > 0 and np.ptp(self._y) > 0
        self.measured = bool(varied)
        """Are there pairs enough, and do they differ?"""

    @cached_property
    def _fit(self) -> tuple[float, float, float]:
        """Slope, sum of squares of the pairs' early scores, residual sum of squares."""
        x, y = self._x - self._x.mean(), self._y - self._y.mean()
        square = float(x @ x)
        slope = float(x @ y) / square
        return slope, square, max(float(((y - slope * x) ** 2).sum()), 1e-12 * float(y @ y))

    def correlation(self) -> Correlation:
        """The correlation measured, with its interval."""
        from scipy import stats

        if not self.measured:
            return Correlation(len(self._x), len(self._all))
        ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
        low, high = np.quantile(self.draws(np.random.default_rng(FIXED_SEED), _DRAWS), ends)
        return Correlation(
            pairs=len(self._x),
            trials=len(self._all),
            pearson=float(stats.pearsonr(self._x, self._y).statistic),
            spearman=float(stats.spearmanr(self._x, self._y).statistic),
            low=float(low),
            high=float(high),
        )

    def draws(self, random: np.random.Generator, count: int) -> Any:
        """Draws of the correlation over all trials, given the pairs; see the formula above."""
        slope, square, rest = self._fit
        spread = float(((self._all - self._all.mean()) ** 2).sum())
        noise = np.sqrt(random.chisquare(len(self._x) - 2, count) / rest)
        signal = slope * noise - random.standard_normal(count) / np.sqrt(square)
        signal *= np.sqrt(spread / random.chisquare(len(self._all) - 1, count))
        return np.asarray(signal / np.sqrt(1 + signal**2))

    def final(self, early: float) -> tuple[float, float, float] | None:
        """The final score to expect of a trial with this early score, and its 95 % prediction interval; in points,
        within 0 and 100. None where nothing is measured."""
        from scipy import stats

        if not self.measured:
            return None
        slope, square, rest = self._fit
        n, away = len(self._x), early - float(self._x.mean())
        middle = float(self._y.mean()) + slope * away
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 2)) * np.sqrt(
            rest / (n - 2) * (1 + 1 / n + away**2 / square)
        )
        low, value, high = np.clip([middle - half, middle, middle + half], 0.0, 100.0)
        return float(low), float(value), float(high)


@dataclass(frozen=True)
class OfTrials:
    """What measures over a search's trials have in common: the trial is what was drawn."""

    @property
    def repeats(self) -> int:
        """A trial's own luck is part of what trials differ by."""
        return 2

    def mostly(self, confidence: float) -> Source:
        """More trials narrow it."""
        return "trials"


@dataclass(frozen=True)
class EarlyCorrelation(OfTrials):
    """Pearson's correlation of early and final scores over all trials judged early. It is a `Measure`."""

    early: Sequence[float]
    pairs: Pairs

    def __post_init__(self) -> None:
        if not self._line.measured:
            raise InputError(f"a correlation needs at least {LEAST_FINISHED} finished trials with different scores.")

    @cached_property
    def _line(self) -> Line:
        return Line(self.early, self.pairs)

    @cached_property
    def _drawn(self) -> Any:
        return self._line.draws(np.random.default_rng(FIXED_SEED), _MORE_DRAWS)

    @cached_property
    def value(self) -> float:
        """The middle of its distribution; over the finished trials alone it is another, since they were chosen."""
        return float(np.median(self._drawn))

    def at(self, confidence: float) -> Estimate:
        """With its interval."""
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        low, high = (float(end) for end in np.quantile(self._drawn, ends))
        return Estimate(self.value, low, high, len(self.pairs), "straight line through the finished", confidence)


@dataclass(frozen=True)
class TopOverlap(OfTrials):
    """The share of the k best early that are among the k best at the end, over the finished. It is a `Measure`."""

    pairs: Pairs
    most: int = 5

    def __post_init__(self) -> None:
        if len(self.pairs) < 2:
            raise InputError(f"the best among finished trials need at least 2, but got {len(self.pairs)}.")

    @property
    def k(self) -> int:
        """How many count as the best: five, or half of few."""
        return min(self.most, len(self.pairs) // 2)

    @property
    def by_chance(self) -> float:
        """What a blind guess would have."""
        return self.k / len(self.pairs)

    @cached_property
    def shared(self) -> int:
        """How many are both; of equal scores the earlier trial's counts as better."""
        early, final = (
            {at for at, _ in sorted(enumerate(self.pairs), key=lambda one: (-one[1][end], one[0]))[: self.k]}
            for end in (0, 1)
        )
        return len(early & final)

    @property
    def value(self) -> float:
        """Their share."""
        return self.shared / self.k

    def at(self, confidence: float) -> Estimate:
        """With its interval."""
        outside = (1 - confidence) / 2
        low = self._share(lambda tail: tail[self.shared :].sum() - outside)
        high = self._share(lambda tail: outside - tail[: self.shared + 1].sum())
        low, high = min(low, self.value), max(high, self.value)
        return Estimate(self.value, low, high, len(self.pairs), "noncentral hypergeometric", confidence)

    def _share(self, over: Any) -> float:
        """The mean share at the odds where `over` (rising in them) changes its sign; its bounds where it never does."""
        low, high = -40.0, 40.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if over(self._chances(middle)) > 0 else (middle, high)
        return float(self._chances(low) @ np.arange(self.k + 1)) / self.k

    def _chances(self, odds: float) -> Any:
        """Of 0 to k shared, where an early best has these log odds of being a final one."""
        n, k = len(self.pairs), self.k
        ways = [math.log(math.comb(k, x) * max(math.comb(n - k, k - x), 1)) for x in range(k + 1)]
        logs = np.array([way + odds * x if n - k >= k - x else -np.inf for x, way in enumerate(ways)])
        chances = np.exp(logs - logs.max())
        return chances / chances.sum()


@dataclass(frozen=True)
class SharesApart(OfTrials):
    """The second share less the first, of two kinds of trials; each (how many are, of how many). It is a `Measure`."""

    first: tuple[int, int]
    second: tuple[int, int]

    @property
    def value(self) -> float:
        """The difference."""
        return self.second[0] / self.second[1] - self.first[0] / self.first[1]

    def at(self, confidence: float) -> Estimate:
        """With its interval."""
        found = unpaired([self.first], [self.second], confidence)
        return replace(found, n=self.first[1] + self.second[1])


@dataclass(frozen=True)
class MeanGain:
    """The mean gain of several whole searches, each with the interval of its questions. It is a `Measure`.

    The spread over the searches and the noise of the questions, which does not shrink with their number since their
    tests are cut from the same facts.
    """

    gains: Sequence[Estimate]

    @property
    def value(self) -> float:
        """The mean."""
        return fmean(one.value for one in self.gains)

    @property
    def repeats(self) -> int:
        """How many searches."""
        return len(self.gains)

    def at(self, confidence: float) -> Estimate:
        """With its interval; of one search that of the questions alone."""
        found = self._of_questions(confidence)
        return widened(found, self._half(confidence), "questions and whole searches")

    def mostly(self, confidence: float) -> Source:
        """The larger of the two errors."""
        found = self._of_questions(confidence)
        return "trainings" if 2 * self._half(confidence) >= found.high - found.low else "facts"

    def _of_questions(self, confidence: float) -> Estimate:
        from scipy import stats

        wider = [
            float(stats.norm.ppf((1 + confidence) / 2) / stats.norm.ppf((1 + g.confidence) / 2)) for g in self.gains
        ]
        below = fmean(w * (g.value - g.low) for w, g in zip(wider, self.gains, strict=True))
        above = fmean(w * (g.high - g.value) for w, g in zip(wider, self.gains, strict=True))
        n = min(gain.n for gain in self.gains)
        return Estimate(self.value, self.value - below, self.value + above, n, "questions", confidence)

    def _half(self, confidence: float) -> float:
        spread = spread_of([[gain.value for gain in self.gains]])
        return spread.half(len(self.gains), confidence=confidence) if spread else 0.0
