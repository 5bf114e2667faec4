"""Jobs that one process gives out as it goes, done by workers who come by a folder that all of them see.

Notable choices
- The jobs at hand are one file, written by the process that leads; workers only read it. Who does what, how many died
  of it and what came of it is told by leases and by the jobs' own files, as with the executor "workers".
- Workers are always other processes: hands that the leading process starts, and whoever else comes. So nobody waits for
  new work while a long job is done, and a worker that dies takes no more along than the job it was at.
- As many jobs are given out as there are workers, so a scheduler decides as late as it can.
- When the list goes, whoever is at a job has lost it: that ends before anything more is stored (`refuse_lost`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol

from pydantic import TypeAdapter

from recollect._version import __version__
from recollect.core.json_object import JsonObject
from recollect.core.workspace import write_json
from recollect.core.workspace.lease import Holder, Leases
from recollect.core.workspace.shared import LEASES, WORKER, WORKERS, read_about, write_about
from recollect.errors import RecollectError, StepBusy, StepError
from recollect.experiments.executors.base import Ended, Found, Job, Place, SharedWork, Work
from recollect.experiments.executors.processes import ProcessExecutor
from recollect.experiments.executors.workers import MANY, POLL, HeldByOthers, WorkersExecutor

LET_GO = 10.0
"""Seconds that workers have to let go of what they are at, once there is no work any more."""
_JOBS = "jobs.json"
_BUSY = 5
"""Times in a row that a worker finds a job's folder held, before it raises that."""
_DEATHS = 3
"""So many times three deaths of a hand, and no job more is done: the fault is not in the jobs."""


@dataclass(frozen=True)
class JobList(Generic[Job]):
    """The jobs at hand, in a file of a folder; can be sent to other processes."""

    folder: Path
    kind: type[Job]
    """The class of the jobs, a dataclass of plain values."""

    def give(self, jobs: Sequence[Job]) -> None:
        """Write them, whole."""
        plain = TypeAdapter(self.kind)
        write_json(self.folder / _JOBS, [plain.dump_python(job, mode="json") for job in jobs])

    def read(self) -> list[Job] | None:
        """None where no work is given out (any more)."""
        try:
            data = (self.folder / _JOBS).read_bytes()
        except OSError:
            return None
        plain = TypeAdapter(list[self.kind])  # type: ignore[name-defined]
        return list(plain.validate_json(data))

    def about(self) -> JsonObject | None:
        """What the leading process left for workers; None where it has not come so far.

        Raises StepError where it runs another version of Recollect.
        """
        found = read_about(self.folder)
        if found and found.get("version") != __version__:
            raise StepError(
                f"{self.folder} is of Recollect {found.get('version')}, and this is {__version__}. Use one version."
            )
        return found or None


class Hands(Protocol):
    """The workers that the leading process starts itself; none need be at work yet."""

    @property
    def count(self) -> int:
        """How many of them count as there before they have said so."""
        ...

    def look(self, seconds: float) -> None:
        """Wait so long. Raises what ended one of them, unless another may go on."""
        ...

    def close(self) -> None:
        """End them."""
        ...


class LocalHands:
    """Workers in processes of this machine, which end with this one."""

    def __init__(self, work: Work[int, None], count: int) -> None:
        """work: its function is called with a number, and works until there is no list any more."""
        self.count = count
        self._executor: ProcessExecutor[int, None] = ProcessExecutor(work, Place(workers=count))
        self._free = list(range(count))
        self._failures = 0

    def look(self, seconds: float) -> None:
        """See `Hands.look`; one that died is replaced."""
        while self._free:
            self._executor.submit(self._free.pop())
        for ended in self._executor.wait(seconds):
            self._failures += bool(ended.failure)
            if self._failures >= _DEATHS:
                raise RecollectError(f"the workers of this machine do not stay alive: {ended.failure}.")
            self._free.append(ended.job)

    def close(self) -> None:
        """See `Hands.close`."""
        self._executor.close()


class QueueExecutor(WorkersExecutor[Job, Found]):
    """Gives jobs out by a list, and waits for what workers leave of them; does none itself."""

    in_process = False

    def __init__(
        self, work: SharedWork[Job, Found], place: Place, jobs: JobList[Job], hands: Hands, about: JsonObject
    ) -> None:
        """about: what a worker needs to know besides the jobs."""
        super().__init__(work, replace(place, leases=Leases(jobs.folder / LEASES)))
        self._list, self._hands, self._closed = jobs, hands, False
        self._told = MANY
        """Slots that there were when somebody asked."""
        self._workers = Leases(jobs.folder / WORKERS)
        if not self._workers.alive(WORKER):  # of an earlier life: who died then is forgotten
            for one in (LEASES, WORKERS):
                shutil.rmtree(jobs.folder / one, ignore_errors=True)
        for one in (LEASES, WORKERS):
            (jobs.folder / one).mkdir(parents=True, exist_ok=True)
        write_about(jobs.folder, about)
        jobs.give([])

    @property
    def slots(self) -> int:
        """As many as there are workers now; at most as the place says, and one at least."""
        self._told = self._room()
        return self._told

    def _room(self) -> int:
        return min(self._slots, max(1, self._hands.count, len(self._workers.alive(WORKER))))

    def submit(self, job: Job) -> None:
        """Give the job out. Raises RuntimeError when there are as many as workers."""
        if len(self._jobs) >= (room := self._room()):
            raise RuntimeError(f"all {room} workers are busy")
        self._jobs.append(job)
        self._list.give(self._jobs)

    def wait(self, seconds: float | None = None) -> list[Ended[Job, Found]]:
        """See `Executor.wait`; nothing, too, where workers have come since somebody asked for the slots."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._jobs:
            if ended := self._ended(self._leases.survey()):
                gone = [one.job for one in ended]
                self._jobs = [job for job in self._jobs if job not in gone]
                self._list.give(self._jobs)
                return ended
            left = POLL if until is None else min(POLL, until - time.monotonic())
            if self._room() > self._told or left <= 0:
                break
            self._hands.look(left)
        return []

    def close(self) -> None:
        """Take the list away, end the hands, and wait a moment until others have let go."""
        if self._closed:
            return
        self._closed = True
        self._jobs.clear()
        take_back(self._list.folder, self._hands.close)


def take_back(folder: Path, end: Callable[[], None] = lambda: None) -> None:
    """Take the list in a folder and all that is held of it away, and wait a moment until workers have let go.

    end: ends those that are not to be waited for.
    """
    with suppress(OSError):
        (folder / _JOBS).unlink(missing_ok=True)
    Leases(folder / LEASES).retire()
    end()
    workers, until = Leases(folder / WORKERS), time.monotonic() + LET_GO
    while workers.alive(WORKER) and time.monotonic() < until:
        time.sleep(POLL / 5)
    shutil.rmtree(folder, ignore_errors=True)


class _Listed(WorkersExecutor[Job, Found]):
    """A worker at a list that changes."""

    def run_free(self, jobs: Sequence[Job]) -> bool:
        """Do the first that is free; whether there was one. Raises HeldByOthers where others are at all of them."""
        before, self._jobs = self._leases.ended, list(jobs)
        while self.wait():
            if self._leases.ended > before:
                return True
        return False


def run_listed(
    jobs: JobList[Job], work: SharedWork[Job, Found], idle: float | None = None, retries: int = Place.retries
) -> bool:
    """Do what is listed and free until there is no list any more; whether it came to that, or nothing was free for
    `idle` seconds. Raises what the work raises; its job is then free for others. retries: those of the process that
    leads, so that nobody takes up a job that has failed before it says so."""
    since, busy = time.monotonic(), 0
    with Leases(jobs.folder / WORKERS) as workers, Leases(jobs.folder / LEASES) as leases:
        workers.take(f"{WORKER}{Holder.me().name}")
        worker = _Listed(work, Place(leases=leases, patient=False, retries=retries))
        while (listed := jobs.read()) is not None:
            try:
                if worker.run_free(listed):
                    since, busy = time.monotonic(), 0
                    continue
            except HeldByOthers:
                pass
            except StepBusy:  # taken over by another, or a killed one's folder is not free yet
                busy += 1
                if busy >= _BUSY:
                    raise
            except Exception:
                if jobs.read() is None:  # the work as a whole has ended, and its folder has another name
                    return True
                raise
            if idle is not None and time.monotonic() - since >= idle:
                return False
            time.sleep(POLL)
    return True


@dataclass(frozen=True)
class Hand(Generic[Job, Found]):
    """The work of a hand: a worker at the list for as long as it is there."""

    jobs: JobList[Job]
    work: SharedWork[Job, Found]
    retries: int = Place.retries

    def start(self) -> Callable[[int], None]:
        """See `Work.start`."""
        return self._run

    def _run(self, number: int) -> None:
        run_listed(self.jobs, self.work, retries=self.retries)
