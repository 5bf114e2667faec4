"""Jobs one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable

from recollect.experiments.executors.base import Ended, Executor, Found, Job, Place, Work


class HereExecutor(Executor[Job, Found]):
    """Runs each job while it is waited for."""

    in_process = True

    def __init__(self, work: Work[Job, Found], place: Place) -> None:
        self._work = work
        self._run: Callable[[Job], Found] | None = None
        self._jobs: list[Job] = []

    @property
    def slots(self) -> int:
        """One."""
        return 1

    def submit(self, job: Job) -> None:
        """Take the job; it runs in `wait`."""
        if self._jobs:
            raise RuntimeError("the only worker is busy")
        self._jobs.append(job)

    def wait(self, seconds: float | None = None) -> list[Ended[Job, Found]]:
        """Run the job to its end; `seconds` is not heeded."""
        if not self._jobs:
            return []
        if self._run is None:
            self._run = self._work.start()
        job = self._jobs.pop()
        return [Ended(job, self._run(job))]

    def close(self) -> None:
        """Forget what was not begun."""
        self._jobs.clear()
