"""What several processes of few threads do beside one process of many: measured on the base, in a few seconds.

Small matrices leave most of a machine idle: two threads read a batch of the pocket hardly faster than one does, so two
processes do twice as much. A large model's matrices fill the cores, and several processes only share them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from recollect.core.machine import choose_threads
from recollect.models import LoadedModel

START = 10.0
"""Seconds until a worker process has its libraries: 6.6 on a quiet machine (docs/benchmarks.md), more beside others."""
_REPEATS, _TOKENS, _ENOUGH = 3, 32, 4.0
_ROOM = 0.8  # of the free memory


@dataclass(frozen=True)
class Processes:
    """How many processes there is room for, and what they are expected to bring."""

    workers: int
    ratio: float
    """How many times as much they do together as one process with all threads."""


def processes_for(base: LoadedModel, cells: int, batch_size: int) -> Processes:
    """As many processes as there are cores, cells and room in memory, each of which needs what this one has taken."""
    cores = choose_threads()[0]
    workers = 1 if base.device != "cpu" else min(cores, cells, 1 + _room())
    if workers < 2:
        return Processes(1, 1.0)
    few, many = seconds_to_read(base, batch_size, (max(1, cores // workers), cores))
    return Processes(workers, workers * many / few)


def _room() -> int:
    """How many more processes of this one's size the free memory holds."""
    import psutil

    return int(_ROOM * psutil.virtual_memory().available / max(1, psutil.Process().memory_info().rss))


def seconds_to_read(base: LoadedModel, batch_size: int, threads: tuple[int, int]) -> tuple[float, float]:
    """Seconds in which the base reads a batch with so many threads: medians of turns."""
    import torch

    vocabulary = int(base.model.config.get_text_config().vocab_size)
    ids = torch.arange(batch_size * _TOKENS).remainder(vocabulary).view(batch_size, _TOKENS)
    seconds: dict[int, list[float]] = {count: [] for count in threads}
    started = time.monotonic()
    with _threads_kept(), torch.inference_mode():
        base.model(input_ids=ids, use_cache=False)
        for _ in range(_REPEATS):
            for count in threads:
                torch.set_num_threads(count)
                before = time.perf_counter()
                base.model(input_ids=ids, use_cache=False)
                seconds[count].append(time.perf_counter() - before)
            if time.monotonic() - started > _ENOUGH:
                break
    few, many = (statistics.median(seconds[count]) for count in threads)
    return few, many


@contextmanager
def _threads_kept() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
