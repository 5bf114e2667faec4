"""What a data curve is made of: one score per training run, from item-level outcomes where there are some.

Notable choices
- Runs are compared on the same items, so that what the items have in common cancels between sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from recollect.core.estimates import LEAST_PER_LEVEL, enough
from recollect.core.tables import BadRows
from recollect.errors import InputError
from recollect.experiments.curve.items import Floats, Ints, Items
from recollect.experiments.curve.scores_file import read_runs

Unit = Literal["auto", "shares", "points"]


@dataclass(frozen=True)
class Observations:
    """Runs of one curve: run r was trained on `size[r]` examples with `seed[r]` and scored `score[r]`."""

    size: Ints
    seed: Ints
    score: Floats
    """In points (percent), or in the unit of a user's own numbers; higher is better."""
    items: Items | None = None
    name: str = field(default="test")
    shares: bool = False
    """Whether the scores are shares in points, which end at 0 and 100; those of items always are."""
    notes: tuple[str, ...] = ()
    """What the score is the mean of, where that is not all items, for a reader."""

    @classmethod
    def of(cls, size: Sequence[int], seed: Sequence[int], score: Sequence[float], name: str = "test") -> Observations:
        """From plain numbers; raises InputError for lengths that differ, negative sizes, repeats and non-numbers."""
        if not len(size) == len(seed) == len(score):
            raise InputError(
                f"size, seed and score must be equally long, but got {len(size)}, {len(seed)}, {len(score)}."
            )
        runs = sorted(zip(size, seed, score, strict=True))
        if any(n < 0 for n, _, _ in runs):
            raise InputError(f"sizes must be 0 or more, but got {runs[0][0]}.")
        if not all(np.isfinite(value) for _, _, value in runs):
            raise InputError("scores must be finite numbers, but there is a NaN or an infinity. Leave such runs out.")
        for first, second in pairwise(runs):
            if first[:2] == second[:2]:
                raise InputError(f"every (size, seed) may stand once, but ({first[0]}, {first[1]}) stands twice.")
        sizes, seeds, scores = ([run[at] for run in runs] for at in range(3))
        return cls(np.asarray(sizes, np.int64), np.asarray(seeds, np.int64), np.asarray(scores, np.float64), None, name)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest score there can be."""
        return (0.0, 100.0) if self.shares or self.items is not None else (-np.inf, np.inf)

    @property
    def sizes(self) -> Ints:
        """The different sizes, ascending."""
        return np.unique(self.size)

    def repeats(self) -> Ints:
        """Runs at each size."""
        return np.unique(self.size, return_counts=True)[1].astype(np.int64)

    def means(self) -> Floats:
        """Mean score at each size."""
        return np.asarray([self.score[self.size == size].mean() for size in self.sizes])


def from_items(
    tables: Mapping[tuple[int, int], pl.DataFrame], part: str, group: str | None = None, least: int = LEAST_PER_LEVEL
) -> Observations | None:
    """Observations of one part from one item table per (size, seed); None when the part has no item to count.

    Each table is one of `item_table`; null in its column group means in no group. When any item has a group, items
    without one are left out, and so are memory levels with fewer than `least` facts; where no level has as many, all
    facts are pooled, as in an evaluation. With `group`, the items of that one alone count, however few. Raises
    InputError when runs differ in their items.
    """
    chosen = {key: table.filter(pl.col("part") == part).sort("item") for key, table in sorted(tables.items())}
    first = next(iter(chosen.values()))
    notes: tuple[str, ...] = ()
    if group is not None:
        chosen = {key: table.filter(pl.col("group").cast(pl.String) == group) for key, table in chosen.items()}
    elif first["group"].null_count() < first.height:
        entered, notes = _entering(first["group"], least, part)
        here = pl.col("group").is_in(entered)
        pooled = pl.lit(None, first["group"].dtype).alias("group")
        chosen = {key: table.filter(here) if entered else table.with_columns(pooled) for key, table in chosen.items()}
    first = next(iter(chosen.values()))
    if not first.height:
        return None
    for (size, seed), table in chosen.items():
        if not table["item"].equals(first["item"]):
            raise InputError(
                f"all runs of a curve must hold the same items, but those of size {size}, seed {seed} differ."
            )
    right, count = (np.asarray([table[name].to_numpy() for table in chosen.values()]) for name in ("right", "count"))
    items = Items(right, _numbered(first["group"]), _numbered(first["unit"]), None if (count == 1).all() else count)
    keys = np.asarray(list(chosen), dtype=np.int64)
    return Observations(keys[:, 0], keys[:, 1], 100 * items.scores(), items, part, notes=notes)


def _entering(groups: pl.Series, least: int, part: str) -> tuple[list[int | str], tuple[str, ...]]:
    """The groups that enter the score, and what to say of those that do not. Attributes of pages, which are names and
    not numbers, all enter."""
    counts = dict(sorted(groups.drop_nulls().value_counts().iter_rows()))
    if not groups.dtype.is_integer():
        return list(counts), ()
    entered, left_out = enough(counts, least)
    few = ", ".join(f"{level} (n = {counts[level]})" for level in left_out)
    which = {"test": "In-domain", "ood": "Out-of-domain"}.get(part, part)
    if not entered:
        return [], (f"{which}, no memory level has {least} facts ({few}), so the score is that of all facts.",)
    if not left_out:
        return list(entered), ()
    return list(entered), (f"{which}, memory levels with fewer than {least} facts are left out of the score: {few}.",)


def _numbered(column: pl.Series) -> Ints:
    return column.cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64) - 1


def read_scores(
    path: Path, *, lower_is_better: bool = False, unit: Unit = "auto", bad: BadRows | None = None
) -> dict[str, Observations]:
    """A user's own runs from a table with the columns size, seed, score (and part, if several), by part.

    Shares become points, except where lower is better: then the numbers keep their unit and are negated. `unit` says
    whether scores are "shares" (0..1) or stand as they are ("points"); "auto" takes them for shares when all lie in
    0..1, and refuses a file that may hold both. `bad` takes the rows that cannot be used; by default the first one is
    an error. Raises InputError with what is wrong in which file.
    """
    table = read_runs(path, bad)
    shares = not lower_is_better and _are_shares(table["score"], unit, path)
    factor = -1.0 if lower_is_better else 100.0 if shares else 1.0
    table = table.with_columns(part=_parts(table, path))
    found = {}
    for name in table["part"].unique(maintain_order=True):
        rows = table.filter(pl.col("part") == name)
        scores = (rows["score"] * factor).to_list()
        runs = Observations.of(rows["size"].to_list(), rows["seed"].to_list(), scores, name)
        found[name] = replace(runs, shares=shares)
    return found


def _are_shares(scores: pl.Series, unit: Unit, path: Path) -> bool:
    """Whether scores are shares of 1; refuses those that may be shares and points in one file."""
    if unit == "points":
        return False
    inside = bool(scores.is_between(0, 1).all())
    if unit == "shares":
        if not inside:
            raise InputError(f"{path}: with unit shares every score must lie in 0 to 1, but got {_outside(scores):g}.")
        return True
    fractions = scores.filter((scores > 0) & (scores < 1))
    if len(fractions) and not inside and bool(scores.is_between(0, 100).all()):
        raise InputError(
            f"{path} seems to mix shares and points: it has scores such as {fractions[0]:g} and {_outside(scores):g}. "
            "Write all of them in one unit, or give --unit points if they are in one already."
        )
    return inside


def _outside(scores: pl.Series) -> float:
    return float(scores.filter(~scores.is_between(0, 1))[0])


def _parts(table: pl.DataFrame, path: Path) -> pl.Series:
    """The part of every row; "test" where the file names none at all."""
    if "part" not in table.columns:
        return pl.Series("part", ["test"] * table.height)
    parts = table["part"].cast(pl.String).str.strip_chars()
    empty = (parts.is_null() | (parts == "")).fill_null(value=True)
    if empty.any():
        raise InputError(
            f"{path} must name a part in every row or have no column part, but {empty.sum()} of {table.height} rows "
            f"have none (first: row {int(empty.arg_true()[0]) + 1})."
        )
    return parts
