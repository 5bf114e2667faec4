"""A file's lock: one process at a time. It goes with its holder, however that dies; a link there is not followed."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from recollect.errors import StepBusy, StepError


@contextmanager
def locked(path: Path, busy: Callable[[], str]) -> Iterator[None]:
    """Hold the lock file `path`, made with its folder where it is not, until the end; it stays where it is.

    Raises StepBusy with the text of `busy` at once when another holder has it or has just removed it, StepError for a
    planted link or device, a folder without permission, and a disk without locks.
    """
    refuse_planted(path)
    lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise StepBusy(busy()) from None
    except PermissionError:
        raise StepError(f"no permission to write in {path.parent}. Give --out another folder.") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # planted since we looked
            raise StepError(planted(path)) from None
        raise StepError(f"{path} cannot be locked: {error.strerror}. Give --out a local folder.") from None
    try:
        yield
    finally:
        lock.release()


def refuse_planted(path: Path) -> None:
    """Raises StepError when there is something at `path` that is no regular file."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(kind):
        raise StepError(planted(path))


def planted(path: Path) -> str:
    """The error text for what Recollect did not make."""
    what = "a link" if path.is_symlink() else "no regular file"
    return f"{path} is {what}, which Recollect never makes; it was not followed. Remove it, or give --out another name."
