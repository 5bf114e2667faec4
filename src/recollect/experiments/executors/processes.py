"""Jobs in several processes of this machine.

Notable choices
- Worker processes are spawned, with the cores shared out among them and one GPU each where there are GPUs.
- They end with their parent, so a killed study leaves nobody at work in its folder.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic

from recollect.core.machine import choose_threads
from recollect.experiments.executors.base import Ended, Executor, Found, Job, Place, Submitted, Work, died


@dataclass
class _Worker(Generic[Job]):
    """One worker process, our end of its pipe, and the job it is at."""

    process: Any
    pipe: Connection
    at: Submitted[Job] | None = None


class ProcessExecutor(Executor[Job, Found]):
    """Runs jobs in spawned processes: as many as the place says, else one per GPU, else two."""

    def __init__(self, work: Work[Job, Found], place: Place) -> None:
        self._work, self._place = work, place
        self._slots = processes_of(place.workers)
        self._running: dict[int, _Worker[Job]] = {}
        self._numbers = count()

    @property
    def slots(self) -> int:
        """The number of processes."""
        return self._slots

    def submit(self, job: Job) -> None:
        """Give the job to a free worker; starts one where needed. Raises RuntimeError when all are busy."""
        self._give(Submitted(job, next(self._numbers)))

    def _give(self, one: Submitted[Job]) -> None:
        busy = {at for at, worker in self._running.items() if worker.at is not None}
        place = next((at for at in range(self._slots) if at not in busy), None)
        if place is None:
            raise RuntimeError(f"all {self._slots} workers are busy")
        worker = self._running.get(place) or self._start(place)
        self._running[place] = worker
        worker.at = one
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: `wait` finds out
            worker.pipe.send(one.job)

    def wait(self, seconds: float | None = None) -> list[Ended[Job, Found]]:
        """See `Executor.wait`."""
        until = None if seconds is None else time.monotonic() + seconds
        while pipes := {worker.pipe: at for at, worker in self._running.items() if worker.at is not None}:
            left = None if until is None else max(0.0, until - time.monotonic())
            ready = wait(list(pipes), left)
            found = [one for pipe, at in pipes.items() if pipe in ready and (one := self._collect(at))]
            if found:
                return [ended for _, ended in sorted(found, key=lambda one: one[0])]
            if not ready:
                break
        return []

    def _collect(self, place: int) -> tuple[int, Ended[Job, Found]] | None:
        """What a worker has to say; None when it died and was given the job anew."""
        worker = self._running[place]
        one = worker.at
        assert one is not None
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, ConnectionResetError, pickle.UnpicklingError):
            return self._died(place, one)
        worker.at = None
        if kind == "raised":
            raise value
        return one.number, Ended(one.job, value)

    def _died(self, place: int, one: Submitted[Job]) -> tuple[int, Ended[Job, Found]] | None:
        worker = self._running.pop(place)
        worker.process.join(10)
        worker.pipe.close()
        if failure := died(one, f" {death(worker.process.exitcode)}", self._place.retries):
            return one.number, Ended(one.job, None, failure)
        self._give(one)
        return None

    def _start(self, place: int) -> _Worker[Job]:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_live, args=(theirs, self._work), name=f"recollect-worker-{place}", daemon=True
        )
        with _environment(worker_environment(place, self._slots, self._place.threads)):
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def close(self) -> None:
        """End the workers; what they were at can be resumed from its last checkpoint."""
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


def worker_environment(at: int, workers: int, threads: int | None = None) -> dict[str, str]:
    """The share of this machine that worker `at` of `workers` gets: threads, and a GPU where there are GPUs."""
    values = {"OMP_NUM_THREADS": str(threads or max(1, choose_threads()[0] // workers))}
    gpus = visible_gpus()
    if gpus:
        values["CUDA_VISIBLE_DEVICES"] = gpus[at % len(gpus)]
    return values


def processes_of(workers: int | None) -> int:
    """How many there are: as many as wanted, else one per GPU, else two."""
    return workers or len(visible_gpus()) or 2


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


def _live(pipe: Connection, work: Work[Any, Any]) -> None:
    """The life of a worker process: jobs in, answers out, until the pipe closes or the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run = None
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            run = run or work.start()
            answer: tuple[str, Any] = ("found", run(job))
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
