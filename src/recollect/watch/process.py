"""Which process is at work in an experiment's folder, known by the lock that it holds, and how it is asked to stop.

Notable choices
- The lock is never taken here, not even for a moment: whoever starts work just then would be turned away. The system is
  asked who has it: /proc/locks on Linux, elsewhere whose open files it is among.
- Workers that share a folder hold leases instead, which name their process and when that started.
- Only processes of this user on this machine are stopped, and only while they hold that very folder. On Linux the
  signal goes to the process that was checked, never to a later one of the same number.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from recollect.core.workspace.lease import Holder, Leases
from recollect.core.workspace.manifest import LOCK
from recollect.core.workspace.shared import WORKER, leases_in
from recollect.errors import InputError
from recollect.watch.steps import folder_of

_LOCKS = Path("/proc/locks")
_STOP = "stop"
"""The file that a fit looks for in its unfinished folder."""


@dataclass(frozen=True)
class AtWork:
    """A process in an experiment's folder."""

    host: str
    """ "" for this machine."""
    pid: int
    ours: bool
    """Of this user, on this machine."""
    deaf: bool = False
    """It was started with Ctrl-C switched off, as a shell script does for what it starts by `&`."""

    @property
    def name(self) -> str:
        """For people."""
        return f"process {self.pid}" + (f" on {self.host}" if self.host else "")

    @property
    def can_stop(self) -> bool:
        """Whether it may be asked to stop from here."""
        return self.ours and not self.deaf and sys.platform != "win32"


def at_work(path: Path, leases: Leases | None = None) -> list[AtWork]:
    """Who is at work in the experiment at `path`, as far as this machine can tell.

    leases: of the folder's workers, kept between two looks, which tells the dead ones of other machines.
    """
    here = [_local(pid) for pid in lock_holders(folder_of(path) / LOCK)]
    if leases is None and (folder := leases_in(path)).is_dir():
        leases = Leases(folder)
    shared = [record.holder for record in leases.alive(WORKER)] if leases else []
    mine = Holder.me()
    known = {one.pid for one in here}
    for holder in shared:
        if (holder.host, holder.machine) != (mine.host, mine.machine):
            here.append(AtWork(holder.host, holder.pid, ours=False))
        elif not holder.gone and holder.pid not in known:
            here.append(_local(holder.pid))
    return here


def stop(path: Path, pid: int) -> str:
    """Ask the process to stop, as Ctrl-C does; gives what was done, in a sentence.

    Raises InputError where it is not at work there (any more), or is not this user's.
    """
    handle = _handle(pid)
    try:
        found = next((one for one in at_work(path) if not one.host and one.pid == pid), None)
        if found is None:
            raise InputError(f"process {pid} is not at work in {path} any more. Nothing was done.")
        if not found.ours:
            raise InputError(f"process {pid} is another user's. Nothing was done.")
        if not found.can_stop:
            raise InputError(
                f"process {pid} was started with Ctrl-C switched off. Nothing was done; `kill {pid}` on its machine "
                "ends it, and what is finished is kept then too."
            )
        if handle is not None:
            signal.pidfd_send_signal(handle, signal.SIGINT)
        else:
            os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        raise InputError(f"process {pid} has just ended. Nothing was done.") from None
    finally:
        if handle is not None:
            os.close(handle)
    return f"Asked process {pid} to stop. What is finished is kept; the same command resumes."


def end_search(path: Path) -> str:
    """Ask a fit at work to end its search after the training at work, and to test the best; gives that in a sentence.

    Raises InputError where no process of this user is at work there.
    """
    if not any(one.ours for one in at_work(path)):
        raise InputError(f"no process of yours is at work in {path} any more. Nothing was done.")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileExistsError):
        os.close(os.open(folder_of(path) / _STOP, flags, 0o666))
    return "Asked to end the search after the training at work. The best so far is then tested and kept."


def lock_holders(lock: Path) -> list[int]:
    """The processes that hold a lock file, as the system says."""
    try:
        known = lock.stat()
    except OSError:
        return []
    if not _LOCKS.is_file():
        return [pid for pid in _mine() if _has_open(pid, known, lock)]
    with suppress(OSError):
        named = list(_named_in(_LOCKS.read_text(encoding="ascii", errors="replace"), known.st_ino))
        return [pid for pid in named if _has_open(pid, known, lock) is not False]
    return []


def _named_in(text: str, inode: int) -> Iterator[int]:
    """Holders of whole-file write locks on a file of this number. One who only waits for it has a "->" before."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 6 and words[3] == "WRITE" and words[5].rpartition(":")[2] == str(inode) and int(words[4]) > 0:
            yield int(words[4])


def _has_open(pid: int, known: os.stat_result, lock: Path) -> bool | None:
    """Whether a process has that very file open; None where that cannot be seen, of another user's."""
    folder = Path(f"/proc/{pid}/fd")
    if folder.parent.is_dir():
        try:
            for entry in folder.iterdir():
                with suppress(OSError):
                    found = entry.stat()
                    if (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino):
                        return True
        except PermissionError:
            return None
        except OSError:
            return False
        return False
    with suppress(psutil.Error, OSError):
        return any(Path(file.path) == lock for file in psutil.Process(pid).open_files())
    return False


def _mine() -> list[int]:
    """This user's processes, where the system does not say who has a lock."""
    name = psutil.Process().username()
    return [one.pid for one in psutil.process_iter(["username"]) if one.info["username"] == name]


def _local(pid: int) -> AtWork:
    """A process of this machine; one that has ended meanwhile is nobody's."""
    try:
        one = psutil.Process(pid)
        ours = one.username() == psutil.Process().username()
    except psutil.Error:
        ours = False
    return AtWork("", pid, ours, _ignores_interrupts(pid))


def _ignores_interrupts(pid: int) -> bool:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        ignored = next(line for line in lines if line.startswith("SigIgn:"))
        return bool(int(ignored.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    return False


def _handle(pid: int) -> int | None:
    """A hold on the process, so that its number cannot be another's meanwhile; None where the system has none."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise InputError(f"process {pid} has ended already. Nothing was done.") from None
    except OSError:
        return None
