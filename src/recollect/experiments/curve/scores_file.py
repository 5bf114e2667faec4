"""A user's own runs from a table: which columns and cells are taken, in which unit, and what is said of the others."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import polars as pl

from recollect.core.tables import BadRows, CellError, Row, RowError, cell_text, read_table
from recollect.errors import InputError
from recollect.experiments.curve.observations import Observations

Unit = Literal["auto", "shares", "points"]
_KINDS: Mapping[str, pl.DataType] = {"size": pl.Int64(), "seed": pl.Int64(), "score": pl.Float64()}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(?:\.0)?")  # 15.0 is how pandas writes the 15 of a column with gaps


def read_scores(
    path: Path, *, lower_is_better: bool = False, unit: Unit = "auto", bad: BadRows | None = None
) -> dict[str, Observations]:
    """A user's own runs from a table with the columns size, seed, score (and part, if several), by part.

    Shares become points, except where lower is better: then the numbers keep their unit and are negated. `unit` says
    whether scores are "shares" (0..1) or stand as they are ("points"); "auto" takes them for shares when all lie in
    0..1, and refuses a file that may hold both. `bad` takes the rows that cannot be used; by default the first one is
    an error. Raises InputError with what is wrong in which file.
    """
    table = _read_runs(path, bad)
    shares = not lower_is_better and _are_shares(table["score"], unit, path)
    factor = -1.0 if lower_is_better else 100.0 if shares else 1.0
    table = table.with_columns(part=_parts(table, path))
    found = {}
    for name in table["part"].unique(maintain_order=True):
        rows = table.filter(pl.col("part") == name)
        scores = (rows["score"] * factor).to_list()
        runs = Observations.of(rows["size"].to_list(), rows["seed"].to_list(), scores, name)
        found[name] = replace(runs, shares=shares)
    return found


def _are_shares(scores: pl.Series, unit: Unit, path: Path) -> bool:
    """Whether scores are shares of 1; refuses those that may be shares and points in one file."""
    if unit == "points":
        return False
    inside = bool(scores.is_between(0, 1).all())
    if unit == "shares":
        if not inside:
            raise InputError(f"{path}: with unit shares every score must lie in 0 to 1, but got {_outside(scores):g}.")
        return True
    fractions = scores.filter((scores > 0) & (scores < 1))
    if len(fractions) and not inside and bool(scores.is_between(0, 100).all()):
        raise InputError(
            f"{path} seems to mix shares and points: it has scores such as {fractions[0]:g} and {_outside(scores):g}. "
            "Write all of them in one unit, or give --unit points if they are in one already."
        )
    return inside


def _outside(scores: pl.Series) -> float:
    return float(scores.filter(~scores.is_between(0, 1))[0])


def _parts(table: pl.DataFrame, path: Path) -> pl.Series:
    """The part of every row; "test" where the file names none at all."""
    if "part" not in table.columns:
        return pl.Series("part", ["test"] * table.height)
    parts = table["part"].cast(pl.String).str.strip_chars()
    empty = (parts.is_null() | (parts == "")).fill_null(value=True)
    if empty.any():
        raise InputError(
            f"{path} must name a part in every row or have no column part, but {empty.sum()} of {table.height} rows "
            f"have none (first: row {int(empty.arg_true()[0]) + 1})."
        )
    return parts


def _read_runs(path: Path, bad: BadRows | None = None) -> pl.DataFrame:
    """The rows with the columns size, seed, score, and part (text, null where empty) when the file has it.

    Raises InputError naming file, row, what was expected and what it got; or counts such rows in `bad`.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give a table with the columns size, seed, score.")
    bad = bad or BadRows()
    table = read_table(path, bad)
    missing = [name for name in _KINDS if name not in table.columns]
    if missing:
        read_with = f" (read with the separator {table.separator!r})" if table.separator else ""
        raise InputError(
            f"{path} must have the columns size, seed, score, but {', '.join(missing)} is missing; it has "
            f"{', '.join(table.columns[:40])}{read_with}."
        )
    rows = []
    for row in table.rows:
        try:
            rows.append([_number(row, name, path) for name in _KINDS] + [_part(row, path)])
        except RowError as error:
            bad.add(row.where, error)
    if not rows:
        raise InputError(
            f"{path} has no row with a size, a seed and a score; {len(bad.found):,} bad rows were skipped."
        )
    runs = pl.DataFrame(rows, schema={**_KINDS, "part": pl.String()}, orient="row")
    return runs if "part" in table.columns else runs.drop("part")


def _number(row: Row, name: str, path: Path) -> int | float:
    text = _text(row, name, path)
    if not text:
        raise RowError(
            f"no {name}", f"{path}: {row.where} has no {name}; every row must hold a size, a seed and a score."
        )
    value = _whole(text) if name != "score" else _decimal(text)
    if value is None:
        raise RowError(
            f"{name} is no number",
            f"{path}: {row.where}: size and seed must be whole numbers and score a number such as 42.5, but {name} is "
            f"{text[:60]!r}.",
        )
    if not math.isfinite(value):
        raise RowError(
            f"{name} is not finite", f"{path}: {row.where}: {name} must be a finite number, but is {text[:60]!r}."
        )
    return value


def _whole(text: str) -> int | None:
    return int(text.removesuffix(".0")) if _WHOLE.fullmatch(text) else None


def _decimal(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _part(row: Row, path: Path) -> str | None:
    return _text(row, "part", path) or None


def _text(row: Row, name: str, path: Path) -> str:
    try:
        return cell_text(row.values.get(name))
    except CellError as error:
        raise RowError(f"{name} is {error.kind}", f"{path}: {row.where}: {name} {error}.") from None
