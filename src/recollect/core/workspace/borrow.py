"""A step that was done elsewhere with the same settings and inputs: copied here instead of being done again.

Notable choices
- Who knows of such folders says so for a while (`lending`); `open_step` then asks for every step that is not there yet.
  What is the same step is decided there, by settings and inputs, so nothing is shared that would come out otherwise.
- Copied, not linked: either folder may go, and a damage to one is none to the other.
- A folder is copied, and removed, under another name, so a kill leaves none half there or half gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from recollect.core.workspace.manifest import read_manifest
from recollect.core.workspace.step import Step
from recollect.errors import RecollectError, disk_is_full

_COPIED, _REMOVED = ".copied", ".removed"
Lender = Callable[[Step], object]
"""Given a step that is neither finished nor begun; may put a finished one into its place."""
_lender: ContextVar[Lender | None] = ContextVar("lender", default=None)


@contextmanager
def lending(lender: Lender) -> Iterator[None]:
    """Ask the lender for every step that is opened inside, in this thread, and has no folder yet."""
    token = _lender.set(lender)
    try:
        yield
    finally:
        _lender.reset(token)


def ask_lender(step: Step) -> None:
    """Ask whoever lends at present, where the step has no folder."""
    lender = _lender.get()
    if lender is not None and not step.path.exists() and not step.folder.exists():
        lender(step)


def copy_step(source: Path, target: Path) -> bool:
    """Copy a finished step to where nothing is; whether that succeeded: its owner may be at work on it or remove it."""
    half = target.with_name(target.name + _COPIED)
    shutil.rmtree(half, ignore_errors=True)
    try:
        shutil.copytree(source, half, symlinks=True)
        read_manifest(half)
    except (OSError, RecollectError) as error:
        shutil.rmtree(half, ignore_errors=True)
        if disk_is_full(error):
            raise
        return False
    half.rename(target)
    return True


def discard(folder: Path) -> None:
    """Remove a folder, which is gone at once or not at all."""
    away = folder.with_name(folder.name + _REMOVED)
    shutil.rmtree(away, ignore_errors=True)
    folder.rename(away)
    shutil.rmtree(away)


def drop_leftovers(place: Path) -> None:
    """Remove what a killed copy or removal has left in a folder."""
    for half in (*place.glob(f"*{_COPIED}"), *place.glob(f"*{_REMOVED}")):
        shutil.rmtree(half)
