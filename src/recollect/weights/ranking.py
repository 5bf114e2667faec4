"""Which weights changed most: an exact ranking of every weight, with none of them kept in memory.

Notable choices
- A non-negative float32 and its bits, read as a whole number, are ordered alike. So every order of weights becomes an
  order of 32-bit keys, largest first, and a ranking needs counters instead of a sort.
- Two-pass radix selection on the keys: pass 1 counts their upper 16 bits, pass 2 the lower 16 bits of those whose upper
  ones are a threshold's. The thresholds are exact, memory is a few counters, and all percents of a ladder share both.
- Ties are taken in canonical order: by tensor name, then by flat index. Neither shards nor threads matter.
- A cut is three numbers (key, tensor, index), so any piece of any tensor can be asked about at any time.
"""

from __future__ import annotations

import bisect
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recollect.errors import InputError, ModelError
from recollect.generate.random import GOLDEN, mix, text_key
from recollect.weights.pair import Pair, TensorPair, as_float32, names_of
from recollect.weights.read import F32, Piece, in_order, pieces, threads_to_use

if TYPE_CHECKING:
    import torch

Keys = np.ndarray[Any, np.dtype[np.uint32]]

EPSILON = np.float32(1e-8)
"""Added to |p| in the relative change, as the authors' code does (§5); so a base weight of zero has one."""
USUAL_PERCENT = 20.0
"""What is restored, or shown, where nothing was chosen: best for most levels in *Token and Parameter Levels*."""
ORDERS = ("relative", "absolute", "bottom", "random")
STILL = {"relative": 0, "absolute": 0, "bottom": 0xFFFF_FFFF}
"""The key of an unchanged weight. In bf16 most have it, and counting one number over and over is slow."""
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
Progress = Callable[[int, int], None]

_HALF = 1 << 16
_SEGMENTS = 16  # parts of the canonical order counted apart in pass 2, so that the last tie is found in one of them


def change_of(base: F32, tuned: F32) -> F32:
    """|s - p|, a new array."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: F32 = np.subtract(tuned, base)
    return np.abs(found, out=found)


def relative(absolute: F32, base: F32) -> F32:
    """|s - p| / (|p| + 1e-8) in float32, written over `absolute` (docs/studies.md §5)."""
    size = np.abs(base)
    size += EPSILON
    with np.errstate(over="ignore", invalid="ignore"):
        absolute /= size
    return absolute


def sort_keys(order: str, name: str, start: int, base: F32, tuned: F32, seed: int) -> Keys:
    """One key per element: larger ranks first. `start` is the flat index of the first element in tensor `name`.

    Raises ModelError, naming the tensor, when a value is NaN or infinite.
    """
    score = change_of(base, tuned)
    if order in ("relative", "bottom"):
        score = relative(score, base)
    if order == "random":
        check_finite(name, score, base, tuned)
        return _hashed(name, start, len(base), seed)
    check_finite(name, score, base, tuned)
    keys: Keys = score.view(np.uint32)
    return np.invert(keys, out=keys) if order == "bottom" else keys


def check_finite(name: str, score: F32, base: F32, tuned: F32) -> None:
    """Refuse NaN and infinities in either side; a score that overflows from finite values passes as the largest."""
    if np.isfinite(score.max(initial=0)):  # NaN is the maximum of anything with NaN
        return
    for side, values in (("base", base), ("tuned", tuned)):
        if not np.isfinite(values).all():
            raise ModelError(
                f"the {side} model's weight {name} holds NaN or infinite values. The checkpoint is broken."
            )


def _hashed(name: str, start: int, count: int, seed: int) -> Keys:
    """Random keys, a function of seed, tensor name and flat index alone."""
    index = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        index *= GOLDEN
        index += np.uint64(text_key(seed, name))
    return (mix(index) >> np.uint64(32)).astype(np.uint32)


class Threshold(NamedTuple):
    """In the cut: keys above `key`, and keys equal to it before flat index `until` of tensor `name`."""

    key: int
    name: str
    until: int

    def mask(self, keys: Keys, name: str, start: int) -> Mask:
        """Which of the keys of tensor `name`, from flat index `start` on, are in the cut."""
        if self.key >= _HALF**2:
            return np.zeros(len(keys), np.bool_)
        ties = len(keys) if name < self.name else 0 if name > self.name else max(0, self.until - start)
        if ties >= len(keys):
            return keys >= np.uint32(self.key)
        found: Mask = keys > np.uint32(self.key)
        found[:ties] |= keys[:ties] == np.uint32(self.key)
        return found


_NOTHING = Threshold(_HALF**2, "", 0)


@dataclass(frozen=True)
class Cut:
    """Which weights the top `percent` are. Pieces may be asked for in any order, by any thread."""

    order: str
    percent: float
    seed: int
    restored: int
    """Number of weights in the cut: floor(percent / 100 · of), or with per_tensor the sum of that over the tensors."""
    of: int
    """Number of weights in the region."""
    thresholds: Mapping[str, Threshold] = field(repr=False)
    """By tensor name; every tensor of the region is in it."""

    def has(self, name: str) -> bool:
        """Whether the region holds this tensor."""
        return name in self.thresholds

    def mask(self, name: str, base: Any, tuned: Any, start: int = 0) -> Mask:
        """Which of these elements are in the cut: a flat bool array, True = set back to base.

        `base`, `tuned`: torch tensors or numpy arrays of any float format and shape, the elements from flat index
        `start` of tensor `name` on. All False outside the region. Masks of rising percents of one Ranking nest.

        `tuned` may be the live values after a smaller cut of the same Ranking was restored in place: only the answers
        for weights that equal the base by now may differ, and restoring those again changes nothing. So a ladder needs
        no copy of the tuned weights: `m = torch.from_numpy(cut.mask(name, b, t)).view_as(t); t[m] = b[m]`.
        """
        ours, theirs = as_float32(base), as_float32(tuned)
        if name not in self.thresholds:
            return np.zeros(len(theirs), np.bool_)
        return self.thresholds[name].mask(sort_keys(self.order, name, start, ours, theirs, self.seed), name, start)


@dataclass(frozen=True)
class Ranking:
    """The cuts of one order on one pair, at the percents asked for."""

    order: str
    region: str
    per_tensor: bool
    seed: int
    of: int
    """Number of weights in the region."""
    changed: int
    """How many of them differ between base and tuned."""
    cuts: tuple[Cut, ...] = field(repr=False)

    @property
    def percents(self) -> tuple[float, ...]:
        """The percents asked for, rising."""
        return tuple(cut.percent for cut in self.cuts)

    def cut(self, percent: float) -> Cut:
        """The cut at one of `percents`. Raises InputError for another."""
        for found in self.cuts:
            if found.percent == percent:
                return found
        raise InputError(
            f"percent must be one of those ranked ({', '.join(map(str, self.percents))}), but got {percent}."
        )


def rank(
    pair: Pair,
    order: str = "relative",
    region: str = "decoder",
    percents: Sequence[float] = (USUAL_PERCENT,),
    per_tensor: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranking:
    """Rank every weight of `region` and find the exact cuts at `percents`, in bounded memory.

    `order`: `relative` (|s - p| / (|p| + 1e-8), largest first), `absolute` (|s - p|, largest first), `bottom`
    (least relative change first), `random` (a function of `seed`, tensor name and index). With `per_tensor` each tensor
    is ranked by itself. `progress` gets weights read and weights to read (twice the region).

    Raises InputError for an unknown order, a region without a tensor and a percent outside 0 to 100; ModelError, naming
    the tensor, for NaN and infinities.
    """
    names, shares = check_request(pair, order, region, percents)
    walk = _Walk(pair, order, seed, progress, 2 * sum(pair.sizes[name] for name in names))
    threads = threads_to_use()
    if per_tensor:
        selections = in_order(names, lambda name: walk.select([name], shares, 1), threads)
        groups = list(zip(([name] for name in names), selections, strict=True))
    else:
        groups = [(names, walk.select(names, shares, threads))]
    of = sum(pair.sizes[name] for name in names)
    cuts = []
    for number, share in enumerate(shares):
        thresholds = {name: found[0][number] for group, found in groups for name in group}
        restored = sum(how_many(share, sum(pair.sizes[name] for name in group)) for group, _ in groups)
        cuts.append(Cut(order, share, seed, restored, of, thresholds))
    return Ranking(order, region, per_tensor, seed, of, sum(found[1] for _, found in groups), tuple(cuts))


def check_request(pair: Pair, order: str, region: str, percents: Sequence[float]) -> tuple[list[str], list[float]]:
    """The region's tensors and the percents, rising; raises InputError for what `rank` could not do."""
    if order not in ORDERS:
        raise InputError(f"order must be {', '.join(ORDERS)}, but got order={order!r}.")
    shares = sorted({float(percent) for percent in percents})
    if not shares or not all(0 <= share <= 100 for share in shares):
        raise InputError(f"percent must be from 0 to 100, but got {', '.join(map(str, percents)) or 'none'}.")
    return names_of(pair, region), shares


def rank_tensors(
    base: Mapping[str, torch.Tensor],
    tuned: Mapping[str, torch.Tensor],
    order: str = "relative",
    region: str = "decoder",
    percents: Sequence[float] = (USUAL_PERCENT,),
    per_tensor: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranking:
    """`rank` for tensors in memory: two mappings of names to torch tensors."""
    return rank(TensorPair(base, tuned), order, region, percents, per_tensor, seed, progress)


def how_many(percent: float, of: int) -> int:
    """floor(percent / 100 · of), exact for the percent as it is written: 0.1 % of 1,000 is 1."""
    return math.floor(Fraction(str(percent)) * of / 100)


class _Walk:
    """The passes over a pair; `select` is one complete selection."""

    def __init__(self, pair: Pair, order: str, seed: int, progress: Progress | None, total: int) -> None:
        self.pair, self.order, self.seed = pair, order, seed
        self.still = STILL.get(order)
        self.progress, self.total, self.done = progress, total, 0
        self.lock = threading.Lock()

    def select(self, names: list[str], shares: Sequence[float], threads: int) -> tuple[list[Threshold], int]:
        """The threshold of each share over these tensors together, and how many of their weights changed."""
        todo = pieces(names, self.pair.sizes)
        of = sum(self.pair.sizes[name] for name in names)
        wanted = [how_many(share, of) for share in shares]
        upper = np.zeros(_HALF, np.int64)
        changed = 0
        for piece, (counts, differ) in zip(todo, in_order(todo, self._count_upper, threads), strict=True):
            upper += counts
            changed += differ
            self._tell(piece)
        above = _above(upper)
        bins = sorted({_bin(above, count) for count in wanted if count})
        lower = self._count_lower(todo, bins, threads)
        found = []
        for count in wanted:
            if count == 0:
                found.append(_NOTHING)
                continue
            high = _bin(above, count)
            counters = lower[bins.index(high)]
            rest = count - int(above[high])
            below = _above(counters.sum(0))
            low = _bin(below, rest)
            ties = counters[:, low].cumsum()
            found.append(self._last_tie(todo, (high << 16) | low, rest - int(below[low]), ties))
        return found, changed

    def _keys(self, piece: Piece) -> Any:
        """The piece's blocks, as (start, base, tuned, keys)."""
        self.pair.expect(*piece)
        for start, stop in piece.blocks():
            base, tuned = self.pair.read(piece.name, start, stop)
            yield start, base, tuned, sort_keys(self.order, piece.name, start, base, tuned, self.seed)

    def _count_upper(self, piece: Piece) -> tuple[Counts, int]:
        """Counters of the upper halves of the keys, and how many weights changed."""
        counter, changed, still = _Counter(), 0, 0
        for _, base, tuned, keys in self._keys(piece):
            moved = self._moved(keys)
            counter.add(moved >> np.uint32(16))
            still += len(keys) - len(moved)
            changed += len(moved) if self.still is not None else int(np.count_nonzero(base != tuned))
        counts = counter.finish()
        if self.still is not None:
            counts[self.still >> 16] += still
        return counts, changed

    def _moved(self, keys: Keys) -> Keys:
        """The keys without those of unchanged weights; all of them when those have no key of their own."""
        return keys if self.still is None else keys[np.flatnonzero(keys != np.uint32(self.still))]

    def _count_lower(self, todo: list[Piece], bins: list[int], threads: int) -> Counts:
        """Counters [bin, segment, lower half] of the keys in some bins of the upper half."""
        segments = min(_SEGMENTS, max(1, len(todo)))
        counts = np.zeros((len(bins), segments, _HALF), np.int64)

        apart = self.still is not None and self.still >> 16 in bins

        def work(piece: Piece) -> Counts:
            counters, still = [_Counter() for _ in bins], 0
            for _, _, _, keys in self._keys(piece):
                moved = self._moved(keys) if apart else keys
                still += len(keys) - len(moved)
                for high, counter in zip(bins, counters, strict=True):
                    offset = moved - np.uint32(high << 16)  # below 65,536 in the bin alone: unsigned numbers wrap
                    counter.add(offset[np.flatnonzero(offset < np.uint32(_HALF))])
            found = np.array([counter.finish() for counter in counters], np.int64).reshape(len(bins), _HALF)
            if self.still is not None and apart:
                found[bins.index(self.still >> 16), self.still & (_HALF - 1)] += still
            return found

        for number, (piece, found) in enumerate(zip(todo, in_order(todo, work, threads), strict=True)):
            counts[:, number * segments // len(todo)] += found
            self._tell(piece)
        return counts

    def _last_tie(self, todo: list[Piece], key: int, need: int, ties: Counts) -> Threshold:
        """The threshold that takes `need` of the keys equal to `key`; `ties`: their running count over the segments."""
        if need == ties[-1]:
            return Threshold(key, todo[-1].name, self.pair.sizes[todo[-1].name])
        segment = bisect.bisect_left(ties.tolist(), need)
        need -= int(ties[segment - 1]) if segment else 0
        first = -(-segment * len(todo) // len(ties))
        for piece in todo[first:]:
            for start, _, _, keys in self._keys(piece):
                places = np.flatnonzero(keys == np.uint32(key))
                if len(places) >= need:
                    return Threshold(key, piece.name, start + int(places[need - 1]) + 1)
                need -= len(places)
        raise AssertionError("the weights changed while they were ranked")  # pragma: no cover

    def _tell(self, piece: Piece) -> None:
        with self.lock:
            self.done += piece.stop - piece.start
            if self.progress:
                self.progress(self.done, self.total)


class _Counter:
    """Counts numbers below 65,536. They are gathered first: a call of bincount costs as much as many numbers."""

    def __init__(self) -> None:
        self.counts = np.zeros(_HALF, np.int64)
        self.waiting = np.empty(1 << 18, np.int64)
        self.used = 0

    def add(self, numbers: Keys) -> None:
        """Count at most 2^18 numbers."""
        if self.used + len(numbers) > len(self.waiting):
            self.finish()
        self.waiting[self.used : self.used + len(numbers)] = numbers
        self.used += len(numbers)

    def finish(self) -> Counts:
        """The counts of all so far."""
        self.counts += np.bincount(self.waiting[: self.used], minlength=_HALF)
        self.used = 0
        return self.counts


def _above(counts: Counts) -> Counts:
    """How many keys lie in higher bins, for each bin."""
    return counts[::-1].cumsum()[::-1] - counts


def _bin(above: Counts, count: int) -> int:
    """The bin of the count-th largest key: the lowest one with fewer than `count` keys above it."""
    return int(np.searchsorted(-above, -count, side="right"))
