"""The step folders of an experiment as they lie there, finished or half written; nothing is opened for writing.

Notable choices
- Every experiment is a folder of steps, so one walk serves them all: what a folder is, its manifest or step.json says.
- What changes is noticed by the times of folders, since all that matters is renamed into place, and by size and time
  of the files that tell of progress. So a look at thousands of finished steps asks for one time each.
- A step that cannot be read is listed with the reason, and costs no more than itself. Files come and go while we look:
  what is gone meanwhile is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from recollect.core.said import SAID
from recollect.core.workspace import MANIFEST, Manifest
from recollect.core.workspace.manifest import PARTIAL, PARTS, STATE, State, read_state
from recollect.core.workspace.result import Result, result_from
from recollect.errors import InputError, StepError
from recollect.experiments.under_way import UNDER_WAY

_NOT_ENTERED = (PARTS, "model", SAID, UNDER_WAY)
_DEEP = 8
_SETTLED = 3_000_000_000
"""Nanoseconds after which a folder's time tells its state: clocks of files tick coarsely."""
_clock = time.time_ns
Kind = TypeVar("Kind", bound=Result)


@dataclass(frozen=True)
class Step:
    """One step folder."""

    name: str
    """Its place in the experiment by final names, "steps/train-60-seed0"; "" for the experiment itself."""
    folder: Path
    """Where it is now; ends in .partial while it is half written."""
    state: State | None
    """What its manifest or step.json holds; None where that cannot be read."""
    fault: str = ""
    """Why not."""
    batches: int = 0
    """Finished batches of a half-written step."""

    @property
    def finished(self) -> Manifest | None:
        """Its manifest, where it is finished."""
        return self.state if isinstance(self.state, Manifest) else None

    @property
    def kind(self) -> str:
        """Which step it is: "train"; "" where it cannot be read."""
        return self.state.step if self.state else ""

    @property
    def place(self) -> str:
        """The folder it lies in, "steps"; "" for the experiment's own."""
        return self.name.rpartition("/")[0]

    @property
    def own_name(self) -> str:
        """Its own name alone."""
        return self.name.rpartition("/")[2]

    def found(self, kind: type[Kind]) -> Kind:
        """What it found. Raises StepError where it is not finished, or found other things."""
        if self.finished is None:
            raise StepError(f"{self.folder} is not a finished step.")
        return result_from(kind, self.finished.metrics, self.folder)


def final_path(given: Path) -> Path:
    """The place of the experiment that is meant: its folder, its unfinished one, or what is inside seen from within.

    Raises InputError where no step is.
    """
    path = given.resolve()
    if path.name.endswith(PARTIAL):
        path = path.with_name(path.name.removesuffix(PARTIAL))
    if not any(file.is_file() for file in (path / MANIFEST, _partial(path) / MANIFEST, _partial(path) / STATE)):
        what = "is not the folder of a step" if given.exists() else "does not exist"
        raise InputError(
            f"{given} {what}: it has no {MANIFEST}, and there is no {path.name}{PARTIAL} beside it. "
            "Give what was --out of a study, curve, search or fit. If it was started just now, wait until its plan is "
            "shown: its folder is made after that."
        )
    return path


def wait_for(given: Path, say: Callable[[str], None], every: float = 0.5) -> Path:
    """`final_path`; where nothing is yet, say so once and wait until a run begins there. every: seconds between looks.

    Raises InputError where the folder above is not there either, and where what is there is no step.
    """
    said = False
    while True:
        try:
            return final_path(given)
        except InputError:
            if given.exists() or not given.resolve().parent.is_dir():
                raise
        if not said:
            say(f"{given} does not exist yet: waiting for a run to begin there (Ctrl-C ends the waiting)")
            said = True
        time.sleep(every)


def folder_of(path: Path) -> Path:
    """Where a step is now: the unfinished folder while there is one."""
    return path if (path / MANIFEST).is_file() else _partial(path)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)


def survey(path: Path) -> list[Folder]:
    """The experiment's folder as it is now, and those in it at any depth; none where it is gone."""
    return list(_survey(str(folder_of(path))))


def read_steps(folders: Sequence[Folder]) -> list[Step]:
    """The experiment first, then the steps in it, by name; none where it is no step any more."""
    found = [_step(_name(folders[0].path, one.path), one) for one in folders]
    return [one for one in found if one is not None] if found and found[0] is not None else []


def signature(folders: Sequence[Folder]) -> list[tuple[str, int, int]]:
    """Changes whenever a step, a trial or the progress of one does: folders with their times, and the files that tell
    of progress with theirs and their sizes.

    Everything else is written under another name and renamed, which changes the folder's time.
    """
    found = []
    for one in folders:
        found.append((one.path, one.time, 0))
        for name in one.told:
            found += _marks(Path(one.path, name))
        if STATE in one.files:  # half written
            found += [mark for mark in (_mark(Path(one.path, PARTS)),) if mark]
    return found


def under_way_in(folders: Sequence[Folder]) -> list[tuple[str, Path]]:
    """The folders in which cells tell how far they are, and before each the place that it is about."""
    root = folders[0].path
    return [(_name(root, one.path), Path(one.path, UNDER_WAY)) for one in folders if UNDER_WAY in one.told]


@dataclass(frozen=True)
class Folder:
    """One folder as a look at it finds it."""

    path: str
    time: int
    """Of its last change, in nanoseconds."""
    folders: tuple[str, ...]
    """Those in it that may hold steps."""
    told: tuple[str, ...]
    """Those in it that tell of progress."""
    files: frozenset[str]
    """Which of the files are there by which a step is known."""


def _survey(path: str, depth: int = 0) -> Iterator[Folder]:
    """A folder and those in it, at any depth."""
    try:
        time = os.stat(path).st_mtime_ns  # noqa: PTH116
        found = _folder(path, time) if _clock() - time > _SETTLED else _folder.__wrapped__(path, time)
    except OSError:
        return  # renamed or removed while we looked; the next look sees it
    yield found
    if depth < _DEEP:
        for name in found.folders:
            yield from _survey(f"{path}/{name}", depth + 1)


@lru_cache(maxsize=50_000)
def _folder(path: str, time: int) -> Folder:
    """The folder in the state of this time."""
    with os.scandir(path) as entries:
        inside = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    folders = sorted(name for name, is_folder in inside if is_folder)
    files = frozenset(name for name, is_folder in inside if not is_folder and name in (MANIFEST, STATE))
    entered = tuple(name for name in folders if name not in _NOT_ENTERED)
    return Folder(path, time, entered, tuple(name for name in folders if name in (SAID, UNDER_WAY)), files)


def _name(root: str, folder: str) -> str:
    return "/".join(part.removesuffix(PARTIAL) for part in folder[len(root) :].strip("/").split("/"))


def _marks(folder: Path) -> list[tuple[str, int, int]]:
    """The files in a folder, by name."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [mark for name in sorted(entry.name for entry in entries) if (mark := _mark(folder / name))]
    return []


def _mark(file: Path) -> tuple[str, int, int] | None:
    try:
        known = file.stat()
    except OSError:
        return None
    return str(file), known.st_mtime_ns, known.st_size


def _step(name: str, one: Folder) -> Step | None:
    """The step that a folder is; None where it is none."""
    file = next((file for file in (MANIFEST, STATE) if file in one.files), None)
    if file is None:
        return None
    read = _read if _clock() - one.time > _SETTLED else _read.__wrapped__
    state, fault = read(one.path, file, one.time)
    return Step(name, Path(one.path), state, fault, _batches(one.path) if file == STATE else 0)


def _batches(folder: str) -> int:
    with suppress(OSError), os.scandir(f"{folder}/{PARTS}") as entries:
        return sum(entry.name.endswith(".parquet") for entry in entries)
    return 0


@lru_cache(maxsize=20_000)
def _read(folder: str, file: str, time: int) -> tuple[State | None, str]:
    """The manifest or step.json of a folder in the state of this time; and why it cannot be read."""
    try:
        return read_state(Path(folder, file), Manifest if file == MANIFEST else State), ""
    except StepError as error:
        return None, str(error)
