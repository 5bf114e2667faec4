"""What an executor is: it runs jobs somewhere, several at once, and tells what came of each.

Notable choices
- An executor knows nothing of trainings. It is given work, whose `start()` makes the function that runs jobs; each
  worker calls it once, so a model is loaded once per worker. What to run, and when, stays with one central loop: a
  study on a cluster is the same study as here.
- A worker that dies is replaced and its job runs again, up to `retries` times; then the job has ended without an
  answer. What the work itself raises is raised by `wait`: no worker is at fault, and it would be raised again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, runtime_checkable

from recollect.core.workspace.lease import Leases

Job = TypeVar("Job")
Found = TypeVar("Found")
JobIn = TypeVar("JobIn", contravariant=True)
FoundOut = TypeVar("FoundOut", covariant=True)


class Work(Protocol[JobIn, FoundOut]):
    """What the workers do; sent to other processes and machines, so it and its jobs and answers must be picklable."""

    def start(self) -> Callable[[JobIn], FoundOut]:
        """Called once in each worker; gives the function that runs its jobs."""
        ...


@runtime_checkable
class SharedWork(Protocol[JobIn, FoundOut]):
    """Work whose jobs leave files, by which one process knows what another did; see the executor "workers"."""

    def start(self) -> Callable[[JobIn], FoundOut]:
        """As `Work.start`."""
        ...

    def name(self, job: JobIn) -> str:
        """The job's name, the same in every process and no other job's."""
        ...

    def word(self, job: JobIn, found: Any) -> str:
        """What its files do not tell of what came of a job; goes with its lease to the other processes."""
        ...

    def found(self, job: JobIn, word: str) -> FoundOut | None:
        """What came of the job, read from its files, whoever ran it; None where it is not finished.

        word: as who did it left it; "" where nobody is known to have done it.
        """
        ...


@dataclass(frozen=True)
class Ended(Generic[Job, Found]):
    """A job that ended: with what was found, or with the reason why nothing was: all its workers died."""

    job: Job
    found: Found | None
    failure: str = ""


@dataclass(frozen=True)
class Place:
    """What there is to run on, and how much of it each job gets. An executor takes from it what it knows."""

    workers: int | None = None
    """Jobs at once; None leaves it to the executor."""
    retries: int = 2
    """How often a job is run again when its worker died."""
    threads: int | None = None
    """CPU threads of each worker; None shares the machine's cores out."""
    gpus: float | None = None
    """ray: GPUs of each worker; 0.5 puts two on one. None is 1 where there are any."""
    address: str | None = None
    """ray: the cluster's head, or "auto"; None starts one on this machine."""
    folder: Path | None = None
    """Where the results go: all machines must see it on this path."""
    leases: Leases | None = None
    """workers: who does what, where that is settled already; None keeps it in the folder."""
    patient: bool = True
    """workers: wait for jobs that others are at; else `wait` raises `HeldByOthers` where there are no others."""


class Executor(ABC, Generic[Job, Found]):
    """Runs jobs, here or elsewhere; used by one thread. To add one: a class in a file, and a line in `EXECUTORS`.

    It is made with the work and the place, and must pass `conformance.CHECKS`.
    """

    in_process: ClassVar[bool] = False
    """The jobs run in this very process, by the very object that was given as work."""

    @abstractmethod
    def __init__(self, work: Work[Job, Found], place: Place) -> None:
        """Raises InputError where the place has no room for one job."""

    @classmethod
    def check(cls, place: Place) -> None:
        """Raise InputError, before any work, where this place cannot be reached."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs may run at once."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Start a job. Raises RuntimeError when `slots` are under way."""

    @abstractmethod
    def wait(self, seconds: float | None = None) -> list[Ended[Job, Found]]:
        """Jobs that ended; waits for at least one, or `seconds`, and not at all where none runs. Those that are found
        together come in the order in which they were submitted. Raises what the work raised."""

    @abstractmethod
    def close(self) -> None:
        """Stop what runs and leave no process behind; files stay as they are. Closing twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Submitted(Generic[Job]):
    """A job under way: the how-manieth it was, and how many workers died of it."""

    job: Job
    number: int
    deaths: int = 0


def died(one: Submitted[Job], how: str, retries: int) -> str:
    """Count a death; the job's failure when that was one too many, else nothing: it is to run again."""
    one.deaths += 1
    return f"the worker died {one.deaths} times, the last time{how}" if one.deaths > retries else ""


def run_all(executor: Executor[Job, Found], jobs: Iterable[Job]) -> Iterator[Ended[Job, Found]]:
    """Run all jobs, as many at once as there are slots; gives each as it ends."""
    waiting, under_way = deque(jobs), 0
    while waiting or under_way:
        while waiting and under_way < executor.slots:
            executor.submit(waiting.popleft())
            under_way += 1
        for ended in executor.wait():
            under_way -= 1
            yield ended
