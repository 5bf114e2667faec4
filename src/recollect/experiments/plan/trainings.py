"""The trainings of a fit that can be foretold: the plain one, the points that are tried first, others of the space.

Notable choices
- Where nothing is probed the points that a search tries first are known, and all their examples are all there are.
  Where memory levels are searched a point's length hangs on what the probe finds, so the mean over the space is taken.
- That the plain fine-tuning forgets something is supposed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.space import LONGEST, exhaustive, fit_space, fit_starts, plain_values, settled
from recollect.experiments.plan.work import Lengths, Work, train_work
from recollect.experiments.search.hold import expanded
from recollect.experiments.search.space import SELECT_NAMES, Space
from recollect.experiments.search.trial import TrialValues
from recollect.train import TrainSettings
from recollect.train.auto import WIDTH, updates_of
from recollect.train.auto import plan as plan_training

_POINTS = 300
"""Of the space, over which the length of a training is averaged."""


@dataclass(frozen=True)
class Trainings:
    """Those of one fit."""

    settings: FitSettings
    train: TrainSettings
    """Of the plain fine-tuning."""
    lengths: Lengths
    most: int
    """Facts, pages or conversations to train on."""
    probed: bool
    width: int
    """Of the model."""

    @cached_property
    def plain(self) -> Work:
        """The plain fine-tuning."""
        return train_work(self.train, self.most, self.lengths)

    @property
    def updates(self) -> int:
        """Of the plain fine-tuning."""
        return round(self.plain.updates)

    @cached_property
    def _point(self) -> TrialValues:
        return plain_values(self.train, self.most, plan_training(self.train, self.most, self.width).learning_rate)

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        return fit_space(self.settings, self.most, self.probed, self._point)

    @cached_property
    def exhaustive_updates(self) -> int:
        """Of a grid over the space, each of its trainings to its end."""
        return exhaustive(self.space, self.train, self.most)[1]

    @cached_property
    def starts(self) -> Sequence[Work]:
        """The points that are tried first, in their order; none where the probe decides about them."""
        if self.probed:
            return ()
        gentle = self.settings.forgetting > 0
        return [self._of(point) for point in fit_starts(self.space, self._point, self.most, gentle)]

    @cached_property
    def mean(self) -> Work:
        """Of a point of the space."""
        drawn = random.Random(0)
        parameters = self.space.parameters
        points = [{name: one.at(drawn.random()) for name, one in parameters.items()} for _ in range(_POINTS)]
        return Work.total([self._of(point) for point in points]) * (1 / _POINTS)

    def one(self, trials: Sequence[Work]) -> Work:
        """A training with the best settings of these trials, in their mean; without any it is the plain one."""
        return Work.total(list(trials)) * (1 / len(trials)) if trials else self.plain

    def all_read(self, trials: int) -> bool:
        """Whether the best of so many trials is trained on all examples, so that a random draw of as many is no
        other training. Without a trial the plain fine-tuning is the best."""
        if not trials:
            return True
        return not self.probed and (trials <= len(self.starts) or "size" not in self.space.parameters)

    def _of(self, point: TrialValues) -> Work:
        point = settled(point, self.space, lambda one: round(self._length(one).updates), LONGEST * self.updates)
        return self._length(point)

    def _length(self, point: TrialValues) -> Work:
        chosen = expanded({name: value for name, value in point.items() if name not in SELECT_NAMES})
        settings = TrainSettings.make(**self.train.model_dump(exclude_unset=True) | chosen)
        size = point.get("size")
        made = round((size if isinstance(size, int) else self.most) * self.lengths.examples)
        epochs = plan_training(settings, made, WIDTH).epochs
        updates = updates_of(settings, made, epochs)
        read = updates * settings.batch_size if settings.max_steps is not None else made * epochs
        return Work(updates=float(updates), trained=read * self.lengths.whole, trainings=1)
