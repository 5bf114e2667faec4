"""What a model answered, beside what the others answered: scores, forgetting, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.core.estimates import Estimate, Pairs, clustered, clustered_macro, paired, proportion
from recollect.experiments.curve import item_table
from recollect.experiments.search.validation import Knowledge, compare
from recollect.select import LEVELS

_WITHIN = 1.96
"""Standard errors on either side of a value that a 95 % interval holds."""
KNOWN_LEVELS = LEVELS[-2:]
"""Memory levels of what the base is said to know, as in `recollect drift`."""


@dataclass(frozen=True)
class Answers:
    """The finished evaluation of one model."""

    path: Path

    @cached_property
    def items(self) -> pl.DataFrame:
        """One row per item, in the order of their names: item, unit, group, right, part."""
        table = item_table(self.path).sort("item")
        return table.with_columns(pl.col("right") > 0.5)

    @cached_property
    def pages(self) -> bool:
        """Whether the items are values of pages."""
        return (self.path / "items.parquet").is_file()

    def right(self, part: str = "test") -> NDArray[np.bool_]:
        """Verdicts of a part."""
        found: NDArray[np.bool_] = self.items.filter(part=part)["right"].to_numpy()
        return found

    def score(self, part: str = "test") -> Estimate | None:
        """The share of right answers; of pages the mean over attributes. None where nothing was asked."""
        table = self.items.filter(part=part)
        if not table.height:
            return None
        if self.pages:
            columns = (table[name].cast(pl.String).to_list() for name in ("unit", "group"))
            return clustered_macro(table["right"].to_list(), *columns)
        return proportion(int(table["right"].sum()), table.height)

    def lost(self, knowledge: Knowledge) -> NDArray[np.bool_]:
        """Of what was known and asked here, what is not answered."""
        known = self.items.filter(pl.col("item").is_in(list(knowledge.items)))
        found: NDArray[np.bool_] = ~known["right"].to_numpy()
        return found

    def forgot(self, knowledge: Knowledge) -> Estimate | None:
        """The share of it; None where nothing was known."""
        lost = self.lost(knowledge)
        if not len(lost):
            return None
        if self.pages:
            units = self.items.filter(pl.col("item").is_in(list(knowledge.items)))["unit"].cast(pl.String)
            return clustered(lost.tolist(), units.to_list())
        return proportion(int(lost.sum()), len(lost))


def difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Estimate | None:
    """The second's share less the first's, paired; None of nothing."""
    return paired([Pairs.of(first.tolist(), second.tolist())]) if len(first) else None


def gain(first: Answers, second: Answers, part: str = "test") -> Estimate | None:
    """The second's score less the first's, paired by question, or by page; None where nothing was asked."""
    if not first.pages:
        return difference(first.right(part), second.right(part))
    both = compare({0: first.path, 1: second.path}, part)
    if both is None:
        return None
    found = both.gain(1, 0)
    return Estimate(found.value / 100, found.low / 100, found.high / 100, found.n, "paired by page")


def error_of(first: Answers, second: Answers) -> float:
    """The standard error of the difference of two scores on the same questions, in points."""
    if first.pages:
        found = gain(first, second)
        return 0.0 if found is None else 100 * (found.high - found.low) / (2 * _WITHIN)
    change = first.right().astype(float) - second.right()
    return 100 * float(np.std(change)) / math.sqrt(max(1, len(change)))


def what_it_knew(asked: Sequence[Answers], levels: pl.DataFrame | None, charge: float) -> Knowledge:
    """What the base had right in any of the prompts it was asked in, and the facts of its two highest levels."""
    items = {name for one in asked for name in one.items.filter("right")["item"].to_list()}
    if levels is not None:
        inside = {name for one in asked[:1] for name in one.items["item"].to_list()}
        known = levels.filter(pl.col("level").is_in(KNOWN_LEVELS))["fact_id"].to_list()
        items |= inside & set(known)
    return Knowledge(frozenset(items), charge)


def value_of(answers: Answers, knowledge: Knowledge) -> tuple[float, float, float]:
    """Score and forgetting in percent, and what everything is chosen by: the first less the charge for the second."""
    score, forgot = answers.score(), answers.forgot(knowledge)
    assert score is not None
    lost = 0.0 if forgot is None else 100 * forgot.value
    return 100 * score.value, lost, 100 * score.value - knowledge.charge * lost
