"""From judged answers to accuracies: by level, macro and micro, with intervals. No model in sight.

Notable choices
- Macro is the unweighted mean of the level accuracies (docs/studies.md §3), over the levels with at least a minimum of
  facts. A level with fewer is shown and left out of the mean; a level without facts is missing. Both are named.
- Without a level that has enough facts there is no macro, only micro.
- Facts whose level is unknown are counted, and enter micro only.
- Where a subject is asked about more than once, or a conversation is, that is the unit of every interval (`units.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import model_validator

from recollect.core.estimates import LEAST_PER_LEVEL, Estimate, by_cluster, macro_over, mean_score, proportion
from recollect.core.workspace.result import Result
from recollect.evaluate.judges import score_column
from recollect.evaluate.settings import PARTS
from recollect.evaluate.units import units_of
from recollect.facts import Part
from recollect.match import DEFAULT_JUDGE
from recollect.select import LEVELS

SCHEMA = {
    "part": pl.String,
    "level": pl.String,
    "matcher": pl.String,
    "n": pl.Int64,
    "right": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "in_macro": pl.Boolean,
    "score": pl.Float64,
    "score_low": pl.Float64,
    "score_high": pl.Float64,
}


class Accuracy(Result):
    """The accuracy on one part."""

    micro: Estimate
    """Over all facts."""
    macro: Estimate | None = None
    """The mean over `macro_levels`; None where no level has enough facts."""
    by_level: dict[str, Estimate] = {}
    """Of each level "0" to "4" that has facts."""
    macro_levels: tuple[str, ...] = ()
    """The levels with enough facts to enter the macro."""
    score: Estimate | None = None
    """The mean score over all facts, of a graded judge (token-f1); None of a judge that knows only right and wrong."""
    macro_score: Estimate | None = None
    """The mean of it over `macro_levels`."""
    word_macro: float | None = None
    """The same means by the stricter matcher `word`."""
    word_micro: float | None = None

    @property
    def n(self) -> int:
        """Facts asked."""
        return self.micro.n

    @property
    def left_out(self) -> tuple[str, ...]:
        """Levels with some facts, but too few to enter the macro."""
        return tuple(level for level in self.by_level if level not in self.macro_levels)

    @property
    def missing(self) -> tuple[str, ...]:
        """Levels without facts."""
        return tuple(str(level) for level in LEVELS if str(level) not in self.by_level)

    @property
    def without_level(self) -> int:
        """Facts whose level is unknown: they count in micro only."""
        return self.n - sum(one.n for one in self.by_level.values())

    @property
    def note(self) -> str | None:
        """Why there is no macro."""
        if self.macro:
            return None
        if not self.by_level:
            return "no memory level is known for these facts, so there is no macro accuracy; give --levels"
        return (
            "no memory level has enough facts, so there is no macro accuracy; micro holds. Ask more facts, or lower "
            "--least-per-level"
        )

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, values: Any) -> Any:
        """Steps of earlier versions hold percentages, as micro, micro_low and micro_high."""
        if not isinstance(values, dict) or "micro_low" not in values:
            return values
        levels = values["by_level"].items()
        macro_levels = values.get("macro_levels", [level for level, _ in levels])  # once every level entered
        macro_n = values.get("macro_n", sum(row["n"] for _, row in levels))
        micro, macro = ([values[f"{mean}{end}"] for end in ("", "_low", "_high")] for mean in ("micro", "macro"))
        return {
            "micro": _of_percent(micro, values["n"], "Clopper-Pearson"),
            "macro": _of_percent(macro, macro_n, "levels melded"),
            "by_level": {
                level: _of_percent([row[name] for name in ("accuracy", "low", "high")], row["n"], "Clopper-Pearson")
                for level, row in levels
            },
            "macro_levels": macro_levels,
            **{name: None if mean is None else mean / 100 for name, mean in values.get("word", {}).items()},
        }


def accuracies(outputs: pl.DataFrame, least: int = LEAST_PER_LEVEL, judge: str = DEFAULT_JUDGE) -> dict[Part, Accuracy]:
    """The accuracy on each part that was asked, by the judge of that name, with the means by `word` beside it.

    `outputs` needs the columns part, level (null where unknown), word and that of the judge; with fact_id and subject,
    subjects that repeat are counted so.
    """
    found: dict[Part, Accuracy] = {}
    for part in PARTS:
        table = outputs.filter(pl.col("part") == part)
        if table.height:
            word = _accuracy(table, "word", least)
            means = {"word_macro": word.macro.value if word.macro else None, "word_micro": word.micro.value}
            found[part] = _accuracy(table, judge, least).model_copy(update=means)
    return found


def accuracy_table(outputs: pl.DataFrame, matchers: Sequence[str], least: int = LEAST_PER_LEVEL) -> pl.DataFrame:
    """Accuracy in percent of each part, by level ("0".."4"), "macro" and "micro", for each judge's column.

    `outputs` needs the columns part, level (null where unknown) and one boolean column per judge, which is named under
    `matcher`; `low` and `high` are 95 % bounds (docs/statistics.md). `in_macro` says of a level whether it has the
    `least` facts to enter the macro; n and right of "macro" are those of the levels that entered. `score` is the mean
    score of a graded judge in percent, of macro and micro; null elsewhere.
    """
    rows: list[tuple[str | float | bool | None, ...]] = []
    no_score = (None, None, None)
    for part in PARTS:
        table = outputs.filter(pl.col("part") == part)
        for matcher in matchers if table.height else ():
            found = _accuracy(table, matcher, least)
            right = {level: round(one.value * one.n) for level, one in found.by_level.items()}
            for level, one in found.by_level.items():
                entered = level in found.macro_levels
                rows.append((part, level, matcher, one.n, right[level], *one.percent, entered, *no_score))
            if found.macro:
                of_macro = sum(right[level] for level in found.macro_levels)
                score = found.macro_score.percent if found.macro_score else no_score
                rows.append((part, "macro", matcher, found.macro.n, of_macro, *found.macro.percent, None, *score))
            score = found.score.percent if found.score else no_score
            all_right = int(table[matcher].sum())
            rows.append((part, "micro", matcher, found.n, all_right, *found.micro.percent, None, *score))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _accuracy(table: pl.DataFrame, matcher: str, least: int) -> Accuracy:
    """Of one part by one judge."""
    table = table.with_columns(units_of(table))
    tables = {str(level): table.filter(pl.col("level") == level) for level in LEVELS}
    counts = {level: (int(one[matcher].sum()), one.height) for level, one in tables.items() if one.height}
    macro = macro_over(counts, least)
    column = score_column(matcher)
    graded = column in table.columns
    whole, entered = {"": table}, {level: tables[level] for level in macro.entered}
    levels = [one[column].to_list() for one in entered.values()] if graded else []
    return Accuracy(
        micro=_by_unit(proportion(int(table[matcher].sum()), table.height), matcher, whole),
        macro=None if macro.estimate is None else _by_unit(macro.estimate, matcher, entered),
        by_level={level: _by_unit(proportion(*n), matcher, {level: tables[level]}) for level, n in counts.items()},
        macro_levels=macro.entered,
        score=_by_unit(mean_score([table[column].to_list()], 0, 1), column, whole) if graded else None,
        macro_score=_by_unit(mean_score(levels, 0, 1), column, entered) if levels else None,
    )


def _by_unit(found: Estimate, column: str, tables: Mapping[str, pl.DataFrame]) -> Estimate:
    """The interval of a mean over tables by what their rows were drawn with."""
    scores, units, groups = [], [], []
    for name, table in tables.items():
        scores += table[column].cast(pl.Float64).to_list()
        units += table["unit"].to_list()
        groups += [name] * table.height
    return by_cluster(found, scores, units, groups)


def _of_percent(ends: Sequence[float | None], n: int, method: str) -> Estimate | None:
    value, low, high = (None if end is None else end / 100 for end in ends)
    return None if value is None or low is None or high is None else Estimate(value, low, high, n, method)
