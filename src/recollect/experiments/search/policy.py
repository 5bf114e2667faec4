"""Which paused trial is promoted, if any is due, and what the budget still affords.

Notable choices
- The best forecast goes first. The share to promote is one of the trials, and of their cost too: where trainings differ
  in length, a long one waits until enough of the share has come together, and those behind it wait with it. Only at the
  end does the next best go instead, and one that costs more than the whole share stays paused.
- Costs are training steps, or seconds of training and scoring: spent ones and those under way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from recollect.errors import InputError
from recollect.experiments.search.settings import Plan
from recollect.experiments.search.trial import Forecast, Trial, TrialValues

_SLACK = 1.0
"""By how much a promotion may exceed what is left of the share, in trainings of mean length; without it the first one,
of few trials, would be the shortest and not the best."""
_Unit = Literal["steps", "seconds"]
_UNITS: tuple[_Unit, ...] = ("steps", "seconds")


@dataclass(frozen=True)
class Promotions:
    """The trials, the forecasts of those without a final score, and how many may be promoted.

    `ending`: no new point will come, so the share is rounded up and nobody need be waited for but the running.
    """

    trials: Sequence[Trial]
    forecasts: Mapping[int, Forecast]
    plan: Plan
    share: float
    ending: bool

    def next(self, affords: Callable[[Trial], bool]) -> Trial | None:
        """The paused trial to promote now, from the highest rung down, if the budget affords it; None when nobody is
        due. At the end the running ones of a rung are waited for, since they may be better."""
        for rung in reversed(range(self.plan.last)):
            if self.ending and any(trial.state == "running" and trial.rung <= rung for trial in self.trials):
                continue
            if self.ending and (best := self.leader(rung)) is not None and affords(best):
                return best
            if self._quota(rung) > 0 and (found := self._next_at(rung, affords)) is not None:
                return found
        return None

    def leader(self, rung: int) -> Trial | None:
        """The paused trial with the best score of all that came to a rung; None where that one has gone on or has
        hardly a chance."""
        at = [trial for trial in self._at(rung) if not trial.broken]
        best = max(at, key=lambda trial: (trial.scores[rung], -trial.number), default=None)
        return best if best in self._candidates(rung) else None

    def left_with_one_more(self) -> int:
        """Promotions to keep budget for if one more point is tried; one at least, its own."""
        running = sum(1 for trial in self.trials if trial.state == "running" and trial.rung == 0)
        going_on = replace(self, ending=False)
        if not running and not any(going_on._candidates(rung) for rung in range(self.plan.last)):
            return 1
        return max(1, self._quota(0, more=1 + running))

    def _next_at(self, rung: int, affords: Callable[[Trial], bool]) -> Trial | None:
        able = self._candidates(rung)
        if self.ending:
            free = self._left_over or not any(one.why == "forecast" and not one.broken for one in self._promoted(rung))
            able = [trial for trial in able if (free or self._fits(trial, rung)) and affords(trial)]
        else:
            whole = self.share * (self.plan.trials or 2 * len(self._at(rung)))
            able = [trial for trial in able if self._length(trial, rung) <= whole + _SLACK]
        best = max(able, key=lambda trial: (self.forecasts[trial.number].mean, -trial.number), default=None)
        if best is None or self.ending:
            return best
        return best if self._fits(best, rung) and affords(best) else None

    def _candidates(self, rung: int) -> list[Trial]:
        """Paused trials at a rung that may beat the best; all of them when a budget is left that nothing else uses."""
        paused = [trial for trial in self.trials if trial.state == "paused" and trial.rung == rung]
        if self._left_over:
            return paused
        best = max((one.scores[self.plan.last] for one in self.trials if self.plan.last in one.scores), default=None)
        return [trial for trial in paused if best is None or self._chance(trial, best) >= self.plan.least_chance]

    def _chance(self, trial: Trial, best: float) -> float:
        forecast = self.forecasts[trial.number]
        return float(special.ndtr((forecast.mean - best) / forecast.sd))

    def _fits(self, trial: Trial, rung: int) -> bool:
        """Is enough of the share left for a training of this length?"""
        room = self._allowed(rung) - sum(self._length(one, rung) for one in self._promoted(rung))
        return self._length(trial, rung) <= room + _SLACK

    def _length(self, trial: Trial, rung: int) -> float:
        """The length of a training over the mean of those that came to the rung; of a broken one as far as it came."""
        known = [other.total_steps for other in self._at(rung) if other.total_steps]
        if not known or not trial.total_steps:
            return 1.0
        return (trial.steps if trial.broken else trial.total_steps) * len(known) / sum(known)

    def _quota(self, rung: int, more: int = 0) -> int:
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
        """Those that count towards the share: promoted by forecast, or leading for any reason."""
        leading = sorted(self._at(rung), key=lambda trial: -trial.scores[rung])[: self._allowed(rung, more)]
        gone = [trial for trial in self._at(rung) if trial.rung > rung]
        return [trial for trial in gone if trial.why == "forecast" or trial in leading]

    @property
    def _left_over(self) -> bool:
        """Is what is left of the budget of no use but for promotions?"""
        return self.ending and self.plan.trials is None


class Budget:
    """The budget of a search: spent, under way, and kept back. What a training will cost is `steps` of its point, or,
    where that is not known, the mean of the trials so far."""

    def __init__(self, plan: Plan, steps: Callable[[TrialValues], int] | None) -> None:
        self._rungs, self._steps = plan.rungs, steps
        hours = plan.budget_hours
        self._limits: dict[_Unit, float | None] = {"steps": plan.budget_steps, "seconds": hours and 3600 * hours}

    @property
    def endless(self) -> bool:
        """Is there no budget besides the number of trials?"""
        return not any(self._limits.values())

    def check(self, baseline: TrialValues) -> None:
        """InputError when the baseline alone costs more than the budget."""
        budget = self._limits["steps"]
        if budget is not None and self._steps is not None and self._steps(baseline) > budget:
            raise InputError(
                f"budget_steps must be at least {self._steps(baseline)}, the training steps of the baseline alone, but "
                f"got {budget}. Raise it, or search fewer epochs or examples."
            )

    def spent(self, trials: Sequence[Trial]) -> float | None:
        """Share of the budget that is spent, of the nearer one where there are two; None without one."""
        shares = (_spent(unit, trials) / limit for unit, limit in self._limits.items() if limit)
        return max(shares, default=None)

    def affords(self, trial: Trial, trials: Sequence[Trial], keep: Sequence[Trial | None] = ()) -> bool:
        """Can a paused trial be trained to its next rung, and those of `keep` to the end?"""
        return all(self._left(unit, trials, keep) >= self._job(unit, trial, trials, trial.rung + 1) for unit in _UNITS)

    def affords_new(self, values: TrialValues, trials: Sequence[Trial], keep: Sequence[Trial | None] = ()) -> bool:
        """Can a new point be trained to the first rung, and those of `keep` to the end?"""
        return self.affords(Trial(-1, values, rung=-1), trials, keep)

    def _left(self, unit: _Unit, trials: Sequence[Trial], keep: Sequence[Trial | None]) -> float:
        limit = self._limits[unit]
        if limit is None:
            return math.inf
        under_way = sum(self._job(unit, trial, trials, trial.rung) for trial in trials if trial.state == "running")
        kept = sum(self._whole(unit, trial, trials) * (1 - self._rungs[trial.rung if trial else 0]) for trial in keep)
        return limit - _spent(unit, trials) - under_way - kept

    def _job(self, unit: _Unit, trial: Trial, trials: Sequence[Trial], rung: int) -> float:
        """Cost of training a trial from the rung before to this one."""
        whole, before = self._whole(unit, trial, trials), self._rungs[rung - 1] if rung else 0.0
        if unit == "steps" and (self._steps is not None or trial.total_steps):  # as the training rounds
            return max(1, round(self._rungs[rung] * whole)) - (max(1, round(before * whole)) if rung else 0)
        return whole * (self._rungs[rung] - before)

    def _whole(self, unit: _Unit, trial: Trial | None, trials: Sequence[Trial]) -> float:
        """Cost of a whole training."""
        if unit == "steps":
            if trial is not None and trial.total_steps:
                return trial.total_steps
            if trial is not None and self._steps is not None:
                return self._steps(trial.values)
            known = [other.total_steps for other in trials if other.total_steps]
            return sum(known) / len(known) if known else 0.0
        shares = [self._rungs[max(other.scores)] for other in trials if other.scores]
        seconds = sum(other.seconds for other in trials if other.scores)
        return seconds / sum(shares) if shares else 0.0


def _spent(unit: _Unit, trials: Sequence[Trial]) -> float:
    return sum(trial.steps if unit == "steps" else trial.seconds for trial in trials)
