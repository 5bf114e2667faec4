"""What the cells at work tell of themselves, wherever they run: one small file each, read by the loop around them.

Notable choices
- Files, since all workers see the experiment's folder anyway: no executor needs a channel for it.
- A file is written when a part begins, when its size is known, and then at most once a second; it is replaced as a
  whole. It is no result: the folder goes when the cells are done, and a worker that cannot write it works on.
- Times are lengths, never dates, so the clocks of several machines do not matter.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from recollect.core.progress import Clock

UNDER_WAY = "under-way"
"""The folder of these files, in an experiment's own."""
_EVERY = 1.0


@dataclass
class Told:
    """How far one cell is."""

    name: str
    part: str = ""
    """What it is at; empty between two parts."""
    unit: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    """Spent in this part so far."""
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds that each finished part took."""
    ended: bool = False

    def line(self) -> str:
        """In words, such as "random-60-seed0: training 12/24 updates"."""
        count = f" {self.done:,}/{self.total:,} {self.unit}".rstrip() if self.total else ""
        return f"{self.name}: {self.part}{count}" if self.part else self.name


class Telling:
    """A cell's side: it says which part it is at and how far that is. Without a folder nobody is told."""

    def __init__(self, folder: Path | None, name: str, clock: Clock = time.monotonic) -> None:
        self._file, self._clock = None if folder is None else folder / f"{name}.json", clock
        self.told = Told(name, spent=self._known())
        self._written = float("-inf")

    def _known(self) -> dict[str, float]:
        """What this cell has told before of parts that are finished: it may be run in several goes."""
        if self._file is not None:
            with suppress(OSError, ValueError, TypeError):
                return Told(**json.loads(self._file.read_text(encoding="utf-8"))).spent
        return {}

    @contextmanager
    def part(self, name: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
        """A part of the cell's work; gives its progress callback. A part that raises is not counted as finished."""
        told, started = self.told, self._clock()
        told.part, told.unit, told.done, told.total, told.seconds = name, unit, 0, 0, 0.0
        self._write()

        def progress(done: int, total: int) -> None:
            first = told.total == 0  # how much there is to do is worth telling at once
            told.done, told.total, told.seconds = done, total, self._clock() - started
            if first or self._clock() - self._written >= _EVERY:
                self._write()

        yield progress
        told.spent[name] = told.spent.get(name, 0.0) + self._clock() - started
        told.part = ""
        self._write()

    def end(self) -> None:
        """The cell is done."""
        self.told.ended = True
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        self._written = self._clock()
        with suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            half = self._file.with_suffix(".json.tmp")
            half.write_text(json.dumps(asdict(self.told)), encoding="utf-8")
            half.replace(self._file)


def read_told(folder: Path) -> list[Told]:
    """What the cells have told, by their names; what cannot be read just now is left out."""
    found = []
    for file in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            found.append(Told(**json.loads(file.read_text(encoding="utf-8"))))
    return found


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """The folder is empty at the start, and gone at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
