"""The budget of a fit: time, trials, updates or money, as a user writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)")
_COUNT = re.compile(r"(\d+)\s*(trials?|steps?)")
_MONEY = re.compile(r"[$€]\s*(\d+(?:\.\d+)?)")
DEFAULT = "12 trials"


@dataclass(frozen=True)
class Budget:
    """One limit; the others are None."""

    seconds: float | None = None
    trials: int | None = None
    updates: int | None = None
    """Of all trainings together."""
    price: float | None = None


def read_budget(text: str) -> Budget:
    """ "30m", "1.5h", "90s", "12 trials", "2000 steps", "$3"; ValueError for anything else.

    Examples:
        >>> read_budget("30m").seconds, read_budget("12 trials").trials
        (1800.0, 12)
    """
    said = text.strip().lower()
    if (found := _TIME.fullmatch(said)) and float(found[1]) > 0:
        return Budget(seconds=float(found[1]) * _UNITS[found[2]])
    if (found := _COUNT.fullmatch(said)) and int(found[1]) > 0:
        count = int(found[1])
        return Budget(trials=count) if found[2].startswith("trial") else Budget(updates=count)
    if (found := _MONEY.fullmatch(said)) and float(found[1]) > 0:
        return Budget(price=float(found[1]))
    if any(unit.fullmatch(said) for unit in (_TIME, _COUNT, _MONEY)):
        raise ValueError("must be more than nothing, such as 30m or '12 trials'")
    raise ValueError("must be a time such as 30m or 1.5h, '12 trials', '2000 steps', or a price such as $3")
