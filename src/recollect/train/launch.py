"""Several processes of this machine at one training, which the first of them runs as it would alone.

Notable choices
- torch's elastic launcher starts them, finds them a port, and ends all of them when one dies. The process that asked
  for them trains nothing: it shows the progress, answers the judge, and waits.
- Each worker has a pipe to it, and ends when that closes. So Ctrl-C, and whatever else ends the process that asked,
  ends them too; none is left at work in the step's folder.
- What a worker prints goes to a file, of which the last line is shown where a worker dies without a word.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import tempfile
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from recollect.core.progress import Progress
from recollect.errors import RecollectError, RecollectWarning
from recollect.train.processes import tell

Ended = TypeVar("Ended")
Judge = Callable[[Sequence[tuple[int, float]]], str]
"""Given the losses so far as (update, loss): why to stop the training, or nothing."""
_LAUNCHER, _SPAWNING = "torch.distributed.elastic", "torch.multiprocessing.spawn"  # of log lines


@dataclass(frozen=True)
class Hears:
    """Who is told of a training, and asked about it."""

    progress: Progress | None = None
    judge: Judge | None = None


Work = Callable[[Hears], Ended]
"""What every worker runs; picklable. What the first one gives back is the result."""


@dataclass
class _Told:
    """What the workers said so far."""

    ended: list[Any] = field(default_factory=list)
    raised: dict[int, BaseException] = field(default_factory=dict)
    """By worker, in the order in which they came."""


def launch(work: Work[Ended], count: int, hears: Hears, device: str = "cpu") -> Ended:
    """Run `work` in `count` new processes, on a GPU each where the device is one; gives what the first one found.

    Raises what a worker raised, and RecollectError for one that died; the others are ended first.
    """
    import torch
    from accelerate.utils import patch_environment

    environment: dict[str, str] = {"omp_num_threads": str(max(1, torch.get_num_threads() // count))}
    if device == "cpu":
        environment["cuda_visible_devices"] = ""
    else:
        torch.cuda.empty_cache()  # the memory is the workers' now
    told = _Told()
    with tempfile.TemporaryDirectory(prefix="recollect-") as logs, _quiet(), patch_environment(**environment):
        _run_workers(work, count, hears, Path(logs), told)
    assert told.ended, "the first worker ended without a result"
    found: Ended = told.ended[0]
    return found


def _run_workers(work: Work[Any], count: int, hears: Hears, logs: Path, told: _Told) -> None:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
        logs_specs=DefaultLogsSpecs(log_dir=str(logs), redirects=Std.ALL),
    )
    ours, theirs = zip(*(Pipe() for _ in range(count)), strict=True)
    with ThreadPoolExecutor(1) as agent:
        running = agent.submit(elastic_launch(config, _live), theirs, work, hears.judge is not None)
        try:
            _serve(running, ours, hears, told)
        finally:
            for pipe in (*ours, *theirs):  # which ends the workers, where they are still at work
                pipe.close()
    try:
        running.result()
    except ChildFailedError as failed:
        raise _failure(failed, told, logs, count) from None


def _serve(running: Future[Any], pipes: Sequence[Connection], hears: Hears, told: _Told) -> None:
    """Hear the workers until all have ended."""
    while True:
        over = running.done()
        for pipe in wait(pipes, 0 if over else 0.1):
            assert isinstance(pipe, Connection)
            _hear(pipe, pipes.index(pipe), hears, told)
            over = False
        if over:
            return


def _hear(pipe: Connection, rank: int, hears: Hears, told: _Told) -> None:
    kind, said = pipe.recv()
    if kind == "progress" and hears.progress:
        hears.progress(*said)
    elif kind == "judge" and hears.judge:
        pipe.send(hears.judge(said))
    elif kind == "warned":
        warnings.warn(said, stacklevel=2)
    elif kind == "raised":
        told.raised[rank] = said
    elif kind == "ended":
        told.ended.append(said)


def _failure(failed: Any, told: _Told, logs: Path, count: int) -> BaseException:
    """What to raise for workers that failed: what one of them said, else that one died, and how."""
    rank, failure = failed.get_first_failure()
    known = next((error for error in told.raised.values() if isinstance(error, RecollectError)), None)
    if known or rank in told.raised:
        return known or told.raised[rank]
    how = f"with exit code {failure.exitcode}"
    if failure.exitcode < 0:
        hint = " (out of memory?)" if -failure.exitcode == signal.SIGKILL else ""
        how = f"killed by {failure.signal_name()}{hint}"
    said = [line for file in logs.rglob(f"{rank}/stderr.log") for line in file.read_text(errors="replace").split("\n")]
    last = next((f" Its last words: {line.strip()[:300]}" for line in reversed(said) if line.strip()), "")
    return RecollectError(
        f"process {rank + 1} of the training's {count} died, {how}, and the others were ended. Run the same command "
        f"again: it resumes from the last checkpoint, where --save-every made one.{last}"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The launcher's log lines say what we say better."""
    logger, handler, spawning = logging.getLogger(_LAUNCHER), logging.NullHandler(), logging.getLogger(_SPAWNING)
    before, level = logger.propagate, spawning.level
    logger.addHandler(handler)
    logger.propagate = False
    spawning.setLevel(logging.ERROR)
    try:
        yield
    finally:
        spawning.setLevel(level)
        logger.propagate = before
        logger.removeHandler(handler)


def _live(pipes: Sequence[Connection], work: Work[Any], judged: bool) -> None:
    """The life of a worker."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    rank = int(os.environ["RANK"])
    pipe = pipes[rank]
    replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, replies), daemon=True).start()
    warnings.showwarning = partial(_pass_on, pipe if rank == 0 else None)
    progress = (lambda done, total: pipe.send(("progress", (done, total)))) if rank == 0 else None

    def judge(losses: Sequence[tuple[int, float]]) -> str:
        if rank == 0:
            pipe.send(("judge", list(losses)))
        [said] = tell(len(pipes), [replies.get() if rank == 0 else ""])
        return str(said)

    try:
        found = work(Hears(progress, judge if judged else None))
        if rank == 0:
            pipe.send(("ended", found))
        torch.distributed.destroy_process_group()
    except BaseException as error:
        with suppress(OSError):
            pipe.send(("raised", _portable(error)))
        if not isinstance(error, RecollectError):
            time.sleep(1)  # it may be a lost neighbour: the one that died first is to be seen first
        os._exit(1)


def _listen(pipe: Connection, replies: queue.SimpleQueue[Any]) -> None:
    """Take in replies; end the process where nobody asks for it any more."""
    while True:
        try:
            replies.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)


def _pass_on(pipe: Connection | None, message: Warning | str, category: type[Warning], *_: object) -> None:
    if pipe and isinstance(message, RecollectWarning):
        pipe.send(("warned", message))


def _portable(error: BaseException) -> BaseException:
    """The error with its traceback as a note, if it can be sent; else one with its text."""
    text = "".join(traceback.format_exception(error))
    if isinstance(error, RecollectError):
        return error
    error.add_note(f"In a process of the training:\n{text}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(text)
    return error
