"""Bytes from where facts lie: a file, a folder, or a .zip read in place (nothing is extracted to disk)."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recollect.errors import InputError

MAX_FILE = 1 << 30  # bytes of one table
MAX_MEMBER = 64 << 20  # bytes of one file of a folder or archive, unpacked
MAX_MEMBERS = 10_000


class Archive(Protocol):
    """Files by their name relative to the archive's root, with "/" between the parts."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...


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
        raise InputError(f"{path} is empty. Give a file with at least one fact.")
    return data


def decode(data: bytes, where: str) -> str:
    """UTF-8 text (a byte order mark is dropped); InputError names the offset of the first wrong byte."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not UTF-8 text: wrong byte 0x{data[error.start]:02x} at offset {error.start}. "
            "Save it as UTF-8."
        ) from None


def digest(parts: Iterator[tuple[str, bytes]]) -> str:
    """Hash of named byte strings, in the order given."""
    total = hashlib.blake2b(digest_size=16)
    for name, data in parts:
        total.update(f"{name}\x1f{len(data)}\x1f".encode())
        total.update(data)
    return total.hexdigest()


@dataclass(frozen=True)
class Folder:
    """A folder as an archive, three levels deep at most."""

    path: Path

    def names(self) -> list[str]:
        found = (file for pattern in ("*", "*/*", "*/*/*") for file in self.path.glob(pattern) if file.is_file())
        return sorted(file.relative_to(self.path).as_posix() for file in found)

    def read(self, name: str) -> bytes:
        return read_bytes(self.path / name, MAX_MEMBER)


@dataclass(frozen=True)
class Zip:
    """An open .zip as an archive; each member's size is checked before and while it is unpacked."""

    path: Path
    file: zipfile.ZipFile

    def names(self) -> list[str]:
        members = self.file.infolist()
        if len(members) > MAX_MEMBERS:
            raise InputError(f"{self.path} holds {len(members):,} files; at most {MAX_MEMBERS:,} are read.")
        return sorted(member.filename for member in members if not member.is_dir())

    def read(self, name: str) -> bytes:
        try:
            with self.file.open(name) as member:
                data = member.read(MAX_MEMBER + 1)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as error:
            raise InputError(f"{self.path}: {name} cannot be unpacked: {error}. Download it again.") from None
        if len(data) > MAX_MEMBER:
            raise InputError(f"{self.path}: {name} unpacks to more than {MAX_MEMBER:,} bytes, so it is refused.")
        return data


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """A folder or a .zip as an `Archive`; InputError when it is neither."""
    if path.is_dir():
        yield Folder(path)
        return
    if not path.exists():
        raise InputError(f"no such file or folder: {path}. Check the path.")
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path} is not a readable .zip file ({error}). Download it again.") from None
    with file:
        yield Zip(path, file)
