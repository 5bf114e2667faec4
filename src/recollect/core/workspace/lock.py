"""A file's lock: one process at a time. It goes with its holder, however that dies; a link there is not followed."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from recollect.errors import StepBusy, StepError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_guards: list[str] = []


@contextmanager
def guarded(by: str) -> Iterator[None]:
    """The work inside is kept apart by something else, such as leases: a disk without locks is no error there."""
    _guards.append(by)
    try:
        yield
    finally:
        _guards.remove(by)


@contextmanager
def locked(path: Path, busy: Callable[[], str], seconds: float = 0) -> Iterator[None]:
    """Hold the lock file `path`, made with its folder where it is not, until the end; it stays where it is.

    seconds: how long to wait for another holder. Raises StepBusy with the text of `busy` when another holder has it or
    has just removed it, StepError for a planted link or device, a folder without permission, and a disk without locks.
    """
    refuse_planted(path)
    lock = FileLock(path, timeout=seconds, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise StepBusy(busy()) from None
    except PermissionError:
        raise StepError(f"no permission to write in {path.parent}. Give --out another folder.") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # planted since we looked
            raise StepError(planted(path)) from None
        if error.errno in _NO_LOCKS and _guards:
            yield
            return
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
