"""Jobs shared with other processes, on any machines that see the folder: who comes first takes a job, nobody directs.

Notable choices
- Every worker has all the jobs. It holds the lease of one while it runs it in its own process, and knows those that
  others have done by the files that they left.
- A worker that dies loses its lease, and another runs the job. A job of which more than `retries` workers died has
  failed, for all of them.
- A worker whose lease another took over, since it was stopped for so long, ends its work on the job without a word.
- What work raises frees its lease and ends this worker alone; another may have better luck, or raises it too.
- The lease says who did what: `Leases.survey`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from recollect.core.workspace.lease import Leases, Seen
from recollect.errors import InputError, StepBusy
from recollect.experiments.executors.base import Ended, Executor, Found, Job, Place, SharedWork, Work

MANY = 100_000
"""Jobs that may be under way at once, unless the place says less: all."""
POLL = 0.5
"""Seconds between two looks at what others do."""


class HeldByOthers(StepBusy):
    """All that is left to do here is being done by other workers, or waits for what they do."""


class WorkersExecutor(Executor[Job, Found]):
    """Runs, while it is waited for, the next job that no other worker holds."""

    in_process = True

    def __init__(self, work: Work[Job, Found], place: Place) -> None:
        if not isinstance(work, SharedWork):
            raise InputError("executor workers can share a study alone, whose cells are known by their folders.")
        self._shared: SharedWork[Job, Found] = work
        self._place, self._slots = place, place.workers or MANY
        self._own = place.leases is None
        self._leases = place.leases or _leases_in(place.folder)
        self._jobs: list[Job] = []
        self._run: Callable[[Job], Found] | None = None

    @property
    def slots(self) -> int:
        """All jobs, so that this worker finds one that is free."""
        return self._slots

    def submit(self, job: Job) -> None:
        """Take note of the job. Raises RuntimeError beyond `slots`."""
        if len(self._jobs) >= self._slots:
            raise RuntimeError(f"the list of {self._slots} jobs is full: its worker is busy")
        self._jobs.append(job)

    def wait(self, seconds: float | None = None) -> list[Ended[Job, Found]]:
        """Those that others ended; else the next free one, run to its end; else waits for others, or `seconds`.

        Raises HeldByOthers instead of waiting where the place is not patient.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while self._jobs:
            seen = self._leases.survey()
            if ended := self._ended(seen) or self._next(seen):
                gone = [one.job for one in ended]
                self._jobs = [job for job in self._jobs if job not in gone]
                return ended
            if not self._place.patient:
                raise HeldByOthers(f"{len(self._jobs)} pieces of work are held by other workers.")
            if until is not None and time.monotonic() >= until:
                break
            time.sleep(POLL)
        return []

    def stuck(self) -> bool:
        """Whether there is nothing to do but wait: all jobs that are left are held by others."""
        seen = self._leases.survey()
        return bool(self._jobs) and all(seen.get(self._shared.name(job), Seen()).alive for job in self._jobs)

    def _ended(self, seen: dict[str, Seen]) -> list[Ended[Job, Found]]:
        """The jobs that others have done, or that have failed."""
        ended = []
        for job in self._jobs:
            how = seen.get(self._shared.name(job), Seen())
            if how.alive:
                continue
            if how.state == "failed" and how.record is not None:
                ended.append(Ended[Job, Found](job, None, how.record.note))
            elif how.deaths > self._place.retries:
                ended.append(Ended[Job, Found](job, None, f"the worker died {how.deaths} times"))
            elif (found := self._shared.found(job, _word(how))) is not None:
                ended.append(Ended(job, found))
        return ended

    def _next(self, seen: dict[str, Seen]) -> list[Ended[Job, Found]]:
        """The first job that is free, run."""
        for job in self._jobs:
            name = self._shared.name(job)
            lease = self._leases.take(name, seen.get(name, Seen()), again=True)
            if lease is None:
                continue
            with lease:
                if (found := self._shared.found(job, "")) is None:
                    self._run = self._run or self._shared.start()
                    found = self._run(job)
                lease.refuse_lost()  # what came of it is the other's to say
                lease.end("done", self._shared.word(job, found))
            return [Ended(job, found)]
        return []

    def close(self) -> None:
        """Give back what is held, and forget the rest."""
        self._jobs.clear()
        if self._own:
            self._leases.close()


def _word(how: Seen) -> str:
    return how.record.note if how.state == "done" and how.record is not None else ""


def _leases_in(folder: Path | None) -> Leases:
    if folder is None:
        raise InputError("executor workers wants a folder that all workers share (--out).")
    made = folder / "leases"
    made.mkdir(parents=True, exist_ok=True)
    return Leases(made)
