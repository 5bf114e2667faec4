"""From judged answers to accuracies: by level, macro and micro, with intervals. No model in sight.

Notable choices
- Macro is the unweighted mean of the level accuracies (docs/studies.md §3), over the levels with at least a minimum of
  facts. A level with fewer is shown and left out of the mean; a level without facts is missing. Both are named.
- Without a level that has enough facts there is no macro, only micro.
- Facts whose level is unknown are counted, and enter micro only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from recollect.core.estimates import LEAST_PER_LEVEL, macro_over, proportion
from recollect.evaluate.settings import PARTS
from recollect.match import MatcherName
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
}
Row = tuple[str, str, str, int, int, float, float, float, bool | None]


def accuracy_table(outputs: pl.DataFrame, matchers: Sequence[str], least: int = LEAST_PER_LEVEL) -> pl.DataFrame:
    """Accuracy in percent of each part, by level ("0".."4"), "macro" and "micro", for each matcher's column.

    `outputs` needs the columns part, level (null where unknown) and one boolean column per matcher; `low` and `high`
    are 95 % bounds (docs/statistics.md). `in_macro` says of a level whether it has the `least` facts to enter the
    macro; n and right of "macro" are those of the levels that entered.
    """
    rows: list[Row] = []
    for part in PARTS:
        table = outputs.filter(pl.col("part") == part)
        for matcher in matchers if table.height else ():
            rows += _rows(table, part, matcher, least)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def summarise(accuracy: pl.DataFrame, main: MatcherName = "contains") -> dict[str, Any]:
    """The numbers of `accuracy_table` as one JSON object: the first part that was asked at the top, others by name.

    `part` names the part at the top: test, unless only others were asked. Each part has macro, micro and by_level with
    bounds; `macro_n` and `macro_levels` say what entered the macro, `levels_left_out` which levels have too few facts,
    `missing_levels` which have none, `without_level` how many facts have no level. `word` repeats the means by that
    matcher.
    """
    if "in_macro" not in accuracy.columns:  # a table of an earlier version, when every level entered
        accuracy = accuracy.with_columns(in_macro=pl.col("level").is_in([str(level) for level in LEVELS]))
    parts = {part: _part(accuracy, part, main) for part in PARTS}
    asked = [part for part in PARTS if parts[part]["n"]] or ["test"]
    word = accuracy.filter(pl.col("matcher") == "word")
    return {
        "part": asked[0],
        **parts[asked[0]],
        **{part: parts[part] for part in asked if part != "test"},
        "word": {
            f"{'' if part == asked[0] else part + '_'}{mean}": _value(word, part, mean)
            for part in asked
            if parts[part]["n"]
            for mean in ("macro", "micro")
        },
    }


def _rows(table: pl.DataFrame, part: str, matcher: str, least: int) -> list[Row]:
    """The rows of one part by one matcher: the levels that have facts, macro if there is one, micro."""
    counts = {str(level): _count(table.filter(pl.col("level") == level), matcher) for level in LEVELS}
    known = {level: (right, n) for level, (right, n) in counts.items() if n}
    macro = macro_over(known, least)
    rows: list[Row] = [
        (part, level, matcher, n, right, *proportion(right, n).percent, level in macro.entered)
        for level, (right, n) in known.items()
    ]
    if macro.estimate:
        right = sum(known[level][0] for level in macro.entered)
        rows.append((part, "macro", matcher, macro.estimate.n, right, *macro.estimate.percent, None))
    right, n = _count(table, matcher)
    rows.append((part, "micro", matcher, n, right, *proportion(right, n).percent, None))
    return rows


def _part(accuracy: pl.DataFrame, part: str, matcher: str) -> dict[str, Any]:
    table = accuracy.filter((pl.col("part") == part) & (pl.col("matcher") == matcher))
    levels = table.filter(pl.col("level").is_in([str(level) for level in LEVELS]))
    by_level = {
        row["level"]: {name: row[name] for name in ("accuracy", "low", "high", "n")}
        for row in levels.iter_rows(named=True)
    }
    found: dict[str, Any] = {}
    for mean in ("macro", "micro"):
        rows = table.filter(pl.col("level") == mean).to_dicts()
        row = rows[0] if rows else {"accuracy": None, "low": None, "high": None}
        found |= {mean: row["accuracy"], f"{mean}_low": row["low"], f"{mean}_high": row["high"]}
    n = int(table.filter(pl.col("level") == "micro")["n"].sum())
    entered = levels.filter(pl.col("in_macro"))
    found |= {
        "n": n,
        "macro_n": int(entered["n"].sum()),
        "without_level": n - int(levels["n"].sum()),
        "by_level": by_level,
        "macro_levels": entered["level"].to_list(),
        "levels_left_out": levels.filter(~pl.col("in_macro"))["level"].to_list(),
        "missing_levels": [str(level) for level in LEVELS if str(level) not in by_level],
    }
    return found | ({"note": _no_macro(by_level)} if n and found["macro"] is None else {})


def _no_macro(by_level: dict[str, Any]) -> str:
    if not by_level:
        return "no memory level is known for these facts, so there is no macro accuracy; give --levels"
    return (
        "no memory level has enough facts, so there is no macro accuracy; micro holds. Ask more facts, or lower "
        "--least-per-level"
    )


def _value(table: pl.DataFrame, part: str, level: str) -> float | None:
    found = table.filter((pl.col("part") == part) & (pl.col("level") == level))["accuracy"].to_list()
    return found[0] if found else None


def _count(table: pl.DataFrame, matcher: str) -> tuple[int, int]:
    return int(table[matcher].sum()), table.height
