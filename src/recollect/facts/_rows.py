"""Rows of a CSV, TSV, JSONL, JSON or Parquet file, as mappings, each with its place for error messages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from recollect.errors import InputError
from recollect.facts._files import decode


class Row(NamedTuple):
    """One row and where it stands, e.g. "line 3"."""

    where: str
    values: dict[str, Any]


def check_ending(path: Path) -> str:
    """The ending of a table file, in lower case; InputError for one we do not read, pickles above all."""
    suffix = path.suffix.lower()
    if suffix not in READERS:
        hint = " Pickled data can run code when it is loaded." if suffix in UNSAFE else ""
        raise InputError(
            f"{path} is refused: files ending in {suffix or '(nothing)'} are not read.{hint} "
            f"Give one of {', '.join(READERS)}, or the .zip or folder of EntityQuestions."
        )
    return suffix


def read_rows(data: bytes, path: Path) -> list[Row]:
    """The rows of a table file, by its ending. Raises InputError for a file that is broken or has no rows."""
    rows = READERS[check_ending(path)](data, path)
    if not rows:
        raise InputError(f"{path} has no rows. Give a file with at least one fact.")
    return rows


def _csv(data: bytes, path: Path) -> list[Row]:
    text = decode(data, str(path))
    header = text.lstrip().split("\n", 1)[0]
    semicolon = ";" in header and "," not in header
    return _delimited(text, path, ";" if semicolon else ",")


def _tsv(data: bytes, path: Path) -> list[Row]:
    return _delimited(decode(data, str(path)), path, "\t")


def _delimited(text: str, path: Path, delimiter: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        names = list(reader.fieldnames or [])
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"{path}: the column {twice[0]!r} stands twice in the header. Rename one.")
        for values in reader:
            if None in values:
                raise InputError(
                    f"{path}: line {reader.line_num} has more cells than the header's {len(names)}. "
                    "Put texts that contain the separator in double quotes."
                )
            rows.append(Row(f"line {reader.line_num}", values))
    except csv.Error as error:
        raise InputError(
            f"{path}: the row after line {reader.line_num} cannot be read: {error}. Mend its quotes."
        ) from None
    return rows


def _jsonl(data: bytes, path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(decode(data, str(path)).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path}: line {number} is not valid JSON: {error}. Write one object per line.") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}: line {number} must be an object like {{...}}, but is {_short(value)}.")
        rows.append(Row(f"line {number}", value))
    return rows


def _json(data: bytes, path: Path) -> list[Row]:
    text = decode(data, str(path))
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return _jsonl(data, path)  # several objects, one per line, under the name .json
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    except RecursionError:
        raise InputError(f"{path} is not usable JSON: it is nested too deeply.") from None
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))  # {"data": [...]}
    if not isinstance(value, list):
        raise InputError(f"{path} must hold a list of objects, but holds {_short(value)}.")
    for number, item in enumerate(value, start=1):
        if not isinstance(item, dict):
            raise InputError(f"{path}: item {number} must be an object like {{...}}, but is {_short(item)}.")
    return [Row(f"item {number}", item) for number, item in enumerate(value, start=1)]


def _parquet(data: bytes, path: Path) -> list[Row]:
    try:
        table = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None
    return [Row(f"row {number}", values) for number, values in enumerate(table.iter_rows(named=True), start=1)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


READERS: dict[str, Callable[[bytes, Path], list[Row]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}
UNSAFE = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".npy", ".npz", ".joblib", ".dill")
