"""Rows of a CSV, TSV, JSONL, JSON or Parquet file, as mappings, each with its place for error messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recollect.core.json_object import JsonObject
from recollect.core.tables.files import MAX_COLUMNS, MAX_ROWS, MAX_TEXT, BadRows, RowError, decode, read_bytes
from recollect.core.tables.formats import JsonError, check_value, load_json, parquet_rows, split_csv
from recollect.errors import InputError

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
UNSAFE = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".npy", ".npz", ".joblib", ".dill")


class Row(NamedTuple):
    """One row and where it stands, e.g. "line 3"."""

    where: str
    values: JsonObject


@dataclass(frozen=True)
class Table:
    """The rows of a file."""

    path: str
    rows: list[Row]
    text_cells: bool = False
    """Whether every cell is a text because the file knows nothing else (CSV, TSV)."""
    separator: str = ""
    """What stands between the cells of a CSV or TSV file."""
    blank_rows: int = 0
    """Rows without any content, left out."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, in order of first appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.values))


def check_ending(path: Path) -> str:
    """The ending of a table file, in lower case; InputError for one we do not read, pickles above all."""
    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        hint = " Pickled data can run code when it is loaded." if suffix in UNSAFE else ""
        raise InputError(
            f"{path} is refused: files ending in {suffix or '(nothing)'} are not read.{hint} "
            f"Give one of {', '.join(ENDINGS)}."
        )
    return suffix


def read_table(path: Path, bad: BadRows | None = None, data: bytes | None = None) -> Table:
    """The rows of a table file, by its ending; `data` saves reading the file again.

    Bad rows (not an object, too wide, broken quotes, repeated keys, halves of characters, endless numbers) go to
    `bad`. Raises InputError for a file that is broken, over a limit, or has no rows.
    """
    suffix = check_ending(path)
    bad = bad or BadRows()
    data = read_bytes(path) if data is None else data
    name = str(path)
    if suffix in (".csv", ".tsv"):
        (found, blank), separator = split_csv(decode(data, name), name, "\t" if suffix == ".tsv" else None, bad)
        rows = [Row(where, values) for where, values in found]
        table = Table(name, rows, text_cells=True, separator=separator, blank_rows=blank)
    elif suffix == ".parquet":
        table = Table(name, _checked(parquet_rows(data, name), name, bad))
    else:
        items = _json(data, name, bad) if suffix == ".json" else _jsonl(decode(data, name), name, bad)
        table = Table(name, _checked(items, name, bad))
    if not table.rows:
        skipped = f" besides {len(bad.found):,} bad ones" if bad.found else ""
        raise InputError(f"{path} has no rows{skipped}. Give a file with at least one row.")
    return table


def read_rows(data: bytes, path: Path) -> list[Row]:
    """The rows of a table file; any bad row is an error."""
    return read_table(path, data=data).rows


def _jsonl(text: str, path: str, bad: BadRows) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", load_json(line, f"{path}: line {number}")
        except JsonError as error:
            bad.add(f"line {number}", RowError("not valid JSON", f"{error} Write one object per line."))


def _json(data: bytes, path: str, bad: BadRows) -> Iterable[tuple[str, Any]]:
    text = decode(data, path)
    try:
        value = load_json(text, path)
    except JsonError as error:
        if error.extra:
            return _jsonl(text, path, bad)  # several objects, one per line, under the name .json
        raise
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        if len(lists) == 1 and not any(isinstance(item, dict) for item in value.values()):
            value = lists[0]  # {"version": "2.0", "data": [...]}
    if not isinstance(value, list):
        _, fault = check_value(value)
        if fault:
            raise InputError(f"{path} holds {fault[1]}.")
        raise InputError(f"{path} must hold a list of objects, but holds {_short(value)}.")
    return ((f"item {number}", item) for number, item in enumerate(value, start=1))


def _checked(items: Iterable[tuple[str, Any]], path: str, bad: BadRows) -> list[Row]:
    """The rows that can be used; the others go to `bad`."""
    rows: list[Row] = []
    columns: set[str] = set()
    total = 0
    for where, value in items:
        size, fault = check_value(value)
        total += size
        if fault:
            bad.add(where, RowError(fault[0], f"{path}: {where} holds {fault[1]}."))
            continue
        if not isinstance(value, dict):
            text = f"{path}: {where} must be an object like {{...}}, but is {_short(value)}."
            bad.add(where, RowError("not an object", text))
            continue
        columns.update(value)
        if len(columns) > MAX_COLUMNS or len(rows) >= MAX_ROWS or total > MAX_TEXT:
            raise InputError(
                f"{path} is too large at {where}: at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_TEXT:,} "
                "characters of text are read. Split the file."
            )
        rows.append(Row(where, value))
    return rows


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
