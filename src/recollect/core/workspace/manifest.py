"""The manifest of a finished step: read, and its files checked by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recollect.core.workspace.checksums import (
    MANIFEST,
    PARTIAL,
    check_file,
    check_files,
    check_seal,
    file_marks,
    sealed,
)
from recollect.core.workspace.files import write_json
from recollect.errors import InputError, StepError

_NAMES = {"step", "fingerprint", "settings", "inputs", "plan"}


class _NotOurs(StepError):
    """A readable JSON file of some other program."""


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a whole step directory, whose files are checked; StepError when it is not one, or is damaged."""
    file = path / MANIFEST
    if not file.is_file():
        unfinished = path.with_name(path.name + PARTIAL).exists()
        hint = " It is unfinished: run its command again to finish it." if unfinished else ""
        raise StepError(f"{path} is not a finished step directory: it has no {MANIFEST}.{hint}")
    manifest = read_state(file)
    check_files(path, manifest)
    return manifest


def is_finished(path: Path) -> bool:
    """Whether `path` is a finished step directory; StepError when it is a damaged one."""
    return (path / MANIFEST).is_file() and bool(read_manifest(path))


def step_input(path: Path, *expected: str) -> dict[str, Any]:
    """Check that `path` is a finished step directory of one of the `expected` kinds; returns its manifest."""
    if not path.exists():
        raise InputError(f"no such step directory: {path}. Make it with `recollect {expected[0]}`.")
    manifest = read_manifest(path)
    if manifest["step"] not in expected:
        kinds = " or ".join(repr(kind) for kind in expected)
        raise InputError(f"{path} is a {manifest['step']!r} step directory, but a {kinds} one is needed.")
    return manifest


def check_stored(file: Path) -> None:
    """Check one file that may belong to a finished step; a file of no step, or of an old one, passes.

    For readers that take a single table out of a step. Raises StepError when the file is damaged.
    """
    manifest = _manifest_beside(file)
    if manifest is not None and file.name in manifest.get("files", {}):
        check_file(file, manifest["files"][file.name])


def check_model_step(model: Path) -> None:
    """Check every byte of a model folder that a step made (`STEP/model`); any other folder passes.

    Raises StepError when a file is damaged, or is missing, as weights that were not kept are.
    """
    manifest = _manifest_beside(model)
    for name, mark in (manifest or {}).get("files", {}).items():
        if name.startswith(f"{model.name}/"):
            check_file(model.parent / name, mark, every_byte=True)


def update_checksums(path: Path) -> None:
    """Give a finished step the checksums of its files as they are, after its page was made anew."""
    if (path / MANIFEST).is_file():
        manifest = read_state(path / MANIFEST)
        if "files" in manifest:
            manifest.pop("checksum", None)
            write_json(path / MANIFEST, sealed({**manifest, "files": file_marks(path)}))


def read_state(file: Path) -> dict[str, Any]:
    """A manifest or step.json, checked to be whole; StepError when it is not."""
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StepError(f"{file} cannot be read: {error}. Its folder is no step directory, or is damaged.") from None
    if not isinstance(loaded, dict) or not loaded.keys() >= _NAMES:
        raise _NotOurs(f"{file} is not the {file.name} of a step: it lacks the names that Recollect writes.")
    check_seal(loaded, file)
    return loaded


def _manifest_beside(place: Path) -> dict[str, Any] | None:
    """The manifest of the step that a file or folder lies in; None when it lies in none, or in another program's."""
    file = place.resolve().parent / MANIFEST
    if not file.is_file():
        return None
    try:
        return read_state(file)
    except _NotOurs:
        return None
