"""How much of each stage of a fit its budget has room for, given out in the order in which the fit does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recollect.experiments.fit.clock import FINISHING
from recollect.experiments.fit.cost import LEAST_TRAININGS, early_share, search_updates
from recollect.experiments.fit.searching import KEPT_BACK, LEAST_JOBS
from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.stages import BEST, KEPT_CHANGE, REPAIRS
from recollect.experiments.plan.trainings import Trainings
from recollect.experiments.plan.work import Work

PROMOTED = 1 / 3
"""Of the trials that are judged early, those that are taken to be trained to the end."""
_UNKNOWN = 12
"""Trials where nothing says how many there is time for."""
_MOST = 5_000
"""Trials that a budget in time is taken to have room for."""


@dataclass(frozen=True)
class Room:
    """How much of each stage there is room for."""

    trials: Sequence[Work] = ()
    """The whole training of each."""
    seeds: int = 0
    """Beside the first."""
    repairs: int = 0
    """Means and repairs."""
    possible: int = 0
    """Of these, as many as there could be of so many trainings."""
    random: bool = False
    judged: float = 1.0
    """Share of its training at which a trial is judged."""
    over: float | None = None
    """Seconds of what is always done, where they are more than the budget."""

    @property
    def finished(self) -> int:
        """Trials that are trained to the end."""
        if self.judged == 1 or not self.trials:
            return len(self.trials)
        return max(1, round(PROMOTED * len(self.trials)))

    @property
    def of_a_trial(self) -> float:
        """What a trial makes of its training, in the mean."""
        return self.judged + (1 - self.judged) * PROMOTED


@dataclass(frozen=True)
class Rooms:
    """What there is to be done in a fit, and how its budget is given out."""

    settings: FitSettings
    trainings: Trainings
    slots: float = 1.0
    """Trials that run side by side."""

    @property
    def limit(self) -> int | None:
        """Updates of all trainings together; None where time is the budget."""
        limits, trainings = self.settings.limits, self.trainings
        if limits.trials is None:
            return limits.updates
        most = int(self.settings.most_cost * trainings.exhaustive_updates)
        return max(most, LEAST_TRAININGS * trainings.updates)

    def everything(self, count: int = _UNKNOWN) -> Room:
        """With so many trials, and whatever follows."""
        starts = list(self.trainings.starts[:count])
        trials = starts + [self.trainings.mean] * (count - len(starts))
        judged = early_share(self.trainings.updates, math.inf)
        return self._with_rest(Room(trials, judged=judged), self.settings.seeds - 1, drawn=True)

    def in_updates(self) -> Room:
        """Of a budget in updates the search gets a share, then come the seeds; the random draw needs one training."""
        limit, trainings = self.limit, self.trainings
        assert limit is not None
        left = limit - trainings.plain.updates
        if left <= 1:
            return self._with_rest(Room(), 0, drawn=False)
        budget = search_updates(limit, trainings.updates)
        judged = early_share(trainings.updates, budget / max(1, trainings.updates))
        room = Room(judged=judged)
        starts = [one for one in trainings.starts if one.updates <= budget]
        trials = self._tried(starts, budget, lambda work: room.of_a_trial * work.updates) or [trainings.mean]
        room = Room(trials, judged=judged)
        left -= sum(work.updates for work in trials) * room.of_a_trial
        each, all_read = max(1.0, trainings.one(trials).updates), trainings.all_read(len(trials))
        seeds = max(0, min(self.settings.seeds - 1, int(left / each) - (not all_read)))
        return self._with_rest(room, seeds, drawn=left - seeds * each >= each)

    def in_seconds(self, budget: float, always: float, seconds: Callable[[Work], float], asked: Work) -> Room:
        """What is always done and the random draw come first; a part is kept back for seeds, means and repairs.

        budget, always: seconds, of all and of what a fit does in any case. seconds: of some work, here. asked: asking
        one model the validation questions.
        """
        trainings, further = self.trainings, self.settings.seeds - 1
        asking = max(seconds(asked), 1e-6)
        each = seconds(trainings.plain) + asking
        left = budget - FINISHING - always
        if left < 0:
            return self._with_rest(Room(over=budget - left), 0, drawn=False, repaired=0)
        drawn = left >= each
        left -= each if drawn else 0.0
        free = left - min(further * each + 2 * REPAIRS * asking, KEPT_BACK * left)
        judged = early_share(trainings.updates, self.slots * free / each)
        room = Room(judged=judged)
        more = room.of_a_trial if judged == 1 else 1 + PROMOTED

        def cost(work: Work) -> float:
            return room.of_a_trial * seconds(work) + more * asking

        trials: list[Work] = []
        if free >= LEAST_JOBS * (judged * (each - asking) + asking):
            trials = self._tried(trainings.starts, self.slots * free, cost)
        left -= sum(map(cost, trials)) / self.slots
        one = seconds(trainings.one(trials)) + asking
        seeds = min(further, int(left / one))
        return self._with_rest(
            Room(trials, judged=judged), seeds, drawn=drawn, repaired=int((left - seeds * one) / asking)
        )

    def _tried(self, starts: Sequence[Work], budget: float, cost: Callable[[Work], float]) -> list[Work]:
        """The trials that a search has room for: its starts in their order, then others."""
        most, found = self.settings.limits.trials or _MOST, list[Work]()
        for work in starts:
            if len(found) >= most or cost(work) > budget:
                return found
            found.append(work)
            budget -= cost(work)
        mean = self.trainings.mean
        return found + [mean] * max(0, min(most - len(found), int(budget / max(cost(mean), 1e-9))))

    def _with_rest(self, room: Room, seeds: int, *, drawn: bool, repaired: int = REPAIRS) -> Room:
        """With seeds and what is made of all trainings. drawn: whether there is room for a random draw."""
        several = seeds > 0
        trained = 1 + room.finished + seeds
        possible = several + sum(trained >= count for count in BEST) + len(KEPT_CHANGE) + 1
        drawn = drawn and not self.trainings.all_read(len(room.trials))
        return Room(
            room.trials, seeds, min(possible, max(0, repaired)), possible, drawn, judged=room.judged, over=room.over
        )
