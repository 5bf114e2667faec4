"""From judged answers to accuracies: by level, macro and micro, with intervals. No model in sight.

Notable choices
- Macro is the unweighted mean of the level accuracies (docs/studies.md §3). A level without facts is left out of the
  mean and named; without any level there is no macro.
- Facts whose level is unknown count in micro only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from recollect.evaluate._settings import PARTS
from recollect.match import MatcherName
from recollect.select import LEVELS
from recollect.statistics import macro_interval, wilson

SCHEMA = {
    "part": pl.String,
    "level": pl.String,
    "matcher": pl.String,
    "n": pl.Int64,
    "right": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def accuracy_table(outputs: pl.DataFrame, matchers: Sequence[str]) -> pl.DataFrame:
    """Accuracy in percent of each part, by level ("0".."4"), "macro" and "micro", for each matcher's column.

    `outputs` needs the columns part, level (null where unknown) and one boolean column per matcher; `low` and
    `high` are 95 % bounds (Wilson for one proportion, `macro_interval` for the mean of several).
    """
    rows = []
    for part in PARTS:
        table = outputs.filter(pl.col("part") == part)
        for matcher in matchers if table.height else ():
            counts = [_count(table.filter(pl.col("level") == level), matcher) for level in LEVELS]
            known = [(level, right, n) for level, (right, n) in zip(LEVELS, counts, strict=True) if n]
            rows += [(part, str(level), matcher, *_proportion(right, n)) for level, right, n in known]
            if known:
                rights, ns = [right for _, right, _ in known], [n for _, _, n in known]
                mean = sum(right / n for right, n in zip(rights, ns, strict=True)) / len(ns)
                bounds = macro_interval(rights, ns)
                rows.append((part, "macro", matcher, sum(ns), sum(rights), *_percent(mean, *bounds)))
            rows.append((part, "micro", matcher, *_proportion(*_count(table, matcher))))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def summarise(accuracy: pl.DataFrame, main: MatcherName = "contains") -> dict[str, Any]:
    """The numbers of `accuracy_table` as one JSON object: the test part at the top, the other parts by name.

    Each part has macro, micro and by_level with bounds, and missing_levels; `word` repeats the means by that
    matcher.
    """
    parts = {part: _part(accuracy, part, main) for part in PARTS}
    word = accuracy.filter(pl.col("matcher") == "word")
    return {
        **parts["test"],
        **{part: numbers for part, numbers in parts.items() if part != "test" and numbers["n"]},
        "word": {
            f"{'' if part == 'test' else part + '_'}{mean}": _value(word, part, mean)
            for part in PARTS
            if parts[part]["n"]
            for mean in ("macro", "micro")
        },
    }


def _part(accuracy: pl.DataFrame, part: str, matcher: str) -> dict[str, Any]:
    table = accuracy.filter((pl.col("part") == part) & (pl.col("matcher") == matcher))
    by_level = {
        row["level"]: {name: row[name] for name in ("accuracy", "low", "high", "n")}
        for row in table.filter(pl.col("level").is_in([str(level) for level in LEVELS])).iter_rows(named=True)
    }
    found: dict[str, Any] = {}
    for mean in ("macro", "micro"):
        rows = table.filter(pl.col("level") == mean).to_dicts()
        row = rows[0] if rows else {"accuracy": None, "low": None, "high": None}
        found |= {mean: row["accuracy"], f"{mean}_low": row["low"], f"{mean}_high": row["high"]}
    n = table.filter(pl.col("level") == "micro")["n"].sum()
    missing = [str(level) for level in LEVELS if str(level) not in by_level]
    levelled = sum(entry["n"] for entry in by_level.values())
    found |= {"n": n, "without_level": n - levelled, "by_level": by_level, "missing_levels": missing}
    if n and not by_level:
        found["note"] = "no memory level is known for these facts, so there is no macro accuracy; give --levels"
    return found


def _value(table: pl.DataFrame, part: str, level: str) -> float | None:
    found = table.filter((pl.col("part") == part) & (pl.col("level") == level))["accuracy"].to_list()
    return found[0] if found else None


def _count(table: pl.DataFrame, matcher: str) -> tuple[int, int]:
    return int(table[matcher].sum()), table.height


def _proportion(right: int, n: int) -> tuple[int, int, float, float, float]:
    return (n, right, *_percent(right / n, *wilson(right, n)))


def _percent(value: float, low: float, high: float) -> tuple[float, float, float]:
    return 100 * value, 100 * low, 100 * high
