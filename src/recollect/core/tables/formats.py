"""Rows of CSV and TSV text, of JSON, and of Parquet files.

Notable choices
- CSV: the separator is the one that cuts header and first rows into equally many cells; a comma inside a header name of
  a semicolon file does not mislead it. Excel's first line `sep=;` is followed.
- What Excel leaves behind is no error: blank rows, and empty cells after the last column. Columns without a name (such
  as pandas' index) are left out.
- JSON as strictly as a table needs it: no repeated keys, no numbers without end, no halves of characters. Decimals stay
  as they are written (1.10), so that no answer changes by being read. A fault inside a row is a marker in its place, so
  that the row can be skipped and the others kept.
- Parquet: what a file unpacks to is read from its footer first: a few kB can hold millions of rows.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recollect.core.json_object import JsonObject
from recollect.core.tables.files import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_ROWS,
    MAX_TEXT,
    MAX_UNPACKED,
    MAX_VALUES,
    BadRows,
    RowError,
    read_bytes,
)
from recollect.errors import InputError

SEPARATORS = (",", ";", "\t", "|")  # the first wins when two fit equally
_SAMPLE = 1 << 16  # characters the separator is told from
_HINT = re.compile(r"sep=([^\r\n])\r?\n")

Found = tuple[list[tuple[str, JsonObject]], int]


def sniff(text: str) -> str:
    """The separator of CSV text: it cuts the header into several cells and most rows into as many."""
    sample = text[:_SAMPLE]
    best, score = ",", (-1.0, 0)
    for separator in SEPARATORS:
        try:
            lines = csv.reader(io.StringIO(sample, newline=""), delimiter=separator)
            rows = [row for row in itertools.islice(lines, 50) if any(row)]
        except csv.Error:
            continue
        if len(text) > _SAMPLE:
            rows = rows[:-1] or rows
        if not rows or len(rows[0]) < 2:
            continue
        width = len(rows[0])
        fit = sum(len(row) == width for row in rows[1:]) / max(1, len(rows) - 1)
        if (fit, width) > score:
            best, score = separator, (fit, width)
    return best


def split_csv(text: str, path: str, separator: str | None, bad: BadRows) -> tuple[Found, str]:
    """The rows (place, cells by column) and the number of blank ones, and the separator. Raises InputError."""
    hint = _HINT.match(text)
    first = 0
    if hint:
        separator, text, first = hint[1], text[hint.end() :], 1
    separator = separator or sniff(text)
    with _long_cells():
        return _rows(text, path, separator, first, bad), separator


@contextmanager
def _long_cells() -> Iterator[None]:
    """The csv module refuses cells over 128 kB by default, and its limit is one for the process."""
    before = csv.field_size_limit(MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _rows(text: str, path: str, separator: str, first: int, bad: BadRows) -> Found:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header = _header(reader, path)
    rows: list[tuple[str, JsonObject]] = []
    blank = 0
    while True:
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return rows, blank
        except csv.Error as error:
            bad.add(f"the row after line {before + first}", _broken(error, path, before + first))
            continue
        where = f"line {reader.line_num + first}"
        if not any(cell.strip() for cell in cells):
            blank += 1
            continue
        if any(cell.strip() for cell in cells[len(header) :]):
            bad.add(where, _too_wide(path, where, len(header), separator))
            continue
        if len(rows) >= MAX_ROWS:
            raise InputError(f"{path} has more than {MAX_ROWS:,} rows, which is the most that is read. Split the file.")
        padded = itertools.zip_longest(header, cells[: len(header)])
        rows.append((where, {name: cell for name, cell in padded if name}))


def _header(reader: Any, path: str) -> list[str]:
    """The names of the columns; "" for a column without one."""
    try:
        names = [name.strip() for name in next((row for row in reader if any(row)), [])]
    except csv.Error as error:
        raise _broken(error, path, 0) from None
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{path} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read.")
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise InputError(f"{path}: the column {name!r} stands twice in the header. Rename one.")
        seen.add(name)
    return names


def _broken(error: csv.Error, path: str, line: int) -> RowError:
    if "field limit" in str(error):
        return RowError(
            "a cell that is too long",
            f"{path}: the row after line {line} has a cell of over {MAX_CELL:,} characters, the most that is read.",
        )
    text = f"{path}: the row after line {line} cannot be read: {error}. Fix its quotes."
    if "unexpected end of data" in str(error):  # the quote swallowed the rest: how many rows, nobody can tell
        raise InputError(f"{text} A quote that is opened there is never closed.")
    return RowError("broken quotes", text)


def _too_wide(path: str, where: str, width: int, separator: str) -> RowError:
    shown = "tab" if separator == "\t" else separator
    return RowError(
        "more cells than the header",
        f"{path}: {where} has more cells than the header's {width} (separator {shown!r}). "
        "Put texts that contain the separator in double quotes.",
    )


@dataclass(frozen=True)
class _Fault:
    """Stands where a value was that cannot be used."""

    reason: str
    text: str


class JsonError(InputError):
    """Text that is no JSON. `extra` is set when a whole value was read and more follows."""

    def __init__(self, text: str, *, extra: bool = False) -> None:
        super().__init__(text)
        self.extra = extra


def load_json(text: str, where: str) -> Any:
    """The value of a JSON text; JsonError names the place. Check rows, or the whole, with `check_value`."""
    try:
        return json.loads(text, parse_int=_int, parse_float=_decimal, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise JsonError(f"{where} is not valid JSON: {error}.", extra=error.msg == "Extra data") from None
    except RecursionError:
        raise JsonError(f"{where} is not valid JSON for a table: it is nested too deeply.") from None


def check_value(value: Any, depth: int = 0) -> tuple[int, tuple[str, str] | None]:
    """The number of characters in a value, and what makes it unusable: (reason, detail), or None."""
    if isinstance(value, str):
        if len(value) > MAX_CELL:
            return 0, ("a cell that is too long", f"a cell of {len(value):,} characters; at most {MAX_CELL:,} are read")
        if not value.isascii() and (half := next((char for char in value if "\ud800" <= char <= "\udfff"), None)):
            return 0, (
                "half of a surrogate pair",
                f"half of a surrogate pair (\\u{ord(half):x}), which is no character; the text was cut inside one",
            )
        return len(value), None
    if isinstance(value, _Fault):
        return 0, (value.reason, value.text)
    if not isinstance(value, list | dict):
        return 0, None
    if depth >= MAX_DEPTH:
        return 0, ("too deep nesting", f"objects and lists nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict) and len(value) > MAX_COLUMNS:
        return 0, ("too many keys", f"{len(value):,} keys; at most {MAX_COLUMNS:,} are read")
    size = 0
    for item in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
        more, fault = check_value(item, depth + 1)
        if fault:
            return 0, fault
        size += more
    return size, None


def _int(text: str) -> Any:
    if len(text) > MAX_DIGITS:
        return _Fault("a number that is too long", f"a number of {len(text):,} digits; at most {MAX_DIGITS:,} are read")
    return int(text)


def _decimal(text: str) -> Any:
    if len(text) > MAX_DIGITS:
        return _int(text)
    try:
        return Decimal(text)
    except ArithmeticError:
        return _Fault("a number that is too large", f"a number that is too large or too small: {text[:40]}")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return _Fault("a repeated key", f"the key {key!r} twice")
        seen.add(key)
    raise AssertionError("a repeated key must be found")


def parquet_rows(data: bytes, path: str) -> Iterator[tuple[str, JsonObject]]:
    """The rows with their places. Raises InputError, before anything is unpacked, for a file over a limit."""
    table = _exact_floats(parquet_table(data, path))
    for number, values in enumerate(table.iter_rows(named=True), start=1):
        yield f"row {number}", values


def parquet_table(data: bytes, path: str) -> pl.DataFrame:
    """The whole table. Raises InputError, before anything is unpacked, for a file over a limit."""
    _check_footer(data, path)
    try:
        table = pl.read_parquet(io.BytesIO(data))
        text = _text_bytes(table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {_first_line(error)}.") from None
    if text > MAX_TEXT:  # a text stored once may stand in every row
        raise InputError(f"{path} unpacks to {text:,} bytes of text; at most {MAX_TEXT:,} are read. Split the file.")
    return table


def _text_bytes(table: pl.DataFrame) -> int:
    """Bytes of all texts, those in lists included."""
    total = 0
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pl.List):
            column = column.explode()
        if isinstance(column.dtype, pl.Categorical | pl.Enum):  # never written out here: that is where it would blow up
            counts = column.alias("text").value_counts(name="count")
            lengths = counts["text"].cast(pl.String).str.len_bytes().cast(pl.Int64)
            total += int((lengths * counts["count"].cast(pl.Int64)).sum())
        elif column.dtype == pl.String:
            total += int(column.str.len_bytes().cast(pl.Int64).sum())
    return total


def read_own(path: Path) -> pl.DataFrame:
    """A table that a step wrote, or that has its columns; limits as for any other Parquet file."""
    return parquet_table(read_bytes(path), str(path))


def _check_footer(data: bytes, path: str) -> None:
    try:
        footer = pq.ParquetFile(io.BytesIO(data)).metadata
        rows, columns = footer.num_rows, footer.num_columns
        if columns > MAX_COLUMNS:
            raise InputError(f"{path} has {columns:,} columns; at most {MAX_COLUMNS:,} are read.")
        if rows > MAX_ROWS:
            raise InputError(f"{path} has {rows:,} rows; at most {MAX_ROWS:,} are read. Split the file.")
        groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
        unpacked = sum(group.total_byte_size for group in groups)
        values = sum(group.column(index).num_values for group in groups for index in range(columns))
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable Parquet file: {_first_line(error)}.") from None
    if unpacked > MAX_UNPACKED:
        raise InputError(f"{path} unpacks to {unpacked:,} bytes; at most {MAX_UNPACKED:,} are read. Split the file.")
    if values > MAX_VALUES:
        raise InputError(f"{path} holds {values:,} values; at most {MAX_VALUES:,} are read. Split the file.")


def _exact_floats(table: pl.DataFrame) -> pl.DataFrame:
    """32-bit floats with the digits they were written with: 0.1 and not 0.10000000149011612."""
    casts = []
    for name, kind in table.schema.items():
        if kind == pl.Float32:
            casts.append(pl.col(name).cast(pl.String).cast(pl.Float64))
        elif kind == pl.List(pl.Float32):
            casts.append(pl.col(name).cast(pl.List(pl.String)).cast(pl.List(pl.Float64)))
    return table.with_columns(casts)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
