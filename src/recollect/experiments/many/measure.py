"""Whether a pass pays on this machine: a few updates of a few of the trainings, together and alone.

Notable choices
- What counts is the time from one update to the next; beginning and writing a training is no part of it, so that a
  few updates do not look like many short trainings.
- The measurement makes updates itself. Work of hardly more updates than it makes goes one after the other, unmeasured.
- Alone goes one of each kind: an update of another batch, rank or choice of modules takes another time.
- What was found holds for all later trainings of the run: it is not measured twice.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import polars as pl

from recollect.core.numbers import many
from recollect.experiments.attempts import ends_all, reason_of
from recollect.models import LoadedModel
from recollect.train import run_train
from recollect.train.auto import WIDTH, plan
from recollect.train.stack import TrainJob, run_trains

FEW, UPDATES = 4, 4
"""Trainings and updates of the measurement; the first update has no other before it and is not timed."""
LEAST = 1.3
"""Times as fast as one after the other, from which a pass is taken. Measured are updates alone, few of them and of
trainings equally long. A pass begins, writes and hashes each adapter as well, and has fewer side by side as the short
ones end; asking is the same. Where 1.2 was measured (SmolLM2) it gained nothing end to end, 0.97; the least that was
seen to gain is 1.4 (pocket)."""
WORTH = 4
"""Times as many updates as the measurement makes, from which it is made."""
_THE_SAME = {
    *("seed", "learning_rate", "schedule", "warmup_ratio", "weight_decay", "epochs", "max_steps"),
    *("lora_alpha", "lora_dropout"),
}
"""Settings on which the time of an update hardly depends."""
ALONE = "adapters are trained one after the other"


@dataclass(frozen=True)
class Gain:
    """What a pass was measured to bring."""

    trainings: int
    together: float
    """Seconds of an update of all in one pass."""
    alone: float
    """Seconds of an update of each, one after the other."""

    @property
    def ratio(self) -> float:
        """How many times as fast."""
        return self.alone / max(self.together, 1e-9)

    @property
    def line(self) -> str:
        """In words."""
        return (
            f"an update of {many(self.trainings, 'adapter')} took {self.together:.2g} s in one pass, {self.alone:.2g} "
            f"s one after the other: {self.ratio:.1f} times as fast"
        )


@dataclass
class Pays:
    """Whether trainings of one base are faster in one pass than one after the other; measured once, and said."""

    say: Callable[[str], None]
    found: bool | None = None
    """None until it was measured."""
    _said: str = field(default="", repr=False)

    def ask(self, jobs: Sequence[TrainJob], base: LoadedModel, among: int = 0) -> bool:
        """Whether these trainings should pass together. Not where the measurement fails.

        among: how many trainings there are in all, where these are only the first of them.
        """
        if self.found is not None or len(jobs) < 2:
            return bool(self.found)
        few = jobs[:FEW]
        updates, least = updates_to_come(jobs), WORTH * UPDATES * (len(_kinds(few)) + len(few))
        if updates * max(1.0, among / len(jobs)) < least:
            self._tell(f"{ALONE}: measuring whether a pass is faster would take longer than it could save")
            return False
        try:
            gain = measured(few, base)
        except Exception as error:
            if ends_all(error):
                raise
            self.no(f"{ALONE}: measuring a pass failed: {reason_of(error)}")
            return False
        if gain.ratio < LEAST:
            self.no(f"{ALONE}: {gain.line}")
            return False
        self.found = True
        self._tell(f"{many(len(jobs), 'training')} in one pass: {gain.line} (--one-by-one: one after the other)")
        return True

    def no(self, why: str) -> None:
        """Take no pass any more, and say why."""
        self.found = False
        self._tell(why)

    def _tell(self, line: str) -> None:
        if line != self._said:
            self.say(line)
        self._said = line


def updates_to_come(jobs: Sequence[TrainJob]) -> float:
    """How many updates these trainings make."""
    return sum(job.share * plan(job.settings, _examples(job), WIDTH).updates for job in jobs)


def _examples(job: TrainJob) -> int:
    assert job.selection is not None
    found: int = pl.scan_parquet(job.selection / "selection.parquet", glob=False).select(pl.len()).collect().item()
    return found


def _kinds(jobs: Sequence[TrainJob]) -> dict[str, list[int]]:
    """Which of the trainings take equally long for an update."""
    found: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        found.setdefault(job.settings.model_dump_json(exclude=_THE_SAME), []).append(number)
    return found


def measured(jobs: Sequence[TrainJob], base: LoadedModel) -> Gain:
    """A few updates of trainings in one pass, beside as many of one of each kind alone, in a folder that goes again."""
    together, seconds = _Updates(), 0.0
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is to be said of a few updates is nothing of the trainings
        few = [
            TrainJob(
                job.settings.model_copy(update={"max_steps": UPDATES, "save_every": None}),
                job.selection,
                out=Path(name) / str(number),
            )
            for number, job in enumerate(jobs)
        ]
        for kind, numbers in enumerate(_kinds(few).values()):
            alone, first = _Updates(), few[numbers[0]]
            run_train(first.settings, first.selection, out=Path(name) / f"alone-{kind}", base=base, progress=alone)
            seconds += len(numbers) * alone.seconds
        for result in run_trains(few, base=base, progress=together):
            if isinstance(result, Exception):
                raise result
    return Gain(len(few), together.seconds, seconds)


class _Updates:
    """Listens to a training's progress; tells the time from one update to the next."""

    def __init__(self) -> None:
        self._ends: dict[int, float] = {}

    def __call__(self, done: int, total: int) -> None:
        if done:
            self._ends.setdefault(done, time.monotonic())

    @property
    def seconds(self) -> float:
        """The median."""
        ends = list(self._ends.values())
        return statistics.median(after - before for before, after in pairwise(ends))
