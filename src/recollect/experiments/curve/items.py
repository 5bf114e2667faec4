"""The test items behind the scores of a curve, and how an evaluation's answers become them.

Notable choices
- One shape for every metric: the unweighted mean over groups of a ratio of sums over items. For accuracy every item
  counts 1 below the line; for F1 it counts 1 where a value is true and 1 where one is given, and 2 above the line where
  it is right.
- Groups are memory levels for facts and attributes for pages; without groups all items are one (micro).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.errors import InputError

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
    """What each item was drawn with (a page has several items), numbered from 0; resampled as a whole."""
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


def item_table(evaluation: Path, metric: Metric = "accuracy") -> pl.DataFrame:
    """The items of an evaluate step: item, unit, group, right, count, part. Facts are grouped by memory level.

    `word` is for facts and `f1` for pages only; raises InputError for the other way round.
    """
    if (evaluation / "items.parquet").is_file():
        return _page_items(evaluation, metric)
    if metric == "f1":
        raise InputError("metric f1 is for pages, but these are facts. Use accuracy or word.")
    outputs = pl.read_parquet(evaluation / "outputs.parquet", glob=False)
    return outputs.select(
        item=pl.col("fact_id"),
        unit=pl.col("fact_id"),
        group=pl.col("level"),
        right=pl.col("word" if metric == "word" else "contains").cast(pl.Float64),
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
