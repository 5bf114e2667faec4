"""Which texts are nearly the same as another one: exact, by the words they share.

The rule. A text is its words in the matchers' normal form, without case and punctuation; in scripts without blanks each
letter is a word. Two texts are nearly the same when these are equal, or when they share at least 0.8 of their runs of
three words (Jaccard: the runs in both by the runs in either). Runs that stand in over a tenth of the texts, and in more
than 20, are the frame that the rows of a task have in common, and do not count.

Notable choices
- No hashing tricks with a chance of missing a pair (MinHash): two texts that share 0.8 of their runs share one of the
  rarest fifth of either, so only those are looked up, and each pair found is compared in full.
- Each text is held against those that were kept before it, so a hundred copies cost a hundred comparisons.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recollect.facts.reading import near_key
from recollect.match import written_without_blanks
from recollect.match.text import folded

SHARE = 0.8
"""Of the runs of two texts, how much they must share to be nearly the same."""
RUN = 3
"""Words of a run."""
FRAME_SHARE, FRAME_TEXTS = 0.1, 20
"""A run in more than both of the texts is the frame of the task."""
# odd numbers with well-mixed bits: three word numbers become one of 64 bits, so that two runs hardly ever share one
_PRIMES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)

Runs = npt.NDArray[np.uint64]


def normal(text: str) -> str:
    """The same for texts that are equal but for case, blanks, punctuation and Unicode form.

    Signs that make another text stay: a minus or a decimal point in a number, and # + % & and the like.
    """
    plain = near_key(folded(text))
    if plain.isascii():
        return plain
    return " ".join("".join(f" {one} " if written_without_blanks(one) else one for one in plain).split())


def earlier_twins(texts: Sequence[str]) -> list[int | None]:
    """For each text the index of an earlier one that is nearly the same and has no such twin itself, else None."""
    index = _Index(list(map(normal, texts)))
    found: list[int | None] = []
    for at in range(len(texts)):
        found.append(index.find(at))
        if found[-1] is None:
            index.add(at)
    return found


def twins_among(texts: Sequence[str], others: Sequence[str]) -> list[bool]:
    """Whether each text is nearly the same as one of the others."""
    index = _Index(list(map(normal, [*others, *texts])))
    for at in range(len(others)):
        index.add(at)
    return [index.find(len(others) + at) is not None for at in range(len(texts))]


class _Index:
    """Texts that were added, to be found by one that is nearly the same."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._runs, self._rarity = _runs(texts)
        self._same: dict[str, int] = {}
        self._holders: dict[int, list[int]] = defaultdict(list)

    def add(self, at: int) -> None:
        self._same.setdefault(self._texts[at], at)
        for run in self._rarest(at):
            self._holders[run].append(at)

    def find(self, at: int) -> int | None:
        """The first text added that is nearly the same as this one."""
        if self._texts[at] in self._same:
            return self._same[self._texts[at]]
        size = len(self._runs[at])
        candidates = {other for run in self._rarest(at) for other in self._holders.get(run, ())}
        for other in sorted(candidates):
            least, most = sorted((size, len(self._runs[other])))
            if least < SHARE * most:
                continue
            shared = len(np.intersect1d(self._runs[at], self._runs[other], assume_unique=True))
            if shared >= SHARE * (least + most - shared):
                return other
        return None

    def _rarest(self, at: int) -> list[int]:
        """Runs of a text, one of which every text that is nearly the same has among its own."""
        runs = self._runs[at]
        order = np.lexsort((runs, self._rarity[at]))
        return [int(run) for run in runs[order[: len(runs) - math.ceil(SHARE * len(runs)) + 1]]] if len(runs) else []


def _runs(texts: Sequence[str]) -> tuple[list[Runs], list[npt.NDArray[np.int64]]]:
    """The different runs of each text as numbers, frames left out, and in how many texts each of them stands."""
    numbers: dict[str, int] = {}
    found: list[Runs] = []
    for text in texts:
        ids = np.array([numbers.setdefault(word, len(numbers) + 1) for word in text.split()], np.uint64)
        width = max(1, len(ids) - RUN + 1)
        mixed = np.zeros(width if len(ids) else 0, np.uint64)
        for place, prime in enumerate(_PRIMES):
            part = ids[place : place + width]
            mixed[: len(part)] = (mixed[: len(part)] ^ part) * np.uint64(prime)
        found.append(np.unique(mixed))
    every, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *found]), return_counts=True)
    frame = max(FRAME_TEXTS, FRAME_SHARE * len(texts))
    runs, rarity = [], []
    for one in found:
        held = counts[np.searchsorted(every, one)]
        runs.append(one[held <= frame])
        rarity.append(held[held <= frame])
    return runs, rarity
