"""How much the parameters changed, how concentrated the change is, and where it sits; measured in a stream.

Notable choices
- Concentration comes from 65,536 bins (the upper half of a float32's bits), each with a count and a sum. It is exact
  at a bin's edge; inside a bin the mean stands for each value. Values there differ by at most 1/128, so the error is
  bounded, and the bound is in the table.
- "Moved by one ulp" is told in the checkpoint's own format: neighbouring numbers of bf16, fp16 or fp32. A weight in
  bf16 that moved by one has the smallest change the format can show, so its rank says more about its size than about
  its training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from recollect.core.workspace.result import Result
from recollect.weights.pair import Pair, layer_of, module_of, names_of
from recollect.weights.ranking import Cut, change_of, rank, relative
from recollect.weights.read import F32, FLOATS, Piece, from_float32, in_order, pieces, threads_to_use

SHARES = (1, 3, 5, 10, 20, 40, 60)
"""The percents of *Token and Parameter Levels* (docs/studies.md §5)."""
_BINS = 1 << 16
_MAP_PERCENT = 20.0  # whose share in each module is shown (restored_20), as in the paper's figure of its modules

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


class ChangeFound(Result):
    """What changed between the two sides of a pair, in one region. Shares are fractions from 0 to 1."""

    region: str
    of: int
    """Number of weights in the region."""
    share_top: dict[str, float]
    """Share of Σ r held by the top 1, 3, … 60 % of the weights, r = |s - p| / (|p| + 1e-8). 0 when r is 0."""
    share_top_absolute: dict[str, float]
    """The same for |s - p|, ranked by itself."""
    unchanged: float
    """Share of weights that are the same number in the checkpoint's format."""
    one_ulp: float
    """Share of weights (of all, not of the changed ones) moved to the next number of the checkpoint's format."""
    norm_base: float
    """L2 norm of p over the region."""
    norm_change: float
    """L2 norm of s - p over the region."""


@dataclass(frozen=True)
class Change:
    """The figures of a change, and its tables."""

    found: ChangeFound
    concentration: pl.DataFrame = field(repr=False)
    """Columns: order (relative, absolute), percent, share, error (the share is at most this much too low)."""
    modules: pl.DataFrame = field(repr=False)
    """One row per layer and module. Columns: layer (null outside the layers), module, weights, share (of Σ r),
    mean_absolute (mean |s - p|), restored_20 (of its weights, those in the global top 20 % of r), unchanged (share)."""
    warnings: tuple[str, ...]


def change(pair: Pair, region: str = "decoder", progress: Callable[[int, int], None] | None = None) -> Change:
    """Measure the change of a region in bounded memory; it is read three times.

    `progress` gets weights read and weights to read. Raises InputError for a region without a tensor, ModelError for
    NaN and infinities, as `rank` does.
    """
    names = names_of(pair, region)
    of = sum(pair.sizes[name] for name in names)
    tell = progress or (lambda done, total: None)
    cut = rank(pair, "relative", region, [_MAP_PERCENT], progress=lambda at, _: tell(at, 3 * of)).cut(_MAP_PERCENT)
    todo = pieces(names, pair.sizes)
    total, tensors, done = _Sums(), {name: _Sums(histograms=False) for name in names}, 2 * of
    walk = in_order(todo, lambda piece: _measure(pair, cut, piece), threads_to_use())
    for piece, measured in zip(todo, walk, strict=True):
        total.add(measured)
        tensors[piece.name].add(measured)
        done += piece.stop - piece.start
        tell(done, 3 * of)
    curves = {order: _concentration(total.counts[order], total.sums[order]) for order in ("relative", "absolute")}
    concentration = pl.concat(
        pl.DataFrame({"order": [order] * len(SHARES), "percent": list(SHARES), "share": share, "error": error})
        for order, (share, error) in curves.items()
    )
    keys = [str(share) for share in SHARES]
    found = ChangeFound(
        region=region,
        of=of,
        share_top=dict(zip(keys, curves["relative"][0], strict=True)),
        share_top_absolute=dict(zip(keys, curves["absolute"][0], strict=True)),
        unchanged=total.unchanged / max(of, 1),
        one_ulp=total.one_ulp / max(of, 1),
        norm_base=math.sqrt(total.square_base),
        norm_change=math.sqrt(total.square_change),
    )
    warnings = _warnings(total, {pair.dtypes[name] for name in names})
    return Change(found, concentration, _modules(tensors, total.relative), warnings)


class _Sums:
    """What is added up over a piece, a tensor or the region."""

    def __init__(self, histograms: bool = True) -> None:
        self.weights = self.unchanged = self.one_ulp = self.restored = 0
        self.relative = self.absolute = self.square_base = self.square_change = 0.0
        self.counts: dict[str, Ints] = {}
        self.sums: dict[str, Floats] = {}
        if histograms:
            self.counts = {order: np.zeros(_BINS, np.int64) for order in ("relative", "absolute")}
            self.sums = {order: np.zeros(_BINS) for order in ("relative", "absolute")}

    def add(self, other: _Sums) -> None:
        for name in (
            "weights", "unchanged", "one_ulp", "restored", "relative", "absolute", "square_base", "square_change"
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for order in self.counts:
            self.counts[order] += other.counts[order]
            self.sums[order] += other.sums[order]


def _measure(pair: Pair, cut: Cut, piece: Piece) -> _Sums:
    """One piece, with its histograms."""
    found = _Sums()
    pair.expect(*piece)
    for start, stop in piece.blocks():
        base, tuned = pair.read(piece.name, start, stop)
        distance = _ulps(base, tuned, pair.dtypes[piece.name])
        found.weights += len(base)
        found.unchanged += len(base) - int(np.count_nonzero(distance))
        found.one_ulp += int(np.count_nonzero(np.abs(distance) == 1))
        found.restored += int(np.count_nonzero(cut.mask(piece.name, base, tuned, start)))
        absolute = change_of(base, tuned)
        found.square_base += float(np.square(base, dtype=np.float64).sum())
        found.square_change += float(np.square(absolute, dtype=np.float64).sum())
        found.absolute += _count(found, "absolute", absolute)
        found.relative += _count(found, "relative", relative(absolute, base))
    return found


def _count(found: _Sums, order: str, score: F32) -> float:
    """Put scores into their bins; their sum."""
    bins = (score.view(np.uint32) >> np.uint32(16)).astype(np.int64)
    sums = np.bincount(bins, score, _BINS)
    found.counts[order] += np.bincount(bins, minlength=_BINS)
    found.sums[order] += sums
    return float(sums.sum())


def _ulps(base: F32, tuned: F32, dtype: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Signed number of steps from base to tuned among the numbers of a format (wrapped to 32 bits; 0 and ±1 are exact).

    Bits of floats are sign and magnitude; turned into two's complement, neighbouring numbers differ by one.
    """
    signed: Any = np.int32 if dtype == "F32" else np.int16
    sides = []
    for values in (base, tuned):
        bits = from_float32(values, dtype).view(signed)
        magnitude = (bits & signed(np.iinfo(signed).max)).astype(np.int32)
        sides.append(np.where(bits < 0, -magnitude, magnitude))
    difference: np.ndarray[Any, np.dtype[np.int32]] = sides[1] - sides[0]
    return difference


def _concentration(counts: Ints, sums: Floats) -> tuple[list[float], list[float]]:
    """The shares of the sum held by the top SHARES percent, and by how much each may be too low."""
    total, of = float(sums.sum()), int(counts.sum())
    shares, errors = [], []
    for percent in SHARES:
        need, held, error = percent * of // 100, 0.0, 0.0
        for place in np.flatnonzero(counts)[::-1]:
            number, value = int(counts[place]), float(sums[place])
            if need < number:
                held += value * need / number
                low, high = np.array([place << 16, (place << 16) | 0xFFFF], np.uint32).view(np.float32)
                most = min(need * float(high), value - (number - need) * float(low))
                error = max(0.0, most - value * need / number)
                break
            held, need = held + value, need - number
        shares.append(held / total if total else 0.0)
        errors.append(error / total if total else 0.0)
    return shares, errors


def _modules(tensors: dict[str, _Sums], total: float) -> pl.DataFrame:
    places: dict[tuple[int | None, str], _Sums] = {}
    for name, found in tensors.items():
        places.setdefault((layer_of(name), module_of(name)), _Sums(histograms=False)).add(found)
    rows = sorted(places.items(), key=lambda item: (item[0][0] is None, item[0][0] or 0, item[0][1]))
    return pl.DataFrame(
        [
            {
                "layer": layer,
                "module": module,
                "weights": found.weights,
                "share": found.relative / total if total else 0.0,
                "mean_absolute": found.absolute / found.weights if found.weights else 0.0,
                "restored_20": found.restored,
                "unchanged": found.unchanged / found.weights if found.weights else 1.0,
            }
            for (layer, module), found in rows
        ],
        schema={
            "layer": pl.Int64,
            "module": pl.String,
            "weights": pl.Int64,
            "share": pl.Float64,
            "mean_absolute": pl.Float64,
            "restored_20": pl.Int64,
            "unchanged": pl.Float64,
        },
    )


def _warnings(total: _Sums, dtypes: set[str]) -> tuple[str, ...]:
    changed = total.weights - total.unchanged
    if dtypes & (FLOATS.keys() - {"F32"}) and 2 * total.one_ulp > changed:
        return (
            f"{total.one_ulp / changed:.0%} of the changed weights moved by one unit in the last place of "
            f"{'/'.join(sorted(dtypes))}: most of what the training did was rounded away, and their rank reflects the "
            "number format more than the learning. To rank the real change, save the tuned model in float32, or keep "
            "the adapter.",
        )
    return ()
