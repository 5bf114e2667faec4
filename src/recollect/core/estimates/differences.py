"""Differences: of two runs on the same facts, of independent samples, and differences of differences.

From counts or scores, one entry per level for the macro difference, a single entry with all facts for the micro one;
and from `outputs.parquet` tables (columns fact_id, part, level, and one column per judge; `right`, the main judge's, is
`contains` where it is missing).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from recollect.core.estimates.clusters import by_cluster
from recollect.core.estimates.intervals import (
    CONFIDENCE,
    LEAST_PER_LEVEL,
    Estimate,
    Scores,
    enough,
    right_or_wrong,
    weighted,
)
from recollect.errors import InputError


@dataclass(frozen=True)
class Pairs:
    """The same facts answered by two runs, counted: who was right."""

    only_second: int
    """n01: the first run was wrong, the second right."""
    only_first: int
    """n10: the first was right, the second wrong."""
    both: int
    """n11."""
    neither: int
    """n00."""

    @property
    def n(self) -> int:
        """Facts."""
        return self.only_second + self.only_first + self.both + self.neither

    def scores(self) -> Scores:
        """The change of each fact: -1, 0 or 1."""
        return Scores([self.only_first, self.both + self.neither, self.only_second], (-1.0, 0.0, 1.0))

    @classmethod
    def of(cls, first: Sequence[bool], second: Sequence[bool]) -> Pairs:
        """From the verdicts of two runs, fact by fact."""
        a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
        if a.shape != b.shape:
            raise InputError(f"both runs must have the same facts, but got {len(a)} and {len(b)}.")
        return cls(int((~a & b).sum()), int((a & ~b).sum()), int((a & b).sum()), int((~a & ~b).sum()))


def paired(levels: Sequence[Pairs], confidence: float = CONFIDENCE) -> Estimate:
    """Second run minus first, on the same facts: the mean over the levels; for micro give one entry with all facts."""
    return weighted([one.scores() for one in levels], _equal(len(levels)), "paired by fact", confidence)


def unpaired(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]], confidence: float = CONFIDENCE
) -> Estimate:
    """Second minus first where the two have no fact in common; (right, n) by level, each side its own levels."""
    one, other = ([right_or_wrong(right, n) for right, n in side] for side in (first, second))
    return _second_minus_first(one, other, "two independent samples", confidence)


def difference_of_paired(first: Sequence[Pairs], second: Sequence[Pairs], confidence: float = CONFIDENCE) -> Estimate:
    """The second paired difference minus the first, where the two have no fact in common (two halves, two parts)."""
    one, other = ([pairs.scores() for pairs in side] for side in (first, second))
    return _second_minus_first(one, other, "two independent paired differences", confidence)


def _second_minus_first(first: list[Scores], second: list[Scores], method: str, confidence: float) -> Estimate:
    """The mean over the second side's groups minus that over the first's."""
    weights = [*(-weight for weight in _equal(len(first))), *_equal(len(second))]
    return weighted([*first, *second], weights, method, confidence)


def mean_score(
    levels: Sequence[Sequence[float]], least: float, most: float, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean over levels of mean scores, one score per fact, each between `least` and `most`.

    For paired differences of differences a fact's score is (d - c) - (b - a), -2 to 2, of four runs on the same facts;
    for several trainings it is the mean over the trainings, -1 to 1.
    """
    groups = [scores_of(scores, least, most) for scores in levels]
    return weighted(groups, _equal(len(groups)), "paired by fact", confidence)


def by_level(scores: Sequence[float], levels: Sequence[int | None]) -> Mapping[int, list[float]]:
    """Scores of the facts of each level, levels in rising order; facts without a level are left out."""
    found: dict[int, list[float]] = {}
    for score, level in zip(scores, levels, strict=True):
        if level is not None:
            found.setdefault(level, []).append(score)
    return dict(sorted(found.items()))


_DIGITS = 12
"""To which scores are rounded, so that equal ones count as equal."""


def scores_of(scores: Sequence[float], least: float, most: float) -> Scores:
    """Scores of one group, one a fact, each between `least` and `most`; InputError for others or none."""
    found, times = np.unique(np.round(np.asarray(scores, dtype=float), _DIGITS), return_counts=True)
    least, most = round(least, _DIGITS), round(most, _DIGITS)  # else a score at its bound may lie above it
    if not len(found) or found[0] < least or found[-1] > most:
        raise InputError(f"scores must lie in {least:g} to {most:g} and not be empty, but got {list(scores)[:5]}.")
    values = dict.fromkeys((least, most), 0) | dict(zip(found.tolist(), times.tolist(), strict=True))
    rising = sorted(values)
    return Scores([values[value] for value in rising], tuple(rising))


def _equal(count: int) -> list[float]:
    if not count:
        raise InputError("a difference needs at least one level with facts on either side.")
    return [1 / count] * count


Mean = Literal["macro", "micro"]


def levels_entering(outputs: pl.DataFrame, *, part: str = "test", least: int = LEAST_PER_LEVEL) -> tuple[int, ...]:
    """The memory levels of a part that have enough facts for a macro."""
    known = outputs.filter((pl.col("part") == part) & pl.col("level").is_not_null())
    counts = dict(sorted(known.group_by("level").len().iter_rows()))
    return enough(counts, least)[0]


def paired_difference(
    first: pl.DataFrame,
    second: pl.DataFrame,
    *,
    part: str = "test",
    matcher: str = "right",
    mean: Mean = "macro",
    least: int = LEAST_PER_LEVEL,
    levels: Sequence[int] | None = None,
    units: Mapping[str, Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """How much better the second run is than the first on the same facts (a fraction; n is the facts compared).

    "macro" averages the levels with at least `least` facts, or the given `levels`; "micro" pools all facts. units: what
    each fact, by its id, was drawn with, such as its subject (`by_cluster`); alone by default. Raises InputError when
    the facts differ, and when nothing can be compared.
    """
    one, other = _same_facts([first, second], part)
    groups = _groups(one, mean, least, levels, part)
    found = paired(_pairs(one, other, matcher, groups), confidence)
    if units is None:
        return found
    change = _of(other, matcher).cast(pl.Int64) - _of(one, matcher).cast(pl.Int64)
    table = one.select("fact_id", "level").with_columns(change.alias("change"))
    picked = pl.concat([_pick(table, level) for level in groups])
    of_unit = [units.get(fact_id, fact_id) for fact_id in picked["fact_id"].to_list()]
    of_group = ["all"] * picked.height if mean == "micro" else picked["level"].to_list()
    return by_cluster(found, picked["change"].to_list(), of_unit, of_group, least=-1.0)


def paired_difference_of_differences(
    tables: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame],
    *,
    part: str = "test",
    matcher: str = "right",
    mean: Mean = "macro",
    least: int = LEAST_PER_LEVEL,
    levels: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """(fourth - third) - (second - first), four runs on the same facts; see `paired_difference`."""
    a, b, c, d = _same_facts(tables, part)
    right = [_of(table, matcher).cast(pl.Int64) for table in (a, b, c, d)]
    change = (right[3] - right[2]) - (right[1] - right[0])
    scores = a.select("level").with_columns(change.alias("score"))
    groups = [_pick(scores, level)["score"].to_list() for level in _groups(a, mean, least, levels, part)]
    return mean_score(groups, -2, 2, confidence)


def independent_difference_of_differences(
    first: tuple[pl.DataFrame, pl.DataFrame],
    second: tuple[pl.DataFrame, pl.DataFrame],
    *,
    part: str = "test",
    matcher: str = "right",
    mean: Mean = "macro",
    least: int = LEAST_PER_LEVEL,
    levels: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The second pair's difference minus the first pair's, where the pairs have no fact in common.

    Only levels with at least `least` facts in both pairs enter a macro, so that both sides mean the same.
    """
    one, two = _same_facts(first, part), _same_facts(second, part)
    if levels is None and mean == "macro":
        both = (set(levels_entering(tables[0], part=part, least=least)) for tables in (one, two))
        levels = sorted(set.intersection(*both))
    sides = [_pairs(before, after, matcher, _groups(before, mean, least, levels, part)) for before, after in (one, two)]
    return difference_of_paired(sides[0], sides[1], confidence)


def _same_facts(tables: Sequence[pl.DataFrame], part: str) -> list[pl.DataFrame]:
    found = [table.filter(pl.col("part") == part).sort("fact_id") for table in tables]
    first = found[0]["fact_id"].to_list()
    for other in found[1:]:
        if other["fact_id"].to_list() != first:
            only = set(first) ^ set(other["fact_id"])
            raise InputError(
                f"the runs must hold the same facts of part {part!r}, but {len(only):,} occur in one of them "
                f"only ({len(first):,} and {other.height:,} facts). Evaluate both with the same facts and limit."
            )
    if not first:
        raise InputError(f"no fact of part {part!r} to compare.")
    return found


def _groups(
    table: pl.DataFrame, mean: Mean, least: int, levels: Sequence[int] | None, part: str
) -> Sequence[int | None]:
    """The levels to average; None is all facts."""
    if mean == "micro":
        return [None]
    chosen = list(levels_entering(table, part=part, least=least) if levels is None else levels)
    if not chosen:
        raise InputError(
            f"no memory level of part {part!r} has {least} facts or more to compare, so there is no macro difference. "
            "Compare by micro, ask more facts, or lower least_per_level."
        )
    return chosen


def _pick(table: pl.DataFrame, level: int | None) -> pl.DataFrame:
    return table if level is None else table.filter(pl.col("level") == level)


def _pairs(one: pl.DataFrame, other: pl.DataFrame, matcher: str, groups: Sequence[int | None]) -> list[Pairs]:
    joined = pl.DataFrame({"level": one["level"], "first": _of(one, matcher), "second": _of(other, matcher)})
    picked = [_pick(joined, level) for level in groups]
    return [Pairs.of(table["first"].to_list(), table["second"].to_list()) for table in picked]


def _of(table: pl.DataFrame, judge: str) -> pl.Series:
    """The verdicts of a judge; InputError where the table has none of its."""
    name = "contains" if judge == "right" and "right" not in table.columns else judge
    if name not in table.columns:
        raise InputError(f"the answers were not judged by {judge!r}. Judge them again with `recollect rescore`.")
    return table[name]
