"""A command is never silent: whenever nothing was printed for a while, a line says what is at work and how far it is.

Notable choices
- A thread of its own says it, so one long piece of work (a batch, a download, a plot) does not keep it from speaking.
- It is asked by time, not by progress: a log gets a line every `EVERY` seconds at most, however many steps there are.
- On a terminal a bar moves already; lines come only where none is shown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from recollect.core.progress import Clock, Pace, duration

EVERY = 15.0
"""Seconds of silence after which a line is due."""


class Heartbeat:
    """Says what is at work whenever nothing was said for `every` seconds, while anybody holds it."""

    def __init__(
        self,
        say: Callable[[str], None],
        shown: Callable[[], bool] = lambda: False,
        every: float = EVERY,
        clock: Clock = time.monotonic,
        look: Callable[[Pace], None] = lambda pace: None,
    ) -> None:
        """say: prints a line. shown: whether the work under way is shown already, by a bar. look: is given the work
        under way at every beat, about once a second."""
        self._look = look
        self._say, self._shown, self.every, self._clock = say, shown, every, clock
        self._work: list[Pace] = []
        self._holders = 0
        self._started = self._heard = clock()
        self._stop = threading.Event()
        self._resting = False

    def heard(self) -> None:
        """Something was printed by others: the silence begins anew."""
        self._heard = self._clock()

    def beat(self) -> bool:
        """Say a line if one is due; whether it was."""
        if self._resting:
            return False
        with suppress(IndexError):  # the work may end just now
            self._look(self._work[-1])
        if self._clock() - self._heard < self.every:
            return False
        with suppress(IndexError):  # the work may end just now
            work = self._work[-1] if self._work else None
            if work is not None and self._shown():
                return False
            line = work.line() if work else f"at work: {duration(self._clock() - self._started)} so far"
            self.heard()
            self._say(line)
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be watchful until the end; the thread lives while anybody is in such a block."""
        self._holders += 1
        if self._holders == 1:
            self._started = self._heard = self._clock()
            self._stop = threading.Event()
            threading.Thread(target=self._live, args=(self._stop,), daemon=True, name="recollect-heartbeat").start()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._stop.set()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A person is waited for: nothing is said, and the time does not count."""
        began, self._resting = self._clock(), True
        try:
            yield
        finally:
            self._started += self._clock() - began
            self.heard()
            self._resting = False

    @contextmanager
    def working(self, pace: Pace) -> Iterator[None]:
        """The work that lines are about until the end; the innermost is told of."""
        self._work.append(pace)
        try:
            with self.held():
                yield
        finally:
            self._work.remove(pace)

    def _live(self, stop: threading.Event) -> None:
        while not stop.wait(min(1.0, self.every / 4)):
            with suppress(Exception):  # a line that cannot be printed must not end the watch over hours of work
                self.beat()
