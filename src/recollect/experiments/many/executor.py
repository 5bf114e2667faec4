"""The executor of cells on this machine: one after the other, or several at once where that is measured to pay.

Notable choices
- LoRA cells of one base are trained as many adapters in one pass, and asked together; see `together`.
- Full trainings go to several processes, where these do more than one with all threads: the first cell runs here and
  tells what the others will take, a few seconds of reading tell what processes would bring. They map the base's
  weights as they are in memory here. On a GPU the cells run one after the other, on the base in memory.
- What was chosen, why and what it is expected to bring is said. `--one-by-one` turns it off.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from recollect.core.numbers import many
from recollect.core.progress import duration
from recollect.experiments.attempts import reason_of
from recollect.experiments.cell import Cell, Context
from recollect.experiments.executors import Ended, Executor, Place, Work, make_executor
from recollect.experiments.executors.here import HereExecutor
from recollect.experiments.executors.processes import ProcessExecutor
from recollect.experiments.found import unheard
from recollect.experiments.many.threads import START, Processes, processes_for
from recollect.experiments.many.together import Errors, Together
from recollect.experiments.remaining import Remaining

Found = TypeVar("Found")
FoundOut = TypeVar("FoundOut", covariant=True)
_LEAST = 15.0
"""Seconds that processes must save."""


class CellWork(Work[Cell, FoundOut], Protocol[FoundOut]):
    """The work of cells, for an executor."""

    @property
    def context(self) -> Context:
        """What the cells have in common."""
        ...

    def failed(self, cell: Cell, error: BaseException) -> FoundOut:
        """What comes of a cell that an error ended; raises it where it ends the run."""
        ...


def cell_executor(
    name: str, work: CellWork[Found], place: Place, one_by_one: bool = False, say: Callable[[str], None] = unheard
) -> Executor[Cell, Found]:
    """The executor `name` at work on cells. "here" chooses by itself what to do at once, unless one_by_one."""
    if name == "here" and place.workers is None and not one_by_one:
        return CellExecutor(work, place, say)
    return make_executor(name, work, place)


class CellExecutor(Executor[Cell, Found]):
    """Runs cells here, as many at once as pays."""

    in_process = True

    def __init__(self, work: CellWork[Found], place: Place, say: Callable[[str], None] = unheard) -> None:
        self._work, self._place, self._say = work, place, say
        self._inner: Executor[Cell, Found] = HereExecutor(work, place)
        self._together = Together(work.context, say)
        self._held: list[Cell] = []
        self._passed: list[Cell] = []
        """Trained together; what is left of each is done one at a time."""
        self._errors: Errors = {}
        self._remaining: Remaining | None = None

    def expect(self, cells: Sequence[Cell], remaining: Remaining) -> None:
        """Know what is to come: these cells, and who tells how long they take."""
        self._remaining = remaining
        self._together.expect(cells)

    @property
    def slots(self) -> int:
        """As many as run at once."""
        return max(self._inner.slots, self._together.slots)

    def submit(self, job: Cell) -> None:
        """Take a cell; it runs in `wait`, unless there are processes."""
        if self._inner.slots > 1:
            self._inner.submit(job)
        elif len(self._held) + len(self._passed) >= self.slots:
            raise RuntimeError(f"all {self.slots} places are taken")
        else:
            self._held.append(job)

    def wait(self, seconds: float | None = None) -> list[Ended[Cell, Found]]:
        """See `Executor.wait`; `seconds` is heeded with processes alone."""
        if not self._passed:
            if not self._held:
                return self._inner.wait(seconds)
            self._passed, self._held = self._held, []
            self._errors = self._together.run(self._passed)
        cell = self._passed.pop(0)
        if cell.name in self._errors:
            return [Ended(cell, self._work.failed(cell, self._errors[cell.name]))]
        self._inner.submit(cell)
        ended = self._inner.wait()
        if not self._passed and self._together.slots == 1:
            self._choose(cell)
        return ended

    def _choose(self, cell: Cell) -> None:
        """Take processes for the rest, once it is known what that takes, where they save enough."""
        if self._remaining is None or cell.train.processes > 1:
            return
        left, seconds = self._remaining.left()
        if seconds is None or left < 2 or seconds < START + _LEAST:
            return
        base = self._work.context.base.load()
        found = processes_for(base, left, cell.train.batch_size)
        saved = saved_seconds(found, seconds)
        self._remaining = None  # asked once
        if saved < _LEAST:
            return
        if why := self._cannot_share():
            self._say(f"the other {many(left, 'training')} run here, one after the other: {why}")
            return
        self._say(
            f"the other {many(left, 'training')} go to {found.workers} processes: reading a batch, they do "
            f"{found.ratio:.1f} times as much as one process with all threads; about {duration(saved)} less "
            "(--one-by-one: here, one after the other)"
        )
        self._inner.close()
        self._inner = ProcessExecutor(self._work, replace(self._place, workers=found.workers))

    def _cannot_share(self) -> str:
        """Why processes cannot map the base's weights, as where /dev/shm is small; "" once they can."""
        base = self._work.context.base
        room, needed = shared_room(), sum(weight.nbytes for weight in base.load().model.parameters())
        if needed > room:
            return f"/dev/shm has room for {room / 2**20:,.0f} MiB, and the base's weights take {needed / 2**20:,.0f}"
        try:
            base.share()
        except (OSError, RuntimeError) as error:
            return f"processes cannot map the base's weights ({reason_of(error)})"
        return ""

    def close(self) -> None:
        """End what runs."""
        self._held.clear()
        self._passed.clear()
        self._inner.close()


def saved_seconds(found: Processes, seconds: float) -> float:
    """What processes save of so many seconds, less their start.

    Examples:
        >>> saved_seconds(Processes(2, 2.0), 100)
        40.0
    """
    return seconds - seconds / found.ratio - START if found.workers > 1 else 0.0


def shared_room() -> float:
    """Bytes that processes of this machine can share.

    Examples:
        >>> shared_room() > 0
        True
    """
    place = Path("/dev/shm")
    return shutil.disk_usage(place).free if place.is_dir() else math.inf
