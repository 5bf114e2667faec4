"""Step directories: written beside their final name, resumed part by part, renamed when whole.

The life of a step directory `OUT`
1. `OUT.partial/` is made; `step.json` in it holds the step's name, settings, input fingerprints and plan.
2. Each finished batch is one file in `OUT.partial/parts/`, written under another name, fsynced and renamed.
   A process killed at any moment loses at most the batch it was at.
3. The step writes its tables, then `manifest.json` last; scratch is removed and the folder renamed to `OUT`.

A second run of the same command finds `OUT` and returns at once; a run with other settings is refused.
Two processes on one step are kept apart by a lock that the system releases when its holder dies.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import polars as pl

from recollect._version import __version__
from recollect.errors import InputError, StepError

MANIFEST = "manifest.json"
_STATE = "step.json"
_LOCK = ".lock"
_PARTS = "parts"
FORMAT = 1  # raised when a step's files change their meaning; part of every fingerprint
DEFAULT_ROOT = Path("recollect-runs")


def fingerprint(value: Any) -> str:
    """Hash of a JSON value, independent of key order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that it is either absent (or old) or whole: other name, fsync, rename, fsync of the folder."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a table as Parquet, atomically; equal tables give equal bytes (one thread's worth of row groups, zstd)."""
    write_atomic(path, lambda file: table.write_parquet(file, compression="zstd", statistics=True, use_pyarrow=False))


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a whole step directory; StepError when it is not one."""
    file = path / MANIFEST
    if not file.is_file():
        unfinished = path.with_name(path.name + ".partial").exists()
        hint = " It is unfinished: run its command again to finish it." if unfinished else ""
        raise StepError(f"{path} is not a finished step directory: it has no {MANIFEST}.{hint}")
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def step_input(path: Path, expected: str) -> dict[str, Any]:
    """Check that `path` is a finished step directory of the kind `expected`; returns its manifest."""
    if not path.exists():
        raise InputError(f"no such step directory: {path}. Make it with `recollect {expected}`.")
    manifest = read_manifest(path)
    if manifest["step"] != expected:
        raise InputError(f"{path} is a {manifest['step']!r} step directory, but a {expected!r} one is needed.")
    return manifest


@dataclass
class Step:
    """An open step directory. `path` is its final name; files go to `folder` until `finish`."""

    name: str
    path: Path
    fingerprint: str
    settings: dict[str, Any]
    inputs: dict[str, Any]
    done: bool = False
    resumed: bool = False
    plan: dict[str, Any] = field(default_factory=dict)
    _started: str = field(default_factory=lambda: _now())

    @property
    def folder(self) -> Path:
        """Where the files are now: the final folder when done, the partial one before."""
        return self.path if self.done else self.path.with_name(self.path.name + ".partial")

    # -- parts: the unit of resumption -----------------------------------------------------------------------------

    def part_path(self, index: int, suffix: str = "parquet") -> Path:
        """The file of one part."""
        return self.folder / _PARTS / f"{index:06d}.{suffix}"

    def has_part(self, index: int, suffix: str = "parquet") -> bool:
        """Whether a part is whole on disk."""
        return self.part_path(index, suffix).is_file()

    def write_part(self, index: int, table: pl.DataFrame) -> None:
        """Store one finished batch."""
        path = self.part_path(index)
        path.parent.mkdir(exist_ok=True)
        write_parquet(path, table)

    def read_parts(self, count: int) -> pl.DataFrame:
        """All parts 0..count-1, one under the other."""
        return pl.concat([pl.read_parquet(self.part_path(index)) for index in range(count)])

    # -- files -----------------------------------------------------------------------------------------------------

    def write_table(self, name: str, table: pl.DataFrame) -> None:
        """Write `name` (ending in .parquet) into the step."""
        write_parquet(self.folder / name, table)

    def read_table(self, name: str) -> pl.DataFrame:
        """Read a table of the step."""
        return pl.read_parquet(self.folder / name)

    def pin(self, **values: Any) -> dict[str, Any]:
        """Fix choices made by the machine (batch size, threads) at the first start, so that a resumed run repeats them."""
        if not self.plan:
            self.plan = values
            write_json(self.folder / _STATE, self._state())
        return self.plan

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of a finished step."""
        loaded: dict[str, Any] = read_manifest(self.path)["metrics"]
        return loaded

    def finish(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Write the manifest last, drop the scratch files and give the folder its final name."""
        manifest = {
            "step": self.name,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "inputs": self.inputs,
            "plan": self.plan,
            "metrics": dict(metrics or {}),
            "started": self._started,
            "finished": _now(),
            "versions": _versions(),
        }
        for file in self.folder.rglob("*"):
            if file.is_file() and _PARTS not in file.relative_to(self.folder).parts:
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        write_json(self.folder / MANIFEST, manifest)
        self._rename()

    def _rename(self) -> None:
        partial = self.folder
        shutil.rmtree(partial / _PARTS, ignore_errors=True)
        for name in (_STATE, _LOCK):
            (partial / name).unlink(missing_ok=True)
        partial.rename(self.path)
        sync_folder(self.path.parent)
        self.done = True

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.name,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "inputs": self.inputs,
            "plan": self.plan,
            "started": self._started,
        }


@contextmanager
def open_step(
    name: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
) -> Iterator[Step]:
    """Open a step directory for work, resume it where it was left, or find it done (`step.done`).

    Without `out` the directory is `root/name-fingerprint`. Raises StepError when the place is taken by a step with
    other settings or inputs, by something that is not a step, or by a process at work.
    """
    settings, inputs = dict(settings), dict(inputs)
    print_ = fingerprint({"format": FORMAT, "step": name, "settings": settings, "inputs": inputs})
    path = (out if out is not None else root / f"{name}-{print_[:12]}").absolute()
    if path.suffix == ".partial":
        raise StepError(f"{path} ends in .partial, the mark of an unfinished step. Give --out another name.")
    step = Step(name, path, print_, settings, inputs)
    if path.exists():
        _check_same(path, path / MANIFEST, step)
        step.done = True
        yield step
        return
    try:
        step.folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise StepError(f"{path} cannot be made: a part of the path is a file. Give --out a folder.") from None
    except PermissionError:
        raise StepError(f"{path} cannot be made: no permission to write there. Give --out another folder.") from None
    with _lock(step):
        if path.exists():  # another process finished it while we waited for the lock
            _check_same(path, path / MANIFEST, step)
            step.done = True
            yield step
            return
        if (step.folder / MANIFEST).is_file():  # killed between the manifest and the rename
            _check_same(step.folder, step.folder / MANIFEST, step)
            step._rename()
            yield step
            return
        if (step.folder / _STATE).is_file():
            state = _check_same(step.folder, step.folder / _STATE, step)
            step.resumed, step.plan, step._started = True, state["plan"], state["started"]
        else:
            if any(file.name != _LOCK for file in step.folder.iterdir()):
                raise StepError(f"{step.folder} exists and is not an unfinished step. Move it away or change --out.")
            write_json(step.folder / _STATE, step._state())
        yield step


def _check_same(folder: Path, file: Path, step: Step) -> dict[str, Any]:
    if not file.is_file():
        raise StepError(f"{folder} exists and is not a step directory. Give --out another name, or move it away.")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if found["fingerprint"] == step.fingerprint:
        return found
    if found["step"] != step.name:
        what = f"it is a {found['step']!r} step, not a {step.name!r} step"
    else:
        what = "; ".join(
            _differences(found["settings"], step.settings, "setting ")
            + _differences(found["inputs"], step.inputs, "input ")
        )
    raise StepError(
        f"{folder} holds a step made from other settings or inputs ({what or 'another format version'}). "
        f"Nothing was changed. Give --out another name, or delete {folder} to start over."
    )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], kind: str) -> list[str]:
    return [
        f"{kind}{key} was {old.get(key)!r}, now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


@contextmanager
def _lock(step: Step) -> Iterator[None]:
    path = step.folder / _LOCK
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StepError(
                f"another process is working in {step.folder}. Wait for it, or give --out another name."
            ) from None
        yield


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    versions = {"recollect": __version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "trl", "peft", "polars"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
