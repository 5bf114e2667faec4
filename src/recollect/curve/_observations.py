"""What a data curve is made of: one score per training run, from item-level outcomes where there are some.

Notable choices
- One shape for every task: a score is the unweighted mean over groups of the mean outcome in each group. Groups are
  memory levels for facts and attributes for pages; without groups all items are one group (micro).
- Runs are compared on the same items, so that what the items have in common cancels between sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Items:
    """The test items behind the scores: one row of outcomes per run, one column per item."""

    right: Floats
    """Outcomes, runs × items, each between 0 and 1."""
    group: Ints
    """Group of each item, numbered from 0."""
    unit: Ints
    """What each item was drawn with (a page has several items), numbered from 0; resampled as a whole."""

    def scores(self, weight: Floats | None = None) -> Floats:
        """The score of every run: the mean over groups of the (weighted) mean outcome; fractions.

        `weight` is draws × items; then the answer is draws × runs. Groups without weight are left out.
        """
        weights = np.ones((1, len(self.group))) if weight is None else weight
        total, seen = np.zeros((len(weights), len(self.right))), np.zeros((len(weights), 1))
        for group in np.unique(self.group):
            here = self.group == group
            weighed = weights[:, here].sum(axis=1, keepdims=True)
            total += weights[:, here] @ self.right[:, here].T / np.where(weighed > 0, weighed, 1.0)
            seen += weighed > 0
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
    def sizes(self) -> Ints:
        """The different sizes, ascending."""
        return np.unique(self.size)

    def repeats(self) -> Ints:
        """Runs at each size."""
        return np.unique(self.size, return_counts=True)[1].astype(np.int64)

    def means(self) -> Floats:
        """Mean score at each size."""
        return np.asarray([self.score[self.size == size].mean() for size in self.sizes])


def from_items(tables: Mapping[tuple[int, int], pl.DataFrame], part: str) -> Observations | None:
    """Observations of one part from one item table per (size, seed); None when the part has no item.

    Each table has the columns item, unit, group (null = in no group), right and part, as `item_table` gives.
    When any item has a group, items without one are left out. Raises InputError when runs differ in their items.
    """
    chosen = {key: table.filter(pl.col("part") == part).sort("item") for key, table in sorted(tables.items())}
    first = next(iter(chosen.values()))
    if first["group"].null_count() < first.height:
        chosen = {key: table.filter(pl.col("group").is_not_null()) for key, table in chosen.items()}
        first = next(iter(chosen.values()))
    if not first.height:
        return None
    for (size, seed), table in chosen.items():
        if not table["item"].equals(first["item"]):
            raise InputError(
                f"all runs of a curve must hold the same items, but those of size {size}, seed {seed} differ."
            )
    right = np.asarray([table["right"].cast(pl.Float64).to_numpy() for table in chosen.values()])
    items = Items(right, _numbered(first["group"]), _numbered(first["unit"]))
    keys = np.asarray(list(chosen), dtype=np.int64)
    return Observations(keys[:, 0], keys[:, 1], 100 * items.scores(), items, part)


def _numbered(column: pl.Series) -> Ints:
    return column.cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64) - 1


def item_table(evaluation: Path) -> pl.DataFrame:
    """The items of an evaluate step: item, unit, group, right, part. Facts are grouped by memory level."""
    stored = evaluation / "items.parquet"
    if stored.is_file():
        table = pl.read_parquet(stored, glob=False)
        return table.select("item", "unit", "group", "right", "part")
    outputs = pl.read_parquet(evaluation / "outputs.parquet", glob=False)
    return outputs.select(
        item=pl.col("fact_id"),
        unit=pl.col("fact_id"),
        group=pl.col("level"),
        right=pl.col("contains"),
        part=pl.col("part"),
    )


def read_scores(path: Path, *, lower_is_better: bool = False) -> dict[str, Observations]:
    """A user's own runs from a CSV file with the columns size, seed, score (and part, if several), by part.

    Shares (all scores in 0..1) become points, except where lower is better: then the numbers keep their unit and
    are negated. Raises InputError with what is wrong in which file.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give a CSV file with the columns size, seed, score.")
    try:
        table = pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable CSV file: {str(error).splitlines()[0]}") from None
    missing = [name for name in ("size", "seed", "score") if name not in table.columns]
    if missing:
        raise InputError(f"{path} must have the columns size, seed, score, but {', '.join(missing)} is missing.")
    kinds = {"size": pl.Int64, "seed": pl.Int64, "score": pl.Float64}
    try:
        table = table.with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: size and seed must be whole numbers and score a number: {error}") from None
    if table.null_count().select("size", "seed", "score").sum_horizontal().item() if table.height else True:
        raise InputError(f"{path} must hold a size, a seed and a score in every row, and at least one row.")
    shares = not lower_is_better and table["score"].is_between(0, 1).all()
    factor = -1.0 if lower_is_better else 100.0 if shares else 1.0
    names = table["part"].cast(pl.String).unique(maintain_order=True) if "part" in table.columns else ["test"]
    found = {}
    for name in names:
        rows = table.filter(pl.col("part").cast(pl.String) == name) if "part" in table.columns else table
        scores = (rows["score"] * factor).to_list()
        found[str(name)] = Observations.of(rows["size"].to_list(), rows["seed"].to_list(), scores, str(name))
    return found
