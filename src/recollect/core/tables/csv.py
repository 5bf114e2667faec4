"""Rows of CSV and TSV text.

Notable choices
- The separator is the one that cuts header and first rows into equally many cells; a comma inside a header name of a
  semicolon file does not mislead it. Excel's first line `sep=;` is followed.
- What Excel leaves behind is no error: blank rows, and empty cells after the last column. Columns without a name (such
  as pandas' index) are left out.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recollect.core.tables.bad_rows import BadRows, RowError
from recollect.core.tables.limits import MAX_CELL, MAX_COLUMNS, MAX_ROWS
from recollect.errors import InputError

SEPARATORS = (",", ";", "\t", "|")  # the first wins when two fit equally
_SAMPLE = 1 << 16  # characters the separator is told from
_HINT = re.compile(r"sep=([^\r\n])\r?\n")

Found = tuple[list[tuple[str, dict[str, Any]]], int]


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
    rows: list[tuple[str, dict[str, Any]]] = []
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
