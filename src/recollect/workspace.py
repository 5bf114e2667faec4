"""Step directories: written beside their final name, resumed part by part, renamed when whole.

The life of a step directory `OUT`
1. `OUT.partial/` is made; `step.json` in it holds the step's name, settings, input fingerprints and plan.
2. Each finished batch is one file in `OUT.partial/parts/`, written under another name, fsynced and renamed.
   A process killed at any moment loses at most the batch it was at.
3. The step writes its tables, then `manifest.json` last; scratch is removed and the folder renamed to `OUT`.
   The lock goes last of all, so that nobody else can take the folder before it has its final name.

A second run of the same command finds `OUT` and returns at once; a run with other settings is refused.
Two processes on one step are kept apart by a lock that the system releases when its holder dies.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import io
import json
import math
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import polars as pl

from recollect._version import __version__
from recollect.errors import InputError, RecollectError, StepError

MANIFEST = "manifest.json"
_STATE = "step.json"
_LOCK = ".lock"
_PARTS = "parts"
FORMAT = 1  # raised when a step's files change their meaning; part of every fingerprint
DEFAULT_ROOT = Path("recollect-runs")


def fingerprint(value: Any) -> str:
    """Hash of a JSON value, independent of key order. Raises InputError for NaN and infinities."""
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise InputError(f"settings and inputs must be finite numbers, but got {value!r:.500}.") from None
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that it is absent (or old) or whole: other name, fsync, rename, fsync of the folder."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # a full disk above all: give the room back
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a table as Parquet, atomically; equal tables give equal bytes."""
    buffer = io.BytesIO()  # so that the disk's errors come from our own write, as OSError
    table.write_parquet(buffer, compression="zstd", statistics=True, use_pyarrow=False)
    write_atomic(path, lambda file: file.write(buffer.getbuffer()))


def sync_folder(path: Path) -> None:
    """Make renames inside a folder (or the bytes of a file) durable."""
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
    return _read_state(file)


def step_input(path: Path, *expected: str) -> dict[str, Any]:
    """Check that `path` is a finished step directory of one of the `expected` kinds; returns its manifest."""
    if not path.exists():
        raise InputError(f"no such step directory: {path}. Make it with `recollect {expected[0]}`.")
    manifest = read_manifest(path)
    if manifest["step"] not in expected:
        kinds = " or ".join(repr(kind) for kind in expected)
        raise InputError(f"{path} is a {manifest['step']!r} step directory, but a {kinds} one is needed.")
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

    # -- parts: the unit of resumption ---------------------------------------------------------------------

    def part_path(self, index: int, suffix: str = "parquet") -> Path:
        """The file of one part."""
        return self.folder / _PARTS / f"{index:06d}.{suffix}"

    def has_part(self, index: int, suffix: str = "parquet") -> bool:
        """Whether a part is whole on disk."""
        return self.part_path(index, suffix).is_file()

    def write_part(self, index: int, table: pl.DataFrame) -> None:
        """Store one finished batch."""
        path = self.part_path(index)
        if not path.parent.is_dir():
            path.parent.mkdir()
            sync_folder(self.folder)
        write_parquet(path, table)

    def read_parts(self, count: int) -> pl.DataFrame:
        """All parts 0..count-1, one under the other."""
        return pl.concat([pl.read_parquet(self.part_path(index), glob=False) for index in range(count)])

    # -- files ---------------------------------------------------------------------------------------------

    def write_table(self, name: str, table: pl.DataFrame) -> None:
        """Write `name` (ending in .parquet) into the step."""
        write_parquet(self.folder / name, table)

    def read_table(self, name: str) -> pl.DataFrame:
        """Read a table of the step."""
        return pl.read_parquet(self.folder / name, glob=False)

    def pin(self, **values: Any) -> dict[str, Any]:
        """Fix the machine's choices (batch size, threads) at the first start; a resumed run gets those."""
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
            "metrics": _finite(dict(metrics or {})),
            "started": self._started,
            "finished": _now(),
            "versions": _versions(),
        }
        for file in self.folder.rglob("*"):
            if _PARTS not in file.relative_to(self.folder).parts and file.exists():
                sync_folder(file)  # also what others wrote, such as weights; a folder makes its names durable
        write_json(self.folder / MANIFEST, manifest)
        self._rename()

    def _rename(self) -> None:
        partial = self.folder
        shutil.rmtree(partial / _PARTS, ignore_errors=True)
        for name in (_STATE, _STATE + ".tmp"):
            (partial / name).unlink(missing_ok=True)
        partial.rename(self.path)
        sync_folder(self.path.parent)
        (self.path / _LOCK).unlink(missing_ok=True)
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

    Without `out` the directory is `root/name-fingerprint`. Raises StepError when the place is taken by a
    step with other settings or inputs, by something that is not a step, or by a process at work, and when it
    cannot be made. Nothing is changed then.
    """
    settings, inputs = dict(settings), dict(inputs)
    print_ = fingerprint({"format": FORMAT, "step": name, "settings": settings, "inputs": inputs})
    path = _final_path(out if out is not None else root / f"{name}-{print_[:12]}")
    step = Step(name, path, print_, settings, inputs)
    if not _make_folder(step):
        _adopt(step)
        yield step
        return
    with _lock(step):
        if path.exists():  # another process finished it before we had the lock
            with suppress(OSError):
                (step.folder / _LOCK).unlink()
                step.folder.rmdir()
            _adopt(step)
        elif (step.folder / MANIFEST).is_file():  # killed between the manifest and the rename
            step.plan = _check_same(step.folder, step.folder / MANIFEST, step)["plan"]
            step._rename()
        elif (step.folder / _STATE).is_file():
            state = _check_same(step.folder, step.folder / _STATE, step)
            step.resumed, step.plan, step._started = True, state["plan"], state["started"]
        else:
            if any(file.name not in (_LOCK, _STATE + ".tmp") for file in step.folder.iterdir()):
                raise StepError(f"{step.folder} exists and is not an unfinished step. Move it away or change --out.")
            write_json(step.folder / _STATE, step._state())
        try:
            yield step
        except RecollectError:  # refused before any work: leave the place free for the corrected command
            if not step.done and {file.name for file in step.folder.iterdir()} <= {_LOCK, _STATE}:
                shutil.rmtree(step.folder, ignore_errors=True)
            raise


def _final_path(out: Path) -> Path:
    """The absolute place of a step; links and `..` are followed now, since a rename at the end would not."""
    try:
        path = out.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a name with a NUL
        raise StepError(f"{out} cannot be a step directory: {error}. Give --out another name.") from None
    if path.name.endswith(".partial"):
        raise StepError(f"{path} ends in .partial, the mark of an unfinished step. Give --out another name.")
    return path


def _make_folder(step: Step) -> bool:
    """Make the unfinished folder; False when the final one is there already."""
    try:
        if step.path.exists():
            return False
        step.folder.mkdir(parents=True, exist_ok=True)
        sync_folder(step.path.parent)
    except (FileExistsError, NotADirectoryError):
        raise StepError(f"{step.path} cannot be made: a part of the path is a file. Give --out a folder.") from None
    except PermissionError:
        raise StepError(
            f"{step.path} cannot be made: no permission to write there. Give --out another folder."
        ) from None
    except OSError as error:
        raise StepError(f"{step.path} cannot be made: {error.strerror}. Give --out another folder.") from None
    return True


def _adopt(step: Step) -> None:
    """Take the finished step at `step.path` for the one asked for, or refuse it."""
    step.plan = _check_same(step.path, step.path / MANIFEST, step)["plan"]
    with suppress(OSError):  # left by a process killed between the rename and the end
        (step.path / _LOCK).unlink()
    step.done = True


def _read_state(file: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StepError(f"{file} cannot be read: {error}. Its folder is no step directory, or is damaged.") from None
    if not isinstance(loaded, dict) or not {"step", "fingerprint", "settings", "inputs", "plan"} <= loaded.keys():
        raise StepError(f"{file} is not the {file.name} of a step: it lacks the names that Recollect writes.")
    return loaded


def _check_same(folder: Path, file: Path, step: Step) -> dict[str, Any]:
    if not file.is_file():
        raise StepError(f"{folder} exists and is not a step directory. Give --out another name, or move it away.")
    found = _read_state(file)
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
    try:
        handle = path.open("a+")
    except PermissionError:
        raise StepError(f"no permission to write in {step.folder}. Give --out another folder.") from None
    except FileNotFoundError:  # renamed by its owner between our look and our open
        raise StepError(f"another process has just finished {step.path}. Run the command again.") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StepError(
                f"another process is working in {step.folder}. Wait for it, or give --out another name."
            ) from None
        except OSError as error:
            raise StepError(f"{path} cannot be locked: {error.strerror}. Give --out a local folder.") from None
        if not path.exists() or not os.path.samestat(os.fstat(handle.fileno()), path.stat()):
            raise StepError(f"another process has just finished {step.path}. Run the command again.")
        yield


def _finite(value: Any) -> Any:
    """The value with NaN and infinity as null, which is all that JSON has for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
