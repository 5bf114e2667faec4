"""Checksums of a step's files, so that a flipped bit is an error and never another result.

Notable choices
- The manifest lists every file of its step with size and BLAKE2b, and carries a checksum of itself. Of a step inside
  the step only the manifest is listed: it vouches for the rest.
- Whoever reads a step's manifest has its files checked: sizes always, bytes up to HASH_ALWAYS; larger files (weights)
  when a model is loaded from them. A file that was checked is not read again by the same process while its size, time
  and inode stay.
- Weights that are gone are no damage until somebody wants them: studies, curves and searches drop what they need not
  keep.
- A folder of an earlier version has no checksums; it is read as before, with a warning.
"""

from __future__ import annotations

import json
import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recollect.core.workspace.files import digest_of, fingerprint, is_temporary
from recollect.errors import RecollectWarning, StepError

MANIFEST, STATE, LOCK, PARTS, PARTIAL = "manifest.json", "step.json", ".lock", "parts", ".partial"
HASH_ALWAYS = 64 * 2**20
"""Bytes up to which a file is hashed whenever its step is read; about 70 ms for one of that size."""
_SCRATCH = {MANIFEST, STATE, LOCK}
_WEIGHTS = ".safetensors"
_CHANGES_LATER = (".journal", ".search-lock")
"""Ledgers, which other programs (a dashboard) may open and write in after the step has finished."""
_checked: set[tuple[str, int, int, int]] = set()


def stored_files(folder: Path) -> Iterator[Path]:
    """The files that make up a step: not its scratch, and of a step inside it the manifest alone."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if (path / MANIFEST).is_file():
                yield path / MANIFEST
            elif entry.name != PARTS and not entry.name.endswith(PARTIAL):
                yield from stored_files(path)
        elif entry.name not in _SCRATCH and not entry.name.endswith(_CHANGES_LATER) and not is_temporary(entry.name):
            yield path


def file_marks(folder: Path) -> dict[str, dict[str, Any]]:
    """Name, size and BLAKE2b of every stored file, as the manifest holds them."""
    return {
        file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "blake2b": digest_of(file)}
        for file in stored_files(folder)
    }


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object with a checksum of the rest of it."""
    plain: dict[str, Any] = json.loads(json.dumps(value))  # as it will be read: text keys, lists
    return {**plain, "checksum": fingerprint(plain)}


def check_seal(loaded: dict[str, Any], file: Path) -> None:
    """Raises StepError when a sealed object is not what was written; without a seal nothing is checked."""
    if "checksum" in loaded:
        rest = {key: value for key, value in loaded.items() if key != "checksum"}
        if loaded["checksum"] != fingerprint(rest):
            raise StepError(_damaged(file, "its checksum does not fit"))


def check_files(folder: Path, manifest: Mapping[str, Any], *, every_byte: bool = False) -> None:
    """Raises StepError, naming the file, when one of a finished step's files is not as it was written."""
    if "files" not in manifest:
        warnings.warn(
            f"{folder} was made by an earlier version: its files carry no checksums, so damage to them goes unseen.",
            RecollectWarning,
            stacklevel=2,
        )
        return
    for name, mark in manifest["files"].items():
        check_file(folder / name, mark, every_byte=every_byte)


def check_file(file: Path, mark: Mapping[str, Any], *, every_byte: bool = False) -> None:
    """Raises StepError when one file is not as its mark says."""
    try:
        found = file.stat()
    except OSError:
        if file.suffix == _WEIGHTS and not every_byte:
            return
        reason = "its weights were not kept" if file.suffix == _WEIGHTS else "a file is gone"
        raise StepError(_damaged(file, reason, "missing")) from None
    if not stat.S_ISREG(found.st_mode):
        raise StepError(_damaged(file, "it is no regular file"))
    if found.st_size != mark["size"]:
        raise StepError(_damaged(file, f"it has {found.st_size:,} bytes and was written with {mark['size']:,}"))
    known = (str(file.resolve()), found.st_size, found.st_mtime_ns, found.st_ino)
    if known in _checked or (found.st_size > HASH_ALWAYS and not every_byte):
        return
    if digest_of(file) != mark["blake2b"]:
        raise StepError(_damaged(file, "its checksum does not fit"))
    _checked.add(known)


def _damaged(file: Path, reason: str, what: str = "damaged") -> str:
    folder = next((one for one in file.parents if (one / MANIFEST).is_file()), file.parent)
    return f"{file} is {what} ({reason}). Copy it back, or delete {folder} and run its command again."
