"""What is written about a step, read and its files checked by it, so that a flipped bit is an error.

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
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from recollect.core.json_object import JsonObject
from recollect.core.said import SAID
from recollect.core.workspace.files import digest_of, fingerprint, is_temporary, write_json
from recollect.errors import InputError, RecollectWarning, StepError

MANIFEST, STATE, LOCK, PARTS, PARTIAL = "manifest.json", "step.json", ".lock", "parts", ".partial"
HASH_ALWAYS = 64 * 2**20
"""Bytes up to which a file is hashed whenever its step is read; about 70 ms for one of that size."""
_SCRATCH = {MANIFEST, STATE, LOCK}
_NAMES = {"step", "fingerprint", "settings", "inputs", "plan"}
_WEIGHTS = ".safetensors"
_CHANGES_LATER = (".journal", ".search-lock")
"""Ledgers, which other programs (a dashboard) may open and write in after the step has finished."""
_checked: set[tuple[str, int, int, int]] = set()


class FileMark(BaseModel):
    """A file as it was written."""

    size: int
    blake2b: str


class State(BaseModel):
    """What an unfinished step holds in `step.json`. The fields stand in the order in which they are written."""

    model_config = ConfigDict(extra="allow")  # an older or newer version's names are kept

    step: str
    fingerprint: str
    settings: JsonObject
    inputs: JsonObject
    plan: JsonObject
    """The machine's choices (batch size, threads), which a resumed run shares."""
    started: str = ""


class Manifest(State):
    """What a finished step holds in `manifest.json`."""

    metrics: JsonObject = {}
    """What was found; `core.workspace.result.Result.read` gives it back typed."""
    finished: str = ""
    versions: dict[str, str] = {}
    files: dict[str, FileMark] | None = None
    """None in a folder of an earlier version, which has no checksums."""


Kind = TypeVar("Kind", bound=State)


class _NotOurs(StepError):
    """A readable JSON file of some other program."""


def read_manifest(path: Path) -> Manifest:
    """The manifest of a whole step directory, whose files are checked; StepError when it is not one, or is damaged."""
    file = path / MANIFEST
    if not file.is_file():
        whole = path.absolute()  # "." has no name of its own
        unfinished = (whole.parent / f"{whole.name}{PARTIAL}").exists()
        hint = " It is unfinished: run its command again to finish it." if unfinished else ""
        raise StepError(f"{path} is not a finished step directory: it has no {MANIFEST}.{hint}")
    manifest = read_state(file, Manifest)
    check_files(path, manifest)
    return manifest


def is_finished(path: Path) -> bool:
    """Whether `path` is a finished step directory; StepError when it is a damaged one."""
    return (path / MANIFEST).is_file() and bool(read_manifest(path))


def step_input(path: Path, *expected: str) -> Manifest:
    """Check that `path` is a finished step directory of one of the `expected` kinds; returns its manifest."""
    if not path.exists():
        raise InputError(f"no such step directory: {path}. Make it with `recollect {expected[0]}`.")
    manifest = read_manifest(path)
    if manifest.step not in expected:
        kinds = " or ".join(repr(kind) for kind in expected)
        raise InputError(f"{path} is a {manifest.step!r} step directory, but a {kinds} one is needed.")
    return manifest


def check_stored(file: Path) -> None:
    """Check one file that may belong to a finished step; a file of no step, or of an old one, passes.

    For readers that take a single table out of a step. Raises StepError when the file is damaged.
    """
    if mark := _marks_beside(file).get(file.name):
        check_file(file, mark)


def check_model_step(model: Path) -> None:
    """Check every byte of a model folder that a step made (`STEP/model`); any other folder passes.

    Raises StepError when a file is damaged, or is missing, as weights that were not kept are.
    """
    model = model.resolve()  # "." has no name of its own
    for name, mark in _marks_beside(model).items():
        if name.startswith(f"{model.name}/"):
            check_file(model.parent / name, mark, every_byte=True)


def update_checksums(path: Path) -> None:
    """Give a finished step the checksums of its files as they are, after its page was made anew."""
    if (path / MANIFEST).is_file():
        manifest = read_state(path / MANIFEST, Manifest)
        if manifest.files is not None:
            write_sealed(path / MANIFEST, manifest.model_copy(update={"files": file_marks(path)}))


def read_state(file: Path, kind: type[Kind]) -> Kind:
    """A manifest or step.json, checked to be whole; StepError when it is not."""
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StepError(f"{file} cannot be read: {error}. Its folder is no step directory, or is damaged.") from None
    if not isinstance(loaded, dict) or not loaded.keys() >= _NAMES:
        raise _NotOurs(f"{file} is not the {file.name} of a step: it lacks the names that Recollect writes.")
    seal = loaded.pop("checksum", None)
    if seal is not None and seal != fingerprint(loaded):
        raise StepError(_damaged(file, "its checksum does not fit"))
    try:
        return kind.model_validate(loaded)
    except ValidationError as error:
        name = ".".join(map(str, error.errors()[0]["loc"]))
        raise StepError(_damaged(file, f"{name} is not what Recollect writes there")) from None


def write_sealed(file: Path, state: State) -> None:
    """Write a manifest or step.json with a checksum of the rest of it."""
    plain = json.loads(json.dumps(state.model_dump()))  # as it will be read: text keys, lists
    write_json(file, {**plain, "checksum": fingerprint(plain)})


def file_marks(folder: Path) -> dict[str, FileMark]:
    """Name, size and BLAKE2b of every stored file, as the manifest holds them."""
    return {
        file.relative_to(folder).as_posix(): FileMark(size=file.stat().st_size, blake2b=digest_of(file))
        for file in _stored_files(folder)
    }


def _stored_files(folder: Path) -> Iterator[Path]:
    """The files that make up a step: not its scratch, and of a step inside it the manifest alone."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if (path / MANIFEST).is_file():
                yield path / MANIFEST
            elif entry.name not in (PARTS, SAID) and not entry.name.endswith(PARTIAL):
                yield from _stored_files(path)
        elif entry.name not in _SCRATCH and not entry.name.endswith(_CHANGES_LATER) and not is_temporary(entry.name):
            yield path


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raises StepError, naming the file, when one of a finished step's files is not as it was written."""
    if manifest.files is None:
        warnings.warn(
            f"{folder} was made by an earlier version: its files carry no checksums, so damage to them goes unseen.",
            RecollectWarning,
            stacklevel=2,
        )
    for name, mark in (manifest.files or {}).items():
        check_file(folder / name, mark)


def check_file(file: Path, mark: FileMark, *, every_byte: bool = False) -> None:
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
    if found.st_size != mark.size:
        raise StepError(_damaged(file, f"it has {found.st_size:,} bytes and was written with {mark.size:,}"))
    known = (str(file.resolve()), found.st_size, found.st_mtime_ns, found.st_ino)
    if known in _checked or (found.st_size > HASH_ALWAYS and not every_byte):
        return
    if digest_of(file) != mark.blake2b:
        raise StepError(_damaged(file, "its checksum does not fit"))
    _checked.add(known)


def _damaged(file: Path, reason: str, what: str = "damaged") -> str:
    folder = next((one for one in file.parents if (one / MANIFEST).is_file()), file.parent)
    return f"{file} is {what} ({reason}). Copy it back, or delete {folder} and run its command again."


def _marks_beside(place: Path) -> dict[str, FileMark]:
    """The files of the step that a file or folder lies in; none when it lies in none, or in another program's."""
    file = place.resolve().parent / MANIFEST
    try:
        return (read_state(file, Manifest).files or {}) if file.is_file() else {}
    except _NotOurs:
        return {}
