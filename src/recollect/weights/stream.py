"""The walk over the weights: pieces of bounded size, worked on by a few threads, given back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

from recollect.core.machine import choose_threads

CHUNK = 1 << 22  # elements given to a thread at once
BLOCK = 1 << 16  # elements computed on at once: a few arrays of this size stay in a core's cache
MOST_THREADS = 8  # each holds some 30 MB

T = TypeVar("T")
R = TypeVar("R")


class Piece(NamedTuple):
    """Flat elements [start, stop) of a tensor."""

    name: str
    start: int
    stop: int

    def blocks(self) -> Iterator[tuple[int, int]]:
        """The piece in blocks, as (start, stop); always cut at multiples of BLOCK."""
        for start in range(self.start, self.stop, BLOCK):
            yield start, min(start + BLOCK, self.stop)


def pieces(names: Sequence[str], sizes: Mapping[str, int]) -> list[Piece]:
    """The tensors cut into pieces of at most CHUNK elements, in the order given; empty tensors have none."""
    return [
        Piece(name, start, min(start + CHUNK, sizes[name])) for name in names for start in range(0, sizes[name], CHUNK)
    ]


def threads_to_use() -> int:
    """How many threads to work with."""
    return min(choose_threads()[0], MOST_THREADS)


def in_order(items: Iterable[T], work: Callable[[T], R], threads: int) -> Iterator[R]:
    """`map(work, items)` on some threads, results in the order of the items; at most threads + 1 are under way.

    The first error ends the walk and is raised here.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[R]] = deque(pool.submit(work, item) for item in islice(waiting, threads + 1))
        try:
            while running:
                result = running.popleft().result()
                running.extend(pool.submit(work, item) for item in islice(waiting, 1))
                yield result
        finally:
            for future in running:
                future.cancel()
