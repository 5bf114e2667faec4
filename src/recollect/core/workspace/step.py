"""One open step directory: its parts, its tables, its end."""

from __future__ import annotations

import datetime
import hashlib
import io
import math
import platform
import shutil
import stat
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from recollect._version import __version__
from recollect.core.interrupt import interrupted
from recollect.core.json_object import JsonObject
from recollect.core.redact import hide_secrets_in
from recollect.core.said import forget
from recollect.core.settings import Settings
from recollect.core.workspace.files import (
    is_temporary,
    parquet_bytes,
    sync_folder,
    write_atomic,
    write_parquet,
)
from recollect.core.workspace.lease import Leases, refuse_lost
from recollect.core.workspace.lock import locked
from recollect.core.workspace.manifest import (
    LOCK,
    MANIFEST,
    PARTIAL,
    PARTS,
    STATE,
    Manifest,
    State,
    file_marks,
    read_manifest,
    write_sealed,
)
from recollect.errors import RecollectWarning, StepError

ENTER_SECONDS = 20.0
"""How long a worker waits for others that enter, or finish, a shared folder."""
FORMAT = 1  # raised when a step's files change their meaning; part of every fingerprint


@dataclass
class Step:
    """An open step directory. `path` is its final name; files go to `folder` until `finish`."""

    name: str
    path: Path
    fingerprint: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]
    asked: Settings | None = None
    """The settings as they were given; what they have at its default, an older folder need not name."""
    done: bool = False
    resumed: bool = False
    plan: JsonObject = field(default_factory=dict)
    started: str = field(default_factory=lambda: _now())
    leases: Leases | None = None
    """Who does what, in a folder that several workers share; None for one process alone."""

    @property
    def folder(self) -> Path:
        """Where the files are now: the final folder when done, the partial one before."""
        return self.path if self.done else self.path.with_name(self.path.name + PARTIAL)

    def scratch(self, name: str = "") -> Path:
        """A place for what a resumed run needs and a finished step does not: beside the parts, and gone with them."""
        return self.folder / PARTS / name

    # -- parts: the unit of resumption ---------------------------------------------------------------------

    def part_path(self, index: int) -> Path | None:
        """The file of one part, if there is one; its name holds the part's checksum."""
        return next(iter(sorted((self.folder / PARTS).glob(f"{index:06d}-*.parquet"))), None)

    def has_part(self, index: int) -> bool:
        """Whether a part is whole on disk. A damaged part, or one of another step, is removed with a warning."""
        path = self.part_path(index)
        if path is None:
            return False
        if self._part_data(path, index) is not None:
            return True
        path.unlink()
        warnings.warn(f"{path} was damaged, or is of another step; it is made anew.", RecollectWarning, stacklevel=2)
        return False

    def write_part(self, index: int, table: pl.DataFrame) -> None:
        """Store one finished batch. A Ctrl-C that was lost in it ends the work here, with the batch kept.

        Raises StepBusy where another worker has taken the work over.
        """
        refuse_lost()
        parts = self.folder / PARTS
        if not parts.is_dir():
            parts.mkdir()
            sync_folder(self.folder)
        data = parquet_bytes(table)
        write_atomic(parts / f"{index:06d}-{self._part_mark(index, data)}.parquet", lambda file: file.write(data))
        if interrupted():
            raise KeyboardInterrupt

    def read_part(self, index: int) -> pl.DataFrame:
        """One part. Raises StepError when it is damaged or gone."""
        path = self.part_path(index)
        data = None if path is None else self._part_data(path, index)
        if data is None:
            place = path or self.folder / PARTS / f"{index:06d}-*.parquet"
            raise StepError(
                f"{place} was damaged or removed during the work. Run the same command again: it is redone."
            )
        return pl.read_parquet(io.BytesIO(data))

    def read_parts(self, count: int) -> pl.DataFrame:
        """All parts 0..count-1, one under the other."""
        return pl.concat([self.read_part(index) for index in range(count)])

    def _part_mark(self, index: int, data: bytes | memoryview) -> str:
        """The checksum in a part's name; keyed, so that another step's or batch's part does not pass."""
        return hashlib.blake2b(data, key=f"{self.fingerprint}/{index}".encode(), digest_size=16).hexdigest()

    def _part_data(self, path: Path, index: int) -> bytes | None:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise StepError(f"{path} is no regular file. Recollect makes none such: remove it.")
        data = path.read_bytes()
        return data if path.stem.partition("-")[2] == self._part_mark(index, data) else None

    # -- files ---------------------------------------------------------------------------------------------

    def write_table(self, name: str, table: pl.DataFrame) -> None:
        """Write `name` (ending in .parquet) into the step."""
        write_parquet(self.folder / name, table)

    def read_table(self, name: str) -> pl.DataFrame:
        """Read a table of the step."""
        return pl.read_parquet(self.folder / name, glob=False)

    def pin(self, **values: Any) -> JsonObject:
        """Fix the machine's choices (batch size, threads) at the first start; a resumed run gets those."""
        if not self.plan:
            self.plan = values
            self.write_state()
        return self.plan

    def write_state(self) -> None:
        """Store what a resumed run must share with this one."""
        write_sealed(self.folder / STATE, self._state())

    @property
    def metrics(self) -> JsonObject:
        """The metrics of a finished step."""
        return read_manifest(self.path).metrics

    def finish(self, found: BaseModel | Mapping[str, Any] | None = None) -> None:
        """Write the manifest last, with a checksum of every file, drop the scratch and give the folder its name.

        found: the step's `core.workspace.result.Result`, which `Result.read` gives back. Raises StepBusy where another
        worker has taken the work over.
        """
        refuse_lost()
        with self._entrance():
            self._finish(found)

    def _entrance(self) -> AbstractContextManager[None]:
        """Nobody enters a shared folder meanwhile; that of one process alone is locked anyway."""
        if self.leases is None:
            return nullcontext()
        return locked(self.folder / LOCK, lambda: f"{self.folder} is locked by another worker.", ENTER_SECONDS)

    def _finish(self, found: BaseModel | Mapping[str, Any] | None) -> None:
        metrics = found.model_dump(mode="json", by_alias=True) if isinstance(found, BaseModel) else found
        for file in self.folder.rglob("*"):
            if PARTS not in file.relative_to(self.folder).parts and file.exists():
                sync_folder(file)  # also what others wrote, such as weights; a folder makes its names durable
        manifest = Manifest(
            **dict(self._state()),
            metrics=hide_secrets_in(_finite(_by_final_names(metrics or {}))),
            finished=_now(),
            versions=_versions(),
            files=file_marks(self.folder),
        )
        write_sealed(self.folder / MANIFEST, manifest)
        self.rename()

    def rename(self) -> None:
        """Drop the scratch of a step whose manifest is written, and give the folder its final name."""
        partial = self.folder
        if self.leases is not None:
            self.leases.retire()
        shutil.rmtree(partial / PARTS, ignore_errors=True)
        forget(partial)
        (partial / STATE).unlink(missing_ok=True)
        for file in partial.iterdir():
            if is_temporary(file.name):
                file.unlink()
        partial.rename(self.path)
        sync_folder(self.path.parent)
        (self.path / LOCK).unlink(missing_ok=True)
        self.done = True

    def reopen(self) -> None:
        """Make a finished step an unfinished one whose own files are made anew; the steps inside it stay.

        Killed on the way, it is the finished one still, or an unfinished one with a manifest, which `open_step` knows.
        """
        write_sealed(self.path / STATE, self._state())
        self.path.rename(self.folder)
        sync_folder(self.path.parent)
        self.drop_own_files()

    def drop_own_files(self) -> None:
        """Remove the files that lie in the unfinished folder itself, the manifest first."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for file in list(self.folder.iterdir()):
            if not file.is_dir() and file.name not in (LOCK, STATE):
                file.unlink()

    def _state(self) -> State:
        return State(
            step=self.name,
            fingerprint=self.fingerprint,
            settings=hide_secrets_in(self.settings),
            inputs=self.inputs,
            plan=self.plan,
            started=self.started,
        )


def _by_final_names(metrics: Mapping[str, Any]) -> JsonObject:
    """The metrics with their sources called as they will be called when the steps around this one are finished."""
    sources = metrics.get("sources")
    if not isinstance(sources, dict):
        return dict(metrics)
    return {**metrics, "sources": {name: str(value).replace(f"{PARTIAL}/", "/") for name, value in sources.items()}}


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
