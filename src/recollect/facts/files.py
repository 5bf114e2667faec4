"""Bytes from where facts lie: a file, a folder, or a .zip read in place (nothing is extracted to disk)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recollect.core.tables import decode as decode
from recollect.core.tables import digest as digest
from recollect.core.tables import read_bytes as read_bytes
from recollect.errors import InputError

MAX_MEMBER = 64 << 20  # bytes of one file of a folder or archive, unpacked
MAX_MEMBERS = 10_000


class Archive(Protocol):
    """Files by their name relative to the archive's root, with "/" between the parts."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...


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
