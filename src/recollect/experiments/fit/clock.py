"""The time of a fit, over all its lives: what was spent, what is left, and in which stage it went."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recollect.core.progress import Clock as Ticks
from recollect.core.workspace import write_json

FILE = "clock.json"
FINISHING = 8.0
"""Seconds that the end is taken to need beside the questions: the models written, the page drawn."""


class FitClock:
    """Counts the seconds of work, not those between a kill and the next start."""

    def __init__(self, folder: Path, limit: float | None, ticks: Ticks = time.monotonic) -> None:
        self._file, self.limit, self._ticks = folder / FILE, limit, ticks
        self.stages: dict[str, float] = {}
        with suppress(OSError, ValueError):
            self.stages = {str(name): float(spent) for name, spent in json.loads(self._file.read_text()).items()}
        self._at = "", 0.0
        self._before, self._began = sum(self.stages.values()), ticks()

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that came before."""
        self.stages[name] = self.stages.get(name, 0.0) + seconds
        self._before += seconds

    @property
    def spent(self) -> float:
        """Seconds of work so far."""
        return self._before + self._ticks() - self._began

    @property
    def left(self) -> float | None:
        """Seconds of the budget; None without one."""
        return None if self.limit is None else self.limit - self.spent

    def room(self, needed: float, reserved: float = 0.0) -> bool:
        """Whether so much more fits, with this much kept back; always without a budget in time."""
        return self.left is None or self.left - reserved >= needed

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[], float]]:
        """A stage; gives how long it has lasted. It is counted when it is broken off, too."""
        began = self._ticks()
        self._at = name, began
        try:
            yield lambda: self._ticks() - began
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + self._ticks() - began
            self._at = "", 0.0
            self.save()

    def save(self) -> None:
        """Store what was spent, the stage at work with it, so that a kill loses little of it."""
        name, began = self._at
        running = {name: self.stages.get(name, 0.0) + self._ticks() - began} if name else {}
        with suppress(OSError):  # a full disk is told by the work itself
            write_json(self._file, {**self.stages, **running})
