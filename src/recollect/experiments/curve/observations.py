"""What a data curve is made of: one score per training run, from item-level outcomes where there are some.

Notable choices
- Runs are compared on the same items, so that what the items have in common cancels between sizes.
- One shape for every metric: the unweighted mean over groups of a ratio of sums over items. For accuracy every item
  counts 1 below the line; for F1 it counts 1 where a value is true and 1 where one is given, and 2 above the line where
  it is right.
- Groups are memory levels for facts and attributes for pages; without groups all items are one (micro).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.core.estimates import LEAST_PER_LEVEL, enough
from recollect.errors import InputError
from recollect.evaluate import RIGHT, units_of, with_right

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Metric = Literal["accuracy", "word", "f1"]


@dataclass(frozen=True)
class Items:
    """One row of outcomes per run, one column per item."""

    right: Floats
    """What each item adds above the line, runs × items; for accuracy its outcome, between 0 and 1."""
    group: Ints
    """Group of each item, numbered from 0."""
    unit: Ints
    """What each item was drawn with (a page has several items, and so may a subject), numbered from 0; resampled as a
    whole."""
    count: Floats | None = None
    """What each item adds below the line, runs × items; None when that is always 1."""

    def scores(self, weight: Floats | None = None) -> Floats:
        """The score of every run: the mean over groups of right / count, both summed with the weights; fractions.

        `weight` is draws × items; then the answer is draws × runs. Groups without count are left out.
        """
        weights = np.ones((1, len(self.group))) if weight is None else weight
        total, seen = np.zeros((len(weights), len(self.right))), np.zeros((len(weights), len(self.right)))
        for group in np.unique(self.group):
            here = self.group == group
            below = weights[:, here].sum(axis=1, keepdims=True)
            if self.count is not None:
                below = weights[:, here] @ self.count[:, here].T
            total += weights[:, here] @ self.right[:, here].T / np.where(below > 0, below, 1.0)
            seen += below > 0
        found: Floats = total / np.maximum(seen, 1.0)
        return found[0] if weight is None else found


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


def item_table(evaluation: Path, metric: Metric = "accuracy") -> pl.DataFrame:
    """The items of an evaluate step: item, unit, group, right, count, part. Facts are grouped by memory level; the
    answers of one conversation are one unit.

    `word` is for facts and `f1` for pages only; raises InputError for the other way round.
    """
    if (evaluation / "items.parquet").is_file():
        return _page_items(evaluation, metric)
    if metric == "f1":
        raise InputError("metric f1 is for pages, but these are facts. Use accuracy or word.")
    outputs = with_right(pl.read_parquet(evaluation / "outputs.parquet", glob=False))
    return outputs.select(
        item=pl.col("fact_id"),
        unit=units_of(outputs),
        group=pl.col("level"),
        right=pl.col("word" if metric == "word" else RIGHT).cast(pl.Float64),
        count=pl.lit(1.0),
        part=pl.col("part"),
    )


def _page_items(evaluation: Path, metric: Metric) -> pl.DataFrame:
    if metric == "word":
        raise InputError("metric word is for facts, but these are pages. Use accuracy or f1.")
    if metric == "accuracy":
        table = pl.read_parquet(evaluation / "items.parquet", glob=False)
        right = pl.col("right").cast(pl.Float64)
        return table.select("item", "unit", "group", right, pl.lit(1.0).alias("count"), "part")
    values = pl.read_parquet(evaluation / "values.parquet", glob=False)
    true = pl.col("truth").list.len() > 0
    # an attribute that no page of the part has is no part of the mean, as in the scorer
    judged = values.filter(true.any().over("part", "group"))
    return judged.select(
        "item",
        "unit",
        "group",
        right=2.0 * pl.col("right").cast(pl.Float64),
        count=true.cast(pl.Float64) + pl.col("given").is_not_null().cast(pl.Float64),
        part=pl.col("part"),
    )
