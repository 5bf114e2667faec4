"""Scores from the outcomes by item: the same for facts (by memory level) and pages (by attribute), and paired.

Notable choices
- A score is the unweighted mean over groups of the share of right items, as everywhere in Recollect. Groups are memory
  levels with enough facts (`least_per_level` of the section evaluate), or attributes; without any group all items are
  one.
- Intervals are those of `recollect.core.estimates`: levels melded, differences paired by fact inside levels, pages as a
  whole. They hold the noise of the questions, not that of training again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.core import estimates as statistics
from recollect.core.estimates import LEAST_PER_LEVEL, Pairs
from recollect.errors import InputError
from recollect.experiments.curve.observations import item_table

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A number in points with its 95 % bounds and the number of items behind it."""

    value: float
    low: float
    high: float
    n: int

    def json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    @classmethod
    def of(cls, found: statistics.Estimate) -> Estimate:
        """From a fraction."""
        return cls(*found.percent, found.n)


@dataclass(frozen=True)
class Scored:
    """Several models on the same items of one part."""

    right: Mapping[int, Bools]
    """Verdicts by model, one per item that enters the score."""
    groups: NDArray[np.str_]
    """Group of each item."""
    units: NDArray[np.str_]
    """What each item was drawn with: a fact, or a page with all its values."""
    pages: bool
    how: str
    """What the score is the mean of, for a reader."""

    @property
    def names(self) -> list[str]:
        """The groups that enter, in order."""
        return sorted(set(self.groups.tolist()))

    def of(self, name: int) -> Estimate:
        """One model's score."""
        right = self.right[name]
        if self.pages:
            return Estimate.of(statistics.clustered_macro(right.tolist(), self.units.tolist(), self.groups.tolist()))
        counts = [right[self.groups == group] for group in self.names]
        return Estimate.of(statistics.macro_mean([int(one.sum()) for one in counts], [len(one) for one in counts]))

    def gain(self, name: int, over: int) -> Estimate:
        """One model's score less another's, paired."""
        if self.pages:
            return Estimate.of(_pages_gain(self, name, over))
        return Estimate.of(statistics.paired(self.pairs(name, over, self.names)))

    def pairs(self, name: int, over: int, groups: Sequence[str]) -> list[Pairs]:
        """Who was right, by group: first `over`, second `name`."""
        at = [self.groups == group for group in groups]
        return [Pairs.of(self.right[over][one].tolist(), self.right[name][one].tolist()) for one in at]


def compare(evaluations: Mapping[int, Path], part: str, least: int = LEAST_PER_LEVEL) -> Scored | None:
    """Score several evaluate steps of the same questions together; None when the part has no item.

    Levels with fewer than `least` facts are left out; where none has as many, all facts are pooled. Raises InputError
    when the evaluations hold different items.
    """
    tables = {at: item_table(path).filter(pl.col("part") == part).sort("item") for at, path in evaluations.items()}
    first = next(iter(tables.values()))
    if not first.height:
        return None
    for at, table in tables.items():
        if not table["item"].equals(first["item"]):
            raise InputError(
                f"models can be compared on the same questions only, but those of {evaluations[at]} differ."
            )
    pages = all((path / "items.parquet").is_file() for path in evaluations.values())
    groups = first["group"].cast(pl.String)
    entered, how = _entering(groups, 1 if pages else least, "attributes" if pages else "memory levels")
    keep = pl.Series([True] * first.height) if entered is None else groups.is_in(entered).fill_null(False)
    names = ["all"] * first.height if entered is None else groups.to_list()
    return Scored(
        {at: (table.filter(keep)["right"] > 0.5).to_numpy() for at, table in tables.items()},
        np.asarray(names)[keep.to_numpy()].astype(np.str_),
        first.filter(keep)["unit"].cast(pl.String).to_numpy().astype(np.str_),
        pages,
        how,
    )


def score_of(evaluation: Path, part: str = "test", least: int = LEAST_PER_LEVEL) -> float:
    """The score of one evaluate step in points; InputError when the part has no item."""
    found = compare({0: evaluation}, part, least)
    if found is None:
        raise InputError(f"{evaluation} has no item to score in the part {part}.")
    return 100 * float(np.mean([found.right[0][found.groups == group].mean() for group in found.names]))


def drop(seen: Scored, unseen: Scored, best: int, over: int) -> Estimate:
    """One model's gain over another on the seen questions, less that on the unseen; the two share no question.

    By the groups that both have, so that both sides mean the same.
    """
    common = [name for name in seen.names if name in unseen.names]
    if common and not seen.pages:
        first, second = unseen.pairs(best, over, common), seen.pairs(best, over, common)
        return Estimate.of(statistics.difference_of_paired(first, second))
    one, two = seen.gain(best, over), unseen.gain(best, over)
    low = math.hypot(one.value - one.low, two.high - two.value)  # Zou and Donner 2008
    high = math.hypot(one.high - one.value, two.value - two.low)
    value = one.value - two.value
    return Estimate(value, value - low, value + high, one.n + two.n)


def _entering(groups: pl.Series, least: int, what: str) -> tuple[list[str] | None, str]:
    """The groups that enter the mean, or None for one pool of all items; and what it is the mean of."""
    counts = dict(groups.drop_nulls().value_counts(sort=True).sort(groups.name).iter_rows())
    if not counts:
        return None, "share of right answers"
    entered, left_out = statistics.enough(counts, least)
    if not entered:
        return None, f"share of right answers, since none of the {what} has {least} facts"
    text = f"mean over {what} {', '.join(entered)}"
    return list(entered), text + (
        f" (left out, with fewer than {least} facts: {', '.join(left_out)})" if left_out else ""
    )


def _pages_gain(scored: Scored, name: int, over: int) -> statistics.Estimate:
    """Every page's share in the difference of the means, whose mean over the pages is that difference."""
    change = scored.right[name].astype(float) - scored.right[over]
    pages, at = np.unique(scored.units, return_inverse=True)
    names, group = np.unique(scored.groups, return_inverse=True)
    weight = len(pages) / (len(names) * np.bincount(group))[group]
    shares = np.bincount(at, change * weight, len(pages))
    most = float(np.bincount(at, weight, len(pages)).max())
    found = statistics.mean_score([shares.tolist()], -most, most)
    return statistics.Estimate(found.value, max(found.low, -1.0), min(found.high, 1.0), len(change), "paired by page")
