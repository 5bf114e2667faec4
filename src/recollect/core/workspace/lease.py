"""A lease: one process at a time does a piece of work, in a folder that several machines share, without any lock.

Notable choices
- Each holding of a piece is a file of its own, `NAME.0001`, then `NAME.0002` of who takes over after it. It is made by
  O_EXCL, so of two who take over at once one succeeds. Only its maker ever writes it, and nobody removes it while there
  are workers, so one who decides late, by an old look, finds the number taken.
- A holder shows that it lives by a counter in its file. Who waits watches on its own steady clock that the bytes do not
  change: no two clocks are ever compared, and the time of day is never asked. One look counts for few seconds at most,
  so neither a sleeping laptop nor a look after a long training makes a living holder seem dead.
- A holder on the same machine that is gone is known to be dead at once.
- A holder that was stopped for so long that another took over finds out before it stores anything more, by a look
  (`refuse_lost`): its work ends there, and is the other's. Between that look and the renaming of a finished folder lie
  milliseconds, in which both would store the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, unquote

from recollect.core.workspace.lock import planted
from recollect.errors import StepBusy, StepError

BEAT, PATIENCE = 3.0, 60.0
"""Seconds between two beats of a holder, and without one after which it counts as dead."""
_FILE = re.compile(r"(.+)\.([0-9]{4,})")

LeaseState = Literal["held", "free", "done", "failed"]


@dataclass(frozen=True)
class Holder:
    """A process, told apart from every other one on any machine."""

    host: str
    machine: str
    """This start of the machine, and its space of process numbers (a container has its own)."""
    pid: int
    start: str
    """When the process started, in the machine's ticks."""

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        return cls(socket.gethostname(), _machine(), os.getpid(), _start_of(os.getpid()))

    @property
    def gone(self) -> bool:
        """Whether it is known to have died; of another machine's process nothing is known."""
        here = (self.host, self.machine) == (socket.gethostname(), _machine())
        return here and _start_of(self.pid) != self.start

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.host}:{self.pid}"


@dataclass(frozen=True)
class Record:
    """What a lease's file says."""

    holder: Holder
    state: LeaseState = "held"
    note: str = ""
    """What the holder left to say, such as why it failed."""
    beat: int = 0

    def write(self) -> bytes:
        """As it is stored; a beat keeps the length, so what is read in between is whole but for the counter."""
        values = asdict(self) | {"beat": f"{self.beat:012d}"}
        return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")

    @classmethod
    def read(cls, data: bytes) -> Record | None:
        """None for a file that is just being written."""
        try:
            values = json.loads(data)
            return cls(Holder(**values["holder"]), values["state"], values["note"], int(values["beat"]))
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Seen:
    """How a piece of work stands."""

    generation: int = 0
    """How often it was taken."""
    record: Record | None = None
    """The last holder's; None for a piece nobody took, or whose file is just being written."""
    alive: bool = False
    """Somebody holds it."""
    deaths: int = 0
    """How many holders died of it."""

    @property
    def state(self) -> LeaseState:
        """ "free" too when its holder is dead."""
        if self.alive:
            return "held"
        return "free" if self.record is None or self.record.state == "held" else self.record.state


@dataclass
class _Watched:
    """A holder's file as it was last seen, and for how long it has not changed."""

    data: bytes
    looked: float
    quiet: float = 0.0


class Lease:
    """A piece of work that this process holds; used in a `with`, which gives it back unless it was ended."""

    def __init__(self, leases: Leases, name: str, path: Path, record: Record) -> None:
        self.name, self.path, self.record = name, path, record
        self._leases, self._writing = leases, threading.Lock()
        self._token: Token[tuple[Lease, ...]] | None = None

    @property
    def lost(self) -> bool:
        """Whether somebody took it over, since this process was stopped for so long, or its folder is gone."""
        if self._leases.retired or self.record.state != "held":
            return False
        return not self._ours or _next(self.path).exists()

    @property
    def _ours(self) -> bool:
        """Whether its file is the one that was written for it: the folder may have been begun anew meanwhile."""
        try:
            found = Record.read(self.path.read_bytes())
        except FileNotFoundError:
            return False
        except OSError:  # a distant disk that is away: nobody knows
            return True
        return found is None or found.holder == self.record.holder

    def refuse_lost(self) -> None:
        """Raise StepBusy where it is another's now."""
        if self.lost:
            raise StepBusy(
                f"{self.name} was taken over by another worker, while this process was stopped or its disk was away; "
                "what it had not stored of it is the other's to do."
            )

    def beat(self) -> None:
        """Show that the holder lives."""
        with self._writing:
            if self.record.state == "held" and not self.lost:
                self._write(replace(self.record, beat=self.record.beat + 1))

    def end(self, state: Literal["free", "done", "failed"], note: str = "") -> None:
        """Give it back: the work is done, has failed, or is free for others."""
        with self._writing:
            if self.record.state == "held":
                self._write(replace(self.record, state=state, note=note))
                self._leases.ended += state != "free"
        self._leases.drop(self)

    def _write(self, record: Record) -> None:
        ours, self.record = self._ours, record
        if not ours:  # the work as a whole is finished, or others have begun it anew
            return
        with suppress(OSError), self.path.open("r+b") as file:  # full or away: others see no beat, and take over
            file.write(record.write())
            file.truncate()

    def __enter__(self) -> Self:
        self._token = _at_work.set((*_at_work.get(), self))
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if self._token is not None:
            _at_work.reset(self._token)
        try:
            if isinstance(error, Exception):  # maybe of a folder to which the other has given its final name
                self.refuse_lost()
        finally:
            self.end("free")


_at_work: ContextVar[tuple[Lease, ...]] = ContextVar("at_work", default=())
"""The pieces of work in whose blocks this thread is."""


def refuse_lost() -> None:
    """Before something is stored: raise StepBusy where the work at hand was taken over by another process."""
    for lease in _at_work.get():
        lease.refuse_lost()


@dataclass
class Leases:
    """The leases in a folder, as this process sees and holds them. Close it, or use it in a `with`."""

    folder: Path
    every: float = BEAT
    patience: float = PATIENCE
    clock: Callable[[], float] = time.monotonic
    ended: int = 0
    """Pieces that this process has done, or failed at."""
    retired: bool = False
    """This process has finished the work as a whole."""
    _held: list[Lease] = field(default_factory=list)
    _watched: dict[Path, _Watched] = field(default_factory=dict)
    _ended: dict[Path, Record] = field(default_factory=dict)
    _stop: threading.Event | None = None

    def survey(self) -> dict[str, Seen]:
        """All pieces that were ever taken, by name."""
        found: dict[str, list[int]] = {}
        with suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(self.folder):
                if match := _FILE.fullmatch(entry.name):
                    found.setdefault(unquote(match[1]), []).append(int(match[2]))
        return {name: self._seen(name, sorted(numbers)) for name, numbers in sorted(found.items())}

    def look(self, name: str) -> Seen:
        """How one piece stands."""
        return self.survey().get(name, Seen())

    def take(self, name: str, seen: Seen | None = None, *, again: bool = False) -> Lease | None:
        """Hold a piece that is free; None where it is not, or somebody was faster, or the folder is gone.

        seen: how it stands, where that was just looked up. again: one that is done or has failed is free too.
        """
        seen = seen or self.look(name)
        if seen.alive or (seen.state != "free" and not again):
            return None
        path, record = self._path(name, seen.generation + 1), Record(Holder.me())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
                file.write(record.write())
        except (FileExistsError, FileNotFoundError):
            return None
        lease = Lease(self, name, path, record)
        self._held.append(lease)
        self._start()
        return lease

    def drop(self, lease: Lease) -> None:
        """No more beats for a lease that ended."""
        with suppress(ValueError):
            self._held.remove(lease)

    def alive(self, prefix: str = "", but: Lease | None = None) -> list[Record]:
        """Who holds pieces of this prefix, as far as one look can tell."""
        return [
            seen.record
            for name, seen in self.survey().items()
            if name.startswith(prefix) and seen.alive and seen.record is not None and (but is None or name != but.name)
        ]

    def watch(self, prefix: str = "", seconds_between: float = 0.5) -> list[Record]:
        """Who holds pieces of this prefix: watches until one is seen to beat, or all are known to be dead."""
        first = {record.holder: record.beat for record in self.alive(prefix)}
        while found := self.alive(prefix):
            if any(record.holder not in first or record.beat != first[record.holder] for record in found):
                return found
            time.sleep(min(seconds_between, self.every))
        return []

    def renew(self) -> None:
        """Begin with an empty folder, and forget what was read in it: the same names come again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._watched.clear()
        self._ended.clear()

    def retire(self) -> None:
        """Take the folder away, so that nobody takes a lease any more: the work as a whole is done."""
        with suppress(OSError):
            self.folder.rename(self.folder.with_name(f"{self.folder.name}.ended"))
        self._held.clear()
        self.retired = True

    def close(self) -> None:
        """Give back what is held."""
        for lease in list(self._held):
            lease.end("free")
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seen(self, name: str, numbers: list[int]) -> Seen:
        earlier = [self._record(self._path(name, number))[0] for number in numbers[:-1]]
        record, alive = self._record(self._path(name, numbers[-1]))
        held = [one is None or one.state == "held" for one in (*earlier, *(() if alive else (record,)))]
        return Seen(numbers[-1], record, alive, sum(held))

    def _record(self, path: Path) -> tuple[Record | None, bool]:
        """What a lease's file says, and whether its holder is alive and at it."""
        if path in self._ended:  # which does not change any more
            return self._ended[path], False
        if path.is_symlink():
            raise StepError(planted(path))
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        record = Record.read(data)
        if record is not None and record.state != "held":
            self._ended[path] = record
            self._watched.pop(path, None)
            return record, False
        if record is not None and record.holder.gone:
            return record, False
        return record, self._quiet(path, data) < self.patience

    def _quiet(self, path: Path, data: bytes) -> float:
        """For how long this process has watched the file without a change."""
        now, last = self.clock(), self._watched.get(path)
        if last is None or last.data != data:
            self._watched[path] = _Watched(data, now)
            return 0.0
        most = min(2 * self.every, self.patience / 4)
        last.quiet += min(max(0.0, now - last.looked), most)
        last.looked = now
        return last.quiet

    def _path(self, name: str, generation: int) -> Path:
        return self.folder / f"{quote(name, safe='')}.{generation:04d}"

    def _start(self) -> None:
        if self._stop is None:
            self._stop = threading.Event()
            threading.Thread(target=self._live, args=(self._stop,), daemon=True, name="recollect-leases").start()

    def _live(self, stop: threading.Event) -> None:
        while not stop.wait(self.every):
            for lease in list(self._held):
                lease.beat()


def _next(path: Path) -> Path:
    name, _, number = path.name.rpartition(".")
    return path.with_name(f"{name}.{int(number) + 1:04d}")


@cache
def _machine() -> str:
    """The machine's start and this process's space of process numbers; "" on systems that do not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """When a process started, in a measure that no change of the clock moves; "" where it has ended."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if told[0] in "ZX" else told[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    import psutil  # here, since it wants POSIX on the systems that have it

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return ""
