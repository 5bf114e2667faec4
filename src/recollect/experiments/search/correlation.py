"""What the finished trials measured of early scores: their correlation with the final ones, and where a final score may
fall. No prior: the policy's own forecast, which has one, is in `policy.py` and is never reported as a measurement.

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
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from recollect.core.random import FIXED_SEED
from recollect.experiments.search.trial import Trial

Array = NDArray[np.float64]

LEVEL = 0.95
LEAST_PAIRS = 4
"""Finished trials below which no correlation and no range is stated."""
_DRAWS = 20_000


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

    def __init__(self, early: Sequence[float], pairs: Sequence[tuple[float, float]]) -> None:
        self._all = np.asarray(early, dtype=float)
        both = np.asarray(pairs, dtype=float).reshape(-1, 2)
        self._x, self._y = both[:, 0], both[:, 1]
        varied = len(both) >= LEAST_PAIRS and np.ptp(self._x) > 0 and np.ptp(self._y) > 0
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
        if not self.measured:
            return Correlation(len(self._x), len(self._all))
        low, high = np.quantile(
            self.draws(np.random.default_rng(FIXED_SEED), _DRAWS), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        )
        return Correlation(
            pairs=len(self._x),
            trials=len(self._all),
            pearson=float(stats.pearsonr(self._x, self._y).statistic),
            spearman=float(stats.spearmanr(self._x, self._y).statistic),
            low=float(low),
            high=float(high),
        )

    def draws(self, random: np.random.Generator, count: int) -> Array:
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
        if not self.measured:
            return None
        slope, square, rest = self._fit
        n, away = len(self._x), early - float(self._x.mean())
        middle = float(self._y.mean()) + slope * away
        half = float(stats.t.ppf((1 + LEVEL) / 2, n - 2)) * np.sqrt(rest / (n - 2) * (1 + 1 / n + away**2 / square))
        low, value, high = np.clip([middle - half, middle, middle + half], 0.0, 100.0)
        return float(low), float(value), float(high)


def line(trials: Sequence[Trial], last: int, rung: int = 0) -> Line:
    """The line from the scores at `rung` to those at the final rung `last`."""
    at = [trial for trial in trials if rung in trial.scores]
    pairs = [(trial.scores[rung], trial.scores[last]) for trial in at if last in trial.scores]
    return Line([trial.scores[rung] for trial in at], pairs)


@dataclass(frozen=True)
class Overlap:
    """How many of the `k` best early are among the `k` best at the end, over the `finished` trials; `by_chance` is what
    a blind guess would have."""

    k: int
    shared: int
    finished: int
    by_chance: float


@dataclass(frozen=True)
class Summary:
    """Counts by state, cost, trust in early scores, the best finished trial and the baseline.

    `promoted`: trials trained on beyond the first rung. `cost_fraction`: steps spent over those of training every trial
    to its end; of a trial that ended badly its own steps on both sides. None where nothing is known. `share`: what the
    policy would promote now, by a forecast with a prior. `correlation`: as measured; None with one rung alone.
    """

    trials: int
    scored: int
    promoted: int
    finished: int
    degenerate: int
    failed: int
    steps: int
    full_steps: int
    cost_fraction: float | None
    share: float
    correlation: Correlation | None
    overlap: Overlap | None
    best: Trial | None
    baseline: Trial | None


def summarise(trials: Sequence[Trial], last: int, share: float) -> Summary:
    """Sum up the trials of a search whose final rung is `last`."""
    finished = [trial for trial in trials if last in trial.scores]
    steps = sum(trial.steps for trial in trials)
    full = sum(trial.steps if trial.broken else trial.total_steps for trial in trials)
    return Summary(
        trials=len(trials),
        scored=sum(1 for trial in trials if trial.scores),
        promoted=sum(1 for trial in trials if trial.why),
        finished=len(finished),
        degenerate=sum(1 for trial in trials if trial.state == "degenerate"),
        failed=sum(1 for trial in trials if trial.state == "failed"),
        steps=steps,
        full_steps=full,
        cost_fraction=steps / full if full else None,
        share=share,
        correlation=line(trials, last).correlation() if last else None,
        overlap=_overlap(finished, last) if last else None,
        best=max(finished, key=lambda trial: (trial.scores[last], -trial.number), default=None),
        baseline=trials[0] if trials and trials[0].start else None,
    )


def _overlap(finished: Sequence[Trial], last: int, most: int = 5) -> Overlap | None:
    k = min(most, len(finished) // 2)
    if k == 0:
        return None
    early, final = (
        {trial.number for trial in sorted(finished, key=lambda t: (-t.scores[rung], t.number))[:k]}
        for rung in (0, last)
    )
    return Overlap(k, len(early & final), len(finished), k * k / len(finished))
