"""Comparisons of `outputs.parquet` tables (columns fact_id, part, level, and one column per matcher)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from recollect.core.estimates.differences import Pairs, difference_of_paired, mean_score, paired
from recollect.core.estimates.estimate import CONFIDENCE, Estimate
from recollect.core.estimates.single import LEAST_PER_LEVEL, enough
from recollect.errors import InputError

Matcher = Literal["contains", "word"]
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
    matcher: Matcher = "contains",
    mean: Mean = "macro",
    least: int = LEAST_PER_LEVEL,
    levels: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """How much better the second run is than the first on the same facts (a fraction; n is the facts compared).

    "macro" averages the levels with at least `least` facts, or the given `levels`; "micro" pools all facts. Raises
    InputError when the facts differ, and when nothing can be compared.
    """
    one, other = _same_facts([first, second], part)
    return paired(_pairs(one, other, matcher, _groups(one, mean, least, levels, part)), confidence)


def paired_difference_of_differences(
    tables: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame],
    *,
    part: str = "test",
    matcher: Matcher = "contains",
    mean: Mean = "macro",
    least: int = LEAST_PER_LEVEL,
    levels: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """(fourth - third) - (second - first), four runs on the same facts; see `paired_difference`."""
    a, b, c, d = _same_facts(tables, part)
    right = [table[matcher].cast(pl.Int64) for table in (a, b, c, d)]
    change = (right[3] - right[2]) - (right[1] - right[0])
    scores = a.select("level").with_columns(change.alias("score"))
    groups = [_pick(scores, level)["score"].to_list() for level in _groups(a, mean, least, levels, part)]
    return mean_score(groups, -2, 2, confidence)


def independent_difference_of_differences(
    first: tuple[pl.DataFrame, pl.DataFrame],
    second: tuple[pl.DataFrame, pl.DataFrame],
    *,
    part: str = "test",
    matcher: Matcher = "contains",
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
    joined = pl.DataFrame({"level": one["level"], "first": one[matcher], "second": other[matcher]})
    picked = [_pick(joined, level) for level in groups]
    return [Pairs.of(table["first"].to_list(), table["second"].to_list()) for table in picked]
