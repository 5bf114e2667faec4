"""A toy executor, a pool of threads in this process as a user would write it; and work that no worker survives."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from typing import Any

from recollect.experiments.executors import Ended, Executor, Place, Work


class Deadly:
    """Work that the system kills a worker for, as it does where memory runs out."""

    def start(self) -> Callable[[Any], Any]:
        return lambda job: os.kill(os.getpid(), signal.SIGKILL)


class ThreadExecutor(Executor[Any, Any]):
    """Runs jobs in threads of this process."""

    in_process = True

    def __init__(self, work: Work[Any, Any], place: Place) -> None:
        self._work, self._slots = work, place.workers or 1
        self._pool = ThreadPoolExecutor(self._slots)
        self._jobs: dict[Future[Any], Any] = {}

    @cached_property
    def _run(self) -> Callable[[Any], Any]:
        return self._work.start()

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, job: Any) -> None:
        if len(self._jobs) == self._slots:
            raise RuntimeError("all threads are busy")
        self._jobs[self._pool.submit(self._run, job)] = job

    def wait(self, seconds: float | None = None) -> list[Ended[Any, Any]]:
        done = wait(self._jobs, seconds, FIRST_COMPLETED).done if self._jobs else set()
        return [Ended(self._jobs.pop(one), one.result()) for one in list(self._jobs) if one in done]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
