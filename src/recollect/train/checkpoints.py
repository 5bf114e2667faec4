"""Checkpoints of the transformers trainer: sealed when they are whole, and which one a killed training resumes from.

The trainer itself loads what it finds: half an optimizer ends in a traceback at every try, a missing one or a flipped
bit in another result. So a finished checkpoint is given a list of its files with sizes and CRC-32 (0.25 s per GiB), and
is resumed from only if they fit. One killed before it had its list is judged by what its files say of themselves.
"""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

from recollect.core.workspace import write_json
from recollect.errors import ModelError, RecollectWarning
from recollect.models.files import read_header

_STATE, _LIST = "trainer_state.json", "checksums.json"
_PIECE = 1 << 22


def seal_checkpoint(folder: Path) -> None:
    """List the files of a checkpoint that is whole. Random states of other processes are left out: they may be late."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != _LIST]
    marks = {
        file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "crc32": _crc32(file)}
        for file in files
        if not file.name.startswith("rng_state_")
    }
    write_json(folder / _LIST, marks)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; one that a kill cut short is passed over.

    A damaged one is removed with a warning: the training then resumes from an older one or starts anew, and ends in the
    same result. The trainer writes trainer_state.json last, so a checkpoint without a readable one was cut short.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        if _read(path / _STATE) is None:
            continue
        damage = _damage(path)
        if not damage:
            return path
        warnings.warn(
            f"{path} is damaged ({damage}) and was removed; the training resumes from an older checkpoint, or starts "
            "anew.",
            RecollectWarning,
            stacklevel=2,
        )
        shutil.rmtree(path)
    return None


def _damage(folder: Path) -> str:
    """What is wrong with a checkpoint's files; empty when nothing is."""
    marks = _read(folder / _LIST)
    if marks is None:
        return _damage_by_form(folder)
    for name, mark in marks.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != mark["size"] or _crc32(file) != mark["crc32"]:
            return f"the checksum of {name} does not fit"
    return ""


def _damage_by_form(folder: Path) -> str:
    """The same for a checkpoint without a list: which parts are missing or not whole by their own account."""
    if not list(folder.glob("*.safetensors")):
        return "its weights are missing"
    for name, of_shared in (("optimizer.pt", "optimizer.bin"), ("scheduler.pt", "scheduler.pt")):
        if not (folder / name).is_file() and not (folder / of_shared).is_file():
            return f"{name} is missing"
    if not list(folder.glob("rng_state*.pth")):
        return "the random states are missing"
    for file in folder.iterdir():
        check = {
            ".safetensors": _weights_are_whole,
            ".pt": _archive_is_whole,
            ".pth": _archive_is_whole,
            ".bin": _archive_is_whole,
        }
        if file.suffix in check and not check[file.suffix](file):
            return f"{file.name} is not whole"
    return ""


def _weights_are_whole(file: Path) -> bool:
    try:
        return bool(read_header(file))
    except ModelError:
        return False


def _archive_is_whole(file: Path) -> bool:
    """Whether a file of torch.save, which is a zip archive, holds what its own checksums say."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError):
        return False


def _crc32(file: Path) -> int:
    value = 0
    with file.open("rb") as handle:
        while piece := handle.read(_PIECE):
            value = zlib.crc32(piece, value)
    return value


def _read(file: Path) -> Any:
    """A JSON object, or nothing when there is none."""
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return loaded if isinstance(loaded, dict) else None
