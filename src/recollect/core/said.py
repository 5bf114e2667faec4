"""What the command at work says, kept in the unfinished folder it fills, for whoever looks on from outside.

Notable choices
- The outermost step that a process has open gets the lines: of a study the study's folder, not its parts'. What was
  said before any was open comes with it.
- Several workers of one folder write into one log, a line at a time; how far each is stands in a file of its own.
- All of it is scratch: it goes when the step is finished, decides nothing, and who cannot write it works on.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from recollect.core.redact import hide_secrets

SAID = ".said"
"""The folder of it, in an unfinished step's own."""
_LOG, _NOW = "log.txt", "now-"
_LONGEST, _TAIL = 2000, 2**16
_open: list[Path] = []
_writing = threading.Lock()
_before: deque[str] = deque(maxlen=50)
"""What was said before any step was open."""


@dataclass(frozen=True)
class Now:
    """What a process is at, and how far."""

    host: str
    pid: int
    what: str
    unit: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    """Spent in this so far."""
    seconds_left: float | None = None
    at_work: str = ""
    """What is at work inside; several things are separated by semicolons."""


@contextmanager
def heard_in(folder: Path) -> Iterator[None]:
    """What is said inside is kept in this unfinished folder, unless one around it is open; and how it ended early."""
    _open.append(folder)
    if len(_open) == 1:
        while _before:
            _append(folder, _before.popleft())
    try:
        yield
    except KeyboardInterrupt:
        keep_line("stopped by Ctrl-C")
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        keep_line(hide_secrets(f"ended by an error: {first or type(error).__name__}"))
        raise
    finally:
        with _writing:
            _open.remove(folder if folder in _open else _gone(folder))
            with suppress(OSError):
                _file_of_now(folder).unlink()


def forget(folder: Path) -> None:
    """The step is finished: take what was said away, and keep nothing more there."""
    with _writing:
        if folder in _open:
            _open[_open.index(folder)] = _gone(folder)  # its place in the order stays
        shutil.rmtree(folder / SAID, ignore_errors=True)


def keep_line(text: str) -> None:
    """Keep a line of the log."""
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    line = f"{when} {' '.join(text.split())[:_LONGEST]}\n"
    with _writing:
        if _open:
            _append(_open[0], line)
        else:
            _before.append(line)


def keep_now(what: Now) -> None:
    """Keep how far this process is, in place of what it told before."""
    with _writing, suppress(OSError, IndexError):
        file = _file_of_now(_open[0])
        file.parent.mkdir(exist_ok=True)
        half = file.with_suffix(".tmp")
        half.write_text(json.dumps(asdict(what)), encoding="utf-8")
        half.replace(file)


def read_log(folder: Path, most: int = 200) -> list[tuple[str, str]]:
    """The last lines that were said in an unfinished folder, each with its time (ISO 8601, UTC)."""
    try:
        with (folder / SAID / _LOG).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    whole = lines[1:] if size > _TAIL else lines
    return [(when, text) for when, _, text in (line.partition(" ") for line in whole[-most:])]


def read_now(folder: Path) -> list[Now]:
    """What the processes at work in an unfinished folder, or those that died there, told last."""
    found = []
    for file in sorted((folder / SAID).glob(f"{_NOW}*.json")):
        with suppress(OSError, ValueError, TypeError):
            found.append(Now(**json.loads(file.read_text(encoding="utf-8"))))
    return found


def _gone(folder: Path) -> Path:
    """Stands for a folder that is finished: there is no such place, so nothing is kept there."""
    return folder.with_name(f"{folder.name}.gone")


def me() -> tuple[str, int]:
    """This process, as `Now` names it."""
    return socket.gethostname(), os.getpid()


def _file_of_now(folder: Path) -> Path:
    host, pid = me()
    return folder / SAID / f"{_NOW}{host}-{pid}.json"


def _append(folder: Path, line: str) -> None:
    with suppress(OSError):
        (folder / SAID).mkdir(exist_ok=True)
        with (folder / SAID / _LOG).open("a", encoding="utf-8", errors="replace") as file:
            file.write(line)
