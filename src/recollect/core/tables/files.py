"""Bytes and text of a file, how large a table may be, and what becomes of bad rows.

What is over a limit is refused with one line before memory is spent on it. The first bad row is an error, or they are
skipped and counted, as the user's `--bad-rows` says.
"""

from __future__ import annotations

import codecs
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from recollect.core.workspace.result import Result
from recollect.errors import InputError

MAX_FILE = 1 << 30  # bytes of one file, packed
MAX_UNPACKED = 8 << 30  # bytes of a Parquet file's columns, unpacked, by its own account
MAX_ROWS = 5_000_000
MAX_COLUMNS = 10_000
MAX_VALUES = 100_000_000  # values of a Parquet file, those inside lists included
MAX_CELL = 20_000_000  # characters of one cell: a raw page of 20 MB
MAX_TEXT = 2 << 30  # bytes of the text of all cells together
MAX_DEPTH = 50  # objects and lists inside each other
MAX_DIGITS = 1_000  # digits of one number in JSON


_MARKS = (  # byte order marks; the longer ones first, since UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)


def read_bytes(path: Path, limit: int = MAX_FILE) -> bytes:
    """The whole file; InputError when it is absent, unreadable, empty or larger than `limit` bytes."""
    if not path.exists():
        raise InputError(f"no such file or folder: {path}. Check the path.")
    if not path.is_file():
        raise InputError(f"{path} is not a file, but a file is needed.")
    try:
        size = path.stat().st_size
        if size > limit:
            raise InputError(f"{path} has {size:,} bytes; at most {limit:,} are read. Split the file.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
    if not data.strip():
        raise InputError(f"{path} is empty. Give a file with at least one row.")
    return data


def decode(data: bytes, where: str) -> str:
    """UTF-8 text, or UTF-16 or UTF-32 text with a byte order mark (dropped); InputError names the first wrong byte."""
    encoding, name = next(((encoding, name) for mark, encoding, name in _MARKS if data.startswith(mark)), ("utf-8", ""))
    if not name and data[:200].count(0) * 4 > len(data[:200]):
        raise InputError(f"{where} is not UTF-8 text: it is full of zero bytes, as UTF-16 is. Save it as UTF-8.")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not {name or 'UTF-8'} text: wrong byte 0x{data[error.start]:02x} at offset {error.start}. "
            f"Save it as UTF-8."
        ) from None


def digest(parts: Iterator[tuple[str, bytes]]) -> str:
    """Hash of named byte strings, in the order given."""
    total = hashlib.blake2b(digest_size=16)
    for name, data in parts:
        total.update(f"{name}\x1f{len(data)}\x1f".encode())
        total.update(data)
    return total.hexdigest()


BadRowsMode = Literal["error", "skip"]
BAD_ROWS: tuple[BadRowsMode, ...] = get_args(BadRowsMode)
_SHOWN = 20  # rows named one by one in a report; all are counted


class RowError(InputError):
    """One row that cannot be used. `reason` holds no value of the row, so that equal faults count together."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class BadRow:
    """A row that was skipped."""

    where: str
    """Its place, e.g. "line 3"."""
    reason: str
    """What is wrong, without the row's values."""
    text: str
    """The error as it would have been shown."""


class SkippedRow(Result):
    """A row that could not be used, as a step's result names it."""

    where: str
    error: str


class BadRowsFound(Result):
    """Rows that were skipped, by what is wrong with them, and the first of them."""

    skipped: int = 0
    reasons: dict[str, int] = {}
    first: list[SkippedRow] = []


@dataclass
class BadRows:
    """What becomes of bad rows, and an account of those skipped."""

    mode: BadRowsMode = "error"
    found: list[BadRow] = field(default_factory=list)

    def add(self, where: str, error: RowError) -> None:
        """Count a bad row; in mode "error" raise its error instead."""
        if self.mode == "error":
            raise error
        self.found.append(BadRow(where, error.reason, str(error)))

    def account(self) -> BadRowsFound:
        """How many rows were skipped, how many for each reason, and the first of them with their place."""
        return BadRowsFound(
            skipped=len(self.found),
            reasons=dict(sorted(Counter(row.reason for row in self.found).items())),
            first=[SkippedRow(where=row.where, error=row.text) for row in self.found[:_SHOWN]],
        )

    def lines(self, name: str) -> list[str]:
        """The account in words, for a page: one line, or none."""
        if not self.found:
            return []
        said = ", ".join(f"{count:,} with {reason}" for reason, count in self.account().reasons.items())
        return [f"{len(self.found):,} bad rows of {name} were skipped: {said}. The first is {self.found[0].where}."]
