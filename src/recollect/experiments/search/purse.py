"""What the budget still affords, counted in training steps or in seconds of training and scoring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recollect.errors import InputError
from recollect.experiments.search.plan import Plan
from recollect.experiments.search.trials import Trial


class Purse:
    """The budget of a search: spent, under way, and kept back. What a training will cost is `steps` of its point, or,
    where that is not known, the mean of the trials so far."""

    def __init__(self, plan: Plan, steps: Callable[[Mapping[str, Any]], int] | None) -> None:
        self._plan, self._steps = plan, steps

    @property
    def endless(self) -> bool:
        """Is there no budget besides the number of trials?"""
        return self._plan.budget_steps is None and self._plan.budget_hours is None

    def check(self, baseline: Mapping[str, Any]) -> None:
        """InputError when the baseline alone costs more than the budget."""
        budget = self._plan.budget_steps
        if budget is not None and self._steps is not None and self._steps(baseline) > budget:
            raise InputError(
                f"budget_steps must be at least {self._steps(baseline)}, the training steps of the baseline alone, but "
                f"got {budget}. Raise it, or search fewer epochs or examples."
            )

    def spent(self, trials: Sequence[Trial]) -> float | None:
        """Share of the budget that is spent, of the nearer one where there are two; None without one."""
        shares = [
            sum(cost) / budget
            for budget, cost in (
                (self._plan.budget_steps, [trial.steps for trial in trials]),
                (3600 * (self._plan.budget_hours or 0), [trial.seconds for trial in trials]),
            )
            if budget
        ]
        return max(shares, default=None)

    def affords(self, trial: Trial, trials: Sequence[Trial], keep: Sequence[Trial | None] = ()) -> bool:
        """Can a paused trial be trained to its next rung, and those of `keep` to the end?"""
        return all(
            self._left(unit, trials, keep) >= self._job(unit, trial, trials, trial.rung + 1)
            for unit in ("steps", "seconds")
        )

    def affords_new(
        self, values: Mapping[str, Any], trials: Sequence[Trial], keep: Sequence[Trial | None] = ()
    ) -> bool:
        """Can a new point be trained to the first rung, and those of `keep` to the end?"""
        new = Trial(-1, values)
        return all(self._left(unit, trials, keep) >= self._job(unit, new, trials, 0) for unit in ("steps", "seconds"))

    def _left(self, unit: str, trials: Sequence[Trial], keep: Sequence[Trial | None]) -> float:
        budget: float | None = self._plan.budget_steps if unit == "steps" else None
        if unit == "seconds" and self._plan.budget_hours is not None:
            budget = 3600 * self._plan.budget_hours
        if budget is None:
            return float("inf")
        spent = sum(trial.steps if unit == "steps" else trial.seconds for trial in trials)
        under_way = sum(self._job(unit, trial, trials, trial.rung) for trial in trials if trial.state == "running")
        kept = sum(
            self._whole(unit, trial, trials) * (1 - self._plan.rungs[trial.rung if trial else 0]) for trial in keep
        )
        return budget - spent - under_way - kept

    def _job(self, unit: str, trial: Trial, trials: Sequence[Trial], rung: int) -> float:
        """Cost of training a trial from the rung before to this one."""
        rungs = self._plan.rungs
        whole = self._whole(unit, trial, trials)
        if unit == "steps" and (self._steps is not None or trial.total_steps):
            return _at(rungs[rung], whole) - (_at(rungs[rung - 1], whole) if rung else 0)
        return whole * (rungs[rung] - (rungs[rung - 1] if rung else 0.0))

    def _whole(self, unit: str, trial: Trial | None, trials: Sequence[Trial]) -> float:
        """Cost of a whole training."""
        if unit == "steps":
            if trial is not None and trial.total_steps:
                return trial.total_steps
            if trial is not None and self._steps is not None:
                return self._steps(trial.values)
            known = [other.total_steps for other in trials if other.total_steps]
            return sum(known) / len(known) if known else 0.0
        shares = [self._plan.rungs[max(other.scores)] for other in trials if other.scores]
        seconds = sum(other.seconds for other in trials if other.scores)
        return seconds / sum(shares) if shares else 0.0


def _at(share: float, whole: float) -> int:
    """Updates made at a share of a training: at least one, rounded as the training rounds."""
    return max(1, round(share * whole))
