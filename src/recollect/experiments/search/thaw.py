"""Which paused trial to train on, if any is due.

Notable choices
- The largest expected improvement goes first. The share to promote is one of the trials, and of their cost too: where
  trainings differ in length, a long one waits until enough of the share has come together, and those behind it wait
  with it. Only at the end does the next best go instead, and one that costs more than the whole share stays paused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from recollect.experiments.search.gaussian import log_improvement
from recollect.experiments.search.plan import Plan
from recollect.experiments.search.trials import Forecast, Trial

_SLACK = 1.0
"""By how much a promotion may exceed what is left of the share, in trainings of mean length; without it the first one,
of few trials, would be the shortest and not the best."""


@dataclass(frozen=True)
class Due:
    """The trials, the forecasts of those without a final score, and how many may be promoted.

    `ending`: no new point will come, so the share is rounded up and nobody need be waited for but the running.
    """

    trials: Sequence[Trial]
    forecasts: Mapping[int, Forecast]
    plan: Plan
    share: float
    ending: bool

    def best(self) -> float:
        """The best final score; minus infinity before there is one."""
        last = len(self.plan.rungs) - 1
        return max((trial.scores[last] for trial in self.trials if last in trial.scores), default=-math.inf)

    def chance(self, trial: Trial) -> float:
        """Probability that a trial's final score beats the best one."""
        forecast = self.forecasts[trial.number]
        return float(special.ndtr((forecast.mean - self.best()) / forecast.sd))

    def worth(self, trial: Trial) -> float:
        """Log expected improvement over the best, or the forecast itself before there is a best."""
        forecast, best = self.forecasts[trial.number], self.best()
        if best == -math.inf:
            return forecast.mean
        return float(log_improvement(np.asarray([forecast.mean]), np.asarray([forecast.sd]), best)[0])

    def candidates(self, rung: int) -> list[Trial]:
        """Paused trials at a rung that may beat the best; all of them when a budget is left that nothing else uses."""
        paused = [trial for trial in self.trials if trial.state == "paused" and trial.rung == rung]
        if self._left_over:
            return paused
        return [trial for trial in paused if self.chance(trial) >= self.plan.least_chance]

    def next_at(self, rung: int, affords: Callable[[Trial], bool]) -> Trial | None:
        """The one to train on from a rung, if it is its time."""
        able = self.candidates(rung)
        none_yet = not any(
            trial.why == "forecast" and trial.state not in ("degenerate", "failed") for trial in self._promoted(rung)
        )
        if self.ending:
            free = self._left_over or none_yet  # one at least
            able = [trial for trial in able if (free or self._fits(trial, rung)) and affords(trial)]
        else:
            whole = self.share * (self.plan.trials or 2 * len(self._at(rung)))
            able = [trial for trial in able if self._length(trial, rung) <= whole + _SLACK]
        best = max(able, key=lambda trial: (self.worth(trial), -trial.number), default=None)
        if best is None or self.ending:
            return best
        return best if self._fits(best, rung) and affords(best) else None

    def _fits(self, trial: Trial, rung: int) -> bool:
        """Is enough of the share left for a training of this length?"""
        room = self._allowed(rung) - sum(self._length(one, rung) for one in self._promoted(rung))
        return self._length(trial, rung) <= room + _SLACK

    def _length(self, trial: Trial, rung: int) -> float:
        """The length of a training over the mean of those that came to the rung; of a broken one as far as it came."""
        known = [other.total_steps for other in self._at(rung) if other.total_steps]
        if not known or not trial.total_steps:
            return 1.0
        steps = trial.steps if trial.state in ("degenerate", "failed") else trial.total_steps
        return steps * len(known) / sum(known)

    def quota(self, rung: int, more: int = 0) -> int:
        """How many may still be promoted from a rung, if `more` trials came to it. What is left of a budget in steps or
        hours at the end is for promotions, beyond the share too."""
        if self._left_over and not more:
            return len(self._at(rung))
        return self._allowed(rung, more) - len(self._promoted(rung, more))

    def _at(self, rung: int) -> list[Trial]:
        return [trial for trial in self.trials if rung in trial.scores]

    def _allowed(self, rung: int, more: int = 0) -> int:
        """The share of those that came to a rung, if `more` trials came to it."""
        size = self.share * (len(self._at(rung)) + more)
        return math.ceil(size - 1e-9) if self.ending else math.floor(size + 1e-9)

    def _promoted(self, rung: int, more: int = 0) -> list[Trial]:
        """Those that were trained on and count towards the share: by forecast, or leading for any reason."""
        leading = sorted(self._at(rung), key=lambda trial: -trial.scores[rung])[: self._allowed(rung, more)]
        gone = [trial for trial in self._at(rung) if trial.rung > rung]
        return [trial for trial in gone if trial.why == "forecast" or trial in leading]

    @property
    def _left_over(self) -> bool:
        """Is what is left of the budget of no use but for promotions?"""
        return self.ending and self.plan.trials is None

    def left_with_one_more(self) -> int:
        """Promotions to keep money back for if one more point is tried; one at least, its own."""
        running = sum(1 for trial in self.trials if trial.state == "running" and trial.rung == 0)
        if not running and not any(
            replace(self, ending=False).candidates(rung) for rung in range(len(self.plan.rungs) - 1)
        ):
            return 1
        return max(1, self.quota(0, more=1 + running))


def promotion(due: Due, affords: Callable[[Trial], bool]) -> Trial | None:
    """The paused trial to train on now, from the highest rung down, if the budget affords it; None when nobody is due.

    At the end the running ones of a rung are waited for, since they may be better.
    """
    for rung in reversed(range(len(due.plan.rungs) - 1)):
        if due.ending and any(trial.state == "running" and trial.rung <= rung for trial in due.trials):
            continue
        if due.quota(rung) > 0 and (found := due.next_at(rung, affords)) is not None:
            return found
    return None
