"""Bytes and text of a file."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from pathlib import Path

from recollect.core.tables.limits import MAX_FILE as MAX_FILE
from recollect.errors import InputError

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
