"""What final score the policy expects from an early one: a Bayesian straight line, learnt from finished trials.

    final = early + gain + (slope − 1) · (early − middle) + noise

Notable choices
- The prior says: slope 0.9 (who is ahead early was also lucky), a gain that is probably not negative, and noise that
  makes a correlation of about 0.8 of it; it is worth three finished trials. It is in units of the early scores' spread,
  so points and losses are alike to it. Each finished trial moves it. With a slope of 1 and less noise its 68 %
  interval held 57 to 64 % of simulated trials; with these it holds 61 to 75 %.
- Normal-inverse-gamma, so everything is closed form: the forecast is a Student t, and says so by its wider sd.
- All this decides who is promoted, and is called the policy's forecast wherever it is shown: it is pulled towards the
  prior. What a search reports as measured is `correlation.py`.
- Only promoted trials have a final score, and they were chosen by their early score, so their plain correlation is too
  small. A regression on the early score is not bent by such a choice (Thorndike's case II); the correlation that the
  policy expects over all trials follows from its slope, its noise and the spread of all early scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from recollect.core.random import FIXED_SEED
from recollect.experiments.search.settings import Plan
from recollect.experiments.search.trial import Forecast, Trial

Array = NDArray[np.float64]

PRIOR_TRIALS = 3.0
_PRIOR_NOISE = 0.7
_PRIOR_GAIN, _PRIOR_GAIN_SD = 0.25, 1.0
_PRIOR_SLOPE, _PRIOR_SLOPE_SD = 0.9, 0.5
_DRAWS = 4000
_CORRELATIONS = (0.5, 0.7, 0.8, 0.9)
_OF_TRIALS = (1 / 2, 0.4, 1 / 3, 1 / 5)
"""By correlation of early and final scores, the share to promote that rarely loses the best of 20 trials."""
_OF_BUDGET = (1 / 4, 1 / 6, 1 / 7, 1 / 9)
"""The share that finds the best final score when what is not promoted pays for more trials, with a first rung at a
fifth. Both are simulated by benchmarks/search_share.py; docs/search.md, "How it decides"."""


class Forecaster:
    """Forecasts the final score from the score at one rung.

    early: scores of all trials at that rung, in points; pairs: (early, final) of those that have both. Without any
    early score nothing can be forecast.
    """

    def __init__(self, early: Sequence[float], pairs: Sequence[tuple[float, float]]) -> None:
        scores = np.asarray(early, dtype=float)
        self._middle = float(np.median(scores)) if len(scores) else 0.0
        self._spread = _spread(scores)
        self._early = (scores - self._middle) / self._spread
        both = (np.asarray(pairs, dtype=float).reshape(-1, 2) - self._middle) / self._spread
        x, y = both[:, 0], both[:, 1] - both[:, 0]
        design = np.column_stack([np.ones_like(x), x])
        prior_mean = np.asarray([_PRIOR_GAIN, _PRIOR_SLOPE - 1])
        prior_precision = np.diag([_PRIOR_NOISE**2 / _PRIOR_GAIN_SD**2, _PRIOR_NOISE**2 / _PRIOR_SLOPE_SD**2])
        precision = prior_precision + design.T @ design
        self._covariance = np.linalg.inv(precision)
        self._mean = self._covariance @ (prior_precision @ prior_mean + design.T @ y)
        self._shape = (PRIOR_TRIALS + len(x)) / 2
        self._wide = float(stats.t.ppf(stats.norm.cdf(1), 2 * self._shape))
        rest = float(y @ y + prior_mean @ prior_precision @ prior_mean - self._mean @ precision @ self._mean)
        self._rate = PRIOR_TRIALS / 2 * _PRIOR_NOISE**2 + max(rest, 0.0) / 2

    def forecast(self, early: float) -> Forecast:
        """Posterior mean and standard deviation of the final score, in points.

        The sd is that of a normal with the same central 68 % as the posterior's Student t.
        """
        x = (early - self._middle) / self._spread
        row = np.asarray([1.0, x])
        mean = x + float(row @ self._mean)
        scale = float(np.sqrt(self._rate / self._shape * (1 + row @ self._covariance @ row)))
        return Forecast(self._middle + self._spread * mean, self._spread * scale * self._wide)

    def correlation(self) -> float:
        """The correlation of early and final scores over all trials that the policy expects: the posterior's median."""
        rng = np.random.default_rng(FIXED_SEED)
        noise = self._rate / rng.gamma(self._shape, size=_DRAWS)
        root = np.linalg.cholesky(self._covariance)
        slopes = 1 + self._mean[1] + np.sqrt(noise) * (rng.standard_normal((_DRAWS, 2)) @ root.T)[:, 1]
        spread = float(np.std(self._early)) if len(self._early) > 1 else 1.0
        signal = slopes * max(spread, 1e-9)
        return float(np.median(signal / np.sqrt(signal**2 + noise)))


def _spread(scores: Array) -> float:
    """Standard deviation, judged by the middle half where that is possible; 1 when there is none."""
    if len(scores) < 2:
        return 1.0
    low, high = np.quantile(scores, [0.25, 0.75])
    plain = float(np.std(scores))
    robust = float(high - low) / 1.349
    return robust if robust > 0.2 * plain else plain if plain > 0 else 1.0


def squash(scores: Sequence[float]) -> float:
    """The floor below which a score is as bad as the floor: as far below the median as three times the way up to the
    best.

    A diverging training's loss can be 10^18; no line and no Gaussian process survives that, and nothing is learnt from
    how bad bad is.
    """
    if not len(scores):
        return -np.inf
    middle, best = float(np.median(scores)), float(np.max(scores))
    return middle - 3 * (best - middle) if best > middle else -np.inf


@dataclass(frozen=True)
class Outlook:
    """forecasts: by number, of every trial with a score but no final one; share: what to promote. Both are the
    policy's, and hold its prior."""

    forecasts: Mapping[int, Forecast]
    share: float


def look(trials: Sequence[Trial], plan: Plan) -> Outlook:
    """The outlook on these trials."""
    last = plan.last
    if last == 0:
        return Outlook({}, 1.0)
    floor = squash([score for trial in trials for score in trial.scores.values()])
    models = []
    for rung in range(last):
        at = [trial for trial in trials if rung in trial.scores]
        pairs = [
            (max(trial.scores[rung], floor), max(trial.scores[last], floor)) for trial in at if last in trial.scores
        ]
        models.append(Forecaster([max(trial.scores[rung], floor) for trial in at], pairs))
    forecasts = {}
    for trial in trials:
        if trial.scores and trial.state in ("paused", "running"):
            rung = max(trial.scores)
            forecasts[trial.number] = models[rung].forecast(max(trial.scores[rung], floor))
    finished = sum(1 for trial in trials if 0 in trial.scores and last in trial.scores)
    return Outlook(forecasts, _share(models[0].correlation(), finished, plan))


def _share(correlation: float, finished: int, plan: Plan) -> float:
    """By the correlation. Of a given number of trials the share as planned, until three of them are finished; of a
    budget in steps or hours at once, since what was promoted too much is gone."""
    if not plan.adapt or (plan.trials is not None and finished < 3):
        return plan.promote
    if plan.trials is not None:
        share = float(np.interp(correlation, _CORRELATIONS, _OF_TRIALS))
    else:
        to_the_end = min(1.0, 3 * plan.promote * float(np.interp(correlation, _CORRELATIONS, _OF_BUDGET)))
        return float(to_the_end ** (1 / plan.last))
    return min(1.0, 3 * plan.promote * share)
