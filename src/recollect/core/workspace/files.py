"""Files that are whole or absent: atomic writes that follow no planted link, hashes of values and of files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import polars as pl

from recollect.errors import InputError

_TEMPORARY = re.compile(r".+(\.[0-9a-f]{8})?\.tmp")


def fingerprint(value: Any) -> str:
    """Hash of a JSON value, independent of key order. Raises InputError for NaN and infinities."""
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise InputError(f"settings and inputs must be finite numbers, but got {value!r:.500}.") from None
    return hashlib.blake2b(_utf8(text), digest_size=16).hexdigest()


def digest_of(path: Path) -> str:
    """BLAKE2b of a file's bytes, 16 bytes in hexadecimal; about 1.1 s per GiB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that it is absent (or old) or whole: other name, fsync, rename, fsync of the folder.

    The other name is a random one and must be new, so that a link planted at a foreseeable name is never written
    through; a link at `path` itself is replaced, not followed.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # a full disk above all: give the room back
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    sync_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Whether a file name is one that `write_atomic` gives until the file is whole."""
    return _TEMPORARY.fullmatch(name) is not None


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(_utf8(text)))


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a table as Parquet, atomically; equal tables give equal bytes."""
    data = parquet_bytes(table)
    write_atomic(path, lambda file: file.write(data))


def parquet_bytes(table: pl.DataFrame) -> memoryview:
    """A table as the bytes of a Parquet file; made in memory, so that the disk's errors come from our own write."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", statistics=True, use_pyarrow=False)
    return buffer.getbuffer()


def sync_folder(path: Path) -> None:
    """Make renames inside a folder (or the bytes of a file) durable; Windows opens no folder, and has no such call."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _utf8(text: str) -> bytes:
    """JSON text as bytes. A lone surrogate, which UTF-8 cannot hold, becomes its JSON escape."""
    return text.encode("utf-8", "backslashreplace")
