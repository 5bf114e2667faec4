"""A user's own runs from a table: which columns and which cells are taken, and what is said about the others."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from recollect.core.tables import BadRows, CellError, Row, RowError, cell_text, read_table
from recollect.errors import InputError

_KINDS: Mapping[str, pl.DataType] = {"size": pl.Int64(), "seed": pl.Int64(), "score": pl.Float64()}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(?:\.0)?")  # 15.0 is how pandas writes the 15 of a column with gaps


def read_runs(path: Path, bad: BadRows | None = None) -> pl.DataFrame:
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
