"""How far a piece of work is, in one line: done and to do, time so far, time left.

Notable choices
- A step calls its progress callback with (done, total); whoever shows it asks a `Pace` for the line, whenever it likes.
- The time left follows the speed of late: parts that were found again at the start, in no time, tell nothing of it.
- Work made of other work (an experiment's cells) says more of itself in a `Detail`, and may know its time left better.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int], None]
"""A step's callback: how much is done, and of how much."""
Clock = Callable[[], float]


@dataclass(frozen=True)
class Detail:
    """What work that is made of other work says of itself."""

    text: str = ""
    """What is at work just now; several things are separated by semicolons."""
    seconds_left: float | None = None
    """None where only the speed so far can tell."""


class Pace:
    """How far a piece of work is. It is its own progress callback.

    Examples:
        >>> now = [0.0]
        >>> pace = Pace("probing", "prompts", clock=lambda: now[0])
        >>> for second in (10, 20, 30):
        ...     now[0] = second
        ...     pace(second, 120)
        >>> pace.line()
        'probing: 30/120 prompts (25 %), 0:30 so far, about 1:30 left'
    """

    def __init__(
        self, what: str, unit: str = "", detail: Callable[[], Detail] | None = None, clock: Clock = time.monotonic
    ) -> None:
        self.unit, self._detail, self._clock = unit, detail, clock
        self._seen: deque[tuple[float, int]] = deque(maxlen=64)
        self.begin(what)

    def begin(self, what: str) -> None:
        """From here on it is other work, of which nothing is done and no length known."""
        self.what = what
        self.started = self._clock()
        self.done, self.total = 0, 0
        self._seen.clear()

    def __call__(self, done: int, total: int) -> None:
        """Take in how far the work is."""
        self.done, self.total = done, total
        now = self._clock()
        if self._seen and now - self._seen[-1][0] < 0.5:  # many small steps: the window stays half a minute and more
            self._seen[-1] = (self._seen[-1][0], done)
        else:
            self._seen.append((now, done))

    def detail(self) -> Detail:
        """What the work says of itself."""
        return self._detail() if self._detail else Detail()

    def seconds_left(self) -> float | None:
        """By the speed of late; None while nothing tells it."""
        if len(self._seen) < 2 or not self.total:
            return None
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        if after <= before or last <= first:
            return None
        left = (self.total - self.done) * (last - first) / (after - before)
        return max(0.0, left - (self._clock() - last))

    def seconds(self) -> float:
        """Since the work began."""
        return self._clock() - self.started

    def line(self) -> str:
        """One line for people."""
        detail = self.detail()
        parts = []
        if self.total:
            share = f" ({100 * self.done // self.total} %)" if self.total >= 10 and not is_share(self.unit) else ""
            parts.append(counted(self.done, self.total, self.unit) + share)
        parts.append(f"{duration(self.seconds())} so far")
        left = self.seconds_left() if detail.seconds_left is None else detail.seconds_left
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return f"{self.what}: {', '.join(parts)}" + (f"; {detail.text}" if detail.text else "")


def is_share(unit: str) -> bool:
    """Whether a unit is a share of a whole, such as "% of its share of the budget", and no things to count."""
    return unit.startswith("%")


def counted(done: int, total: int, unit: str, between: str = "/") -> str:
    """How much is done, of how much; a share has no total.

    Examples:
        >>> counted(3, 12, "trials"), counted(40, 100, "% of the budget")
        ('3/12 trials', '40 % of the budget')
    """
    return f"{done:,} {unit}" if is_share(unit) else f"{done:,}{between}{total:,} {unit}".rstrip()


def duration(seconds: float) -> str:
    """A time as minutes and seconds, or hours, minutes and seconds.

    Examples:
        >>> duration(95), duration(3723)
        ('1:35', '1:02:03')
    """
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
