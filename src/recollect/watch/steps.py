"""The step folders of an experiment as they lie there, finished or half written; nothing is opened for writing.

Notable choices
- Every experiment is a folder of steps, so one walk serves them all: what a folder is, its manifest or step.json says.
- What changes is noticed by size and time of the small files that change; a manifest is read once for each state.
- A step that cannot be read is listed with the reason, and costs no more than itself. Files come and go while we look:
  what is gone meanwhile is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
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
            "Give what was --out of a study, curve, search or fit."
        )
    return path


def folder_of(path: Path) -> Path:
    """Where a step is now: the unfinished folder while there is one."""
    return path if (path / MANIFEST).is_file() else _partial(path)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)


def read_steps(path: Path) -> list[Step]:
    """The experiment at `path` first, then the steps in it, by name."""
    root = folder_of(path)
    found = [_step("", root), *(_step(_name(root, folder), folder) for folder in _walk(root, 0))]
    return [one for one in found if one is not None]


def signature(path: Path) -> list[tuple[str, int, int]]:
    """Of every small file by which steps, trials and progress are known: its name, size and time."""
    root = folder_of(path)
    found = []
    for folder in (root, *_walk(root, 0)):
        found += [_mark(file) for file in (folder / MANIFEST, folder / STATE, folder / PARTS)]
    for place in _places(root, 0):
        found += [_mark(file) for file in _listed(place) if file.suffix in (".json", ".txt", ".html")]
    return [one for one in found if one is not None]


def under_way_in(root: Path) -> list[tuple[str, Path]]:
    """The folders in which cells tell how far they are, and before each the place that it is about."""
    return [(_name(root, one.parent), one) for one in _places(root, 0) if one.name == UNDER_WAY]


def _mark(file: Path) -> tuple[str, int, int] | None:
    try:
        known = file.stat()
    except OSError:
        return None
    return str(file), known.st_size, known.st_mtime_ns


def _name(root: Path, folder: Path) -> str:
    return "/".join(part.removesuffix(PARTIAL) for part in folder.relative_to(root).parts)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """The step folders inside, at any depth."""
    for path in _folders(folder):
        if (path / MANIFEST).is_file() or (path / STATE).is_file():
            yield path
        if depth < _DEEP:
            yield from _walk(path, depth + 1)


def _places(folder: Path, depth: int) -> Iterator[Path]:
    """Folders with files that tell of progress: a trial's, those of what is under way and of what was said."""
    yield folder
    for name in (SAID, UNDER_WAY):
        if (folder / name).is_dir():
            yield folder / name
    for path in _folders(folder):
        if depth < _DEEP and not (path / MANIFEST).is_file():
            yield from _places(path, depth + 1)


def _folders(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(
            folder / entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and entry.name not in _NOT_ENTERED
        )
    return []


def _listed(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    return []


def _step(name: str, folder: Path) -> Step | None:
    for file, kind in ((folder / MANIFEST, Manifest), (folder / STATE, State)):
        mark = _mark(file)
        if mark is not None:
            state, fault = _read(*mark, kind)
            return Step(name, folder, state, fault, 0 if kind is Manifest else _batches(folder))
    return None  # renamed or removed while we looked; the next look sees it


def _batches(folder: Path) -> int:
    return sum(file.suffix == ".parquet" for file in _listed(folder / PARTS))


@lru_cache(maxsize=20_000)
def _read(file: str, size: int, time: int, kind: type[State]) -> tuple[State | None, str]:
    """The file as it is in this state; and why it cannot be read."""
    try:
        return read_state(Path(file), kind), ""
    except StepError as error:
        return None, str(error)
