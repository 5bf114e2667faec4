"""What the trials so far say of those that are not finished, and how many of them to finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recollect.experiments.search.forecast import Forecaster, squash
from recollect.experiments.search.plan import Plan
from recollect.experiments.search.trials import Forecast, Trial

_CORRELATIONS = (0.5, 0.7, 0.8, 0.9)
_OF_TRIALS = (1 / 2, 0.4, 1 / 3, 1 / 5)
"""By correlation of early and final scores, the share to promote that rarely loses the best of 20 trials."""
_OF_BUDGET = (1 / 4, 1 / 6, 1 / 7, 1 / 9)
"""The share that finds the best final score when what is not promoted pays for more trials, with a first rung at a
fifth. Both are simulated by benchmarks/search_share.py; docs/search.md, "How it decides"."""


@dataclass(frozen=True)
class Outlook:
    """forecasts: by number, of every trial with a score but no final one; share: what to promote. Both are the
    policy's, and hold its prior."""

    forecasts: Mapping[int, Forecast]
    share: float


def look(trials: Sequence[Trial], plan: Plan) -> Outlook:
    """The outlook on these trials."""
    last = len(plan.rungs) - 1
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
        return float(to_the_end ** (1 / (len(plan.rungs) - 1)))
    return min(1.0, 3 * plan.promote * share)
