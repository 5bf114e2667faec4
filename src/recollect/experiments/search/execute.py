"""Where jobs run: in this process, or in several processes of this machine.

Notable choices
- An executor knows nothing of trials. It is given work, whose `start()` makes the function that runs jobs; each worker
  calls it once, so a model is loaded once per worker.
- Worker processes are spawned, with the cores shared out among them and one GPU each where there are GPUs.
- A worker that dies is replaced and its job runs again, up to `retries` times; then the job has failed.
- Workers end with their parent, so a killed search leaves nobody at work in its folder.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from recollect.experiments.search.types import Job, Outcome


class Work(Protocol):
    """What an executor is to do; sent to other processes, so it must be picklable."""

    def start(self) -> Callable[[Job], Outcome]:
        """Called once in each worker; gives the function that runs its jobs."""
        ...


class HereExecutor:
    """Runs jobs one after the other in this process."""

    slots = 1

    def __init__(self, work: Work) -> None:
        self._work = work
        self._run: Callable[[Job], Outcome] | None = None
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Take the job; it runs in `wait`."""
        self._jobs.append(job)

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """Run the oldest job to its end; `seconds` is not heeded."""
        if not self._jobs:
            return []
        if self._run is None:
            self._run = self._work.start()
        return [self._run(self._jobs.popleft())]

    def close(self) -> None:
        """Forget what was not begun."""
        self._jobs.clear()


@dataclass
class _Worker:
    """One worker process, our end of its pipe, and the job it is at."""

    process: Any
    pipe: Connection
    job: Job | None = None


@dataclass
class ProcessExecutor:
    """Runs jobs in `workers` spawned processes."""

    work: Work
    workers: int
    retries: int = 2
    environment: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """Environment variables by worker, over `worker_environment`."""
    _running: dict[int, _Worker] = field(default_factory=dict, init=False)
    _deaths: dict[tuple[int, int], int] = field(default_factory=dict, init=False)

    @property
    def slots(self) -> int:
        """The number of processes."""
        return self.workers

    def submit(self, job: Job) -> None:
        """Give the job to a free worker; starts one where needed. Raises RuntimeError when all are busy."""
        busy = {at for at, worker in self._running.items() if worker.job is not None}
        at = next((at for at in range(self.workers) if at not in busy), None)
        if at is None:
            raise RuntimeError(f"all {self.workers} workers are busy")
        worker = self._running.get(at) or self._start(at)
        self._running[at] = worker
        worker.job = job
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: `wait` finds out
            worker.pipe.send(job)

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """Outcomes of ended jobs, oldest first. Raises what a worker raised to stop the search."""
        until = None if seconds is None else time.monotonic() + seconds
        while any(worker.job is not None for worker in self._running.values()):
            left = None if until is None else max(0.0, until - time.monotonic())
            pipes = {worker.pipe: at for at, worker in self._running.items() if worker.job is not None}
            ready = wait(list(pipes), left)
            outcomes = [found for pipe in pipes if pipe in ready and (found := self._collect(pipes[pipe]))]
            if outcomes:
                return sorted(outcomes, key=lambda outcome: (outcome.trial, outcome.rung))
            if not ready:
                break
        return []

    def _collect(self, at: int) -> Outcome | None:
        """The outcome of a worker that has something to say; None when it died and was given the job anew."""
        worker = self._running[at]
        job = worker.job
        assert job is not None
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, ConnectionResetError, pickle.UnpicklingError):
            return self._died(at, job)
        worker.job = None
        if kind == "raised":
            raise value
        assert isinstance(value, Outcome)
        return value

    def _died(self, at: int, job: Job) -> Outcome | None:
        worker = self._running.pop(at)
        worker.process.join(10)
        worker.pipe.close()
        place = (job.trial, job.rung)
        self._deaths[place] = deaths = self._deaths.get(place, 0) + 1
        if deaths > self.retries:
            how = death(worker.process.exitcode)
            return Outcome(job.trial, job.rung, "failed", None, f"the worker died {deaths} times, the last time {how}")
        self.submit(job)
        return None

    def _start(self, at: int) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.work), name=f"recollect-worker-{at}", daemon=True)
        extra = {**worker_environment(at, self.workers), **self.environment.get(at, {})}
        with _environment(extra):
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def close(self) -> None:
        """End the workers; what they were at can be gone on with from its last checkpoint."""
        for worker in self._running.values():
            worker.process.terminate()
        for worker in self._running.values():
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(5)
            worker.pipe.close()
        self._running.clear()


def death(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        with suppress(ValueError):
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"killed by {signal.Signals(-code).name}{hint}"
    return f"with exit code {code}"


def worker_environment(at: int, workers: int) -> dict[str, str]:
    """The share of this machine that worker `at` of `workers` gets: threads, and a GPU where there are GPUs."""
    from recollect.core.machine import choose_threads

    values = {"OMP_NUM_THREADS": str(max(1, choose_threads()[0] // workers))}
    gpus = visible_gpus()
    if gpus:
        values["CUDA_VISIBLE_DEVICES"] = gpus[at % len(gpus)]
    return values


def visible_gpus() -> list[str]:
    """The GPUs this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() and name.strip() != "-1"]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the child that starts now; it must see them before it imports torch."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _work(pipe: Connection, work: Work) -> None:
    """The life of a worker process: jobs in, outcomes out, until the pipe closes or the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run: Callable[[Job], Outcome] | None = None
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            run = run or work.start()
            answer: tuple[str, Any] = ("outcome", run(job))
        except Exception as error:
            answer = ("raised", _portable(error))
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error, if it can be sent; else one with its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
