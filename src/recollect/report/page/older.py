"""Numbers as results of schema 2 held them, in percent with flat names, as the estimates they are now.

This file and each chapter's `older.py` make today's values of theirs; the words that changed ("woken") are taken by the
records. Whatever does not look as it should is passed on as it is, so that the check of today's schema says what is
wrong and where.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recollect.core.json_object import JsonObject


def nested(values: Any, *names: str, scale: float = 100.0) -> Any:
    """Each `x, x_low, x_high` and their count as the one estimate that it is now."""
    if not isinstance(values, dict):
        return values
    found = dict(values)
    for name in names:
        low, high = found.pop(f"{name}_low", None), found.pop(f"{name}_high", None)
        n = found.pop(f"{name}_facts", None) or found.get("n") or 0
        found[name] = estimate(found.get(name), low, high, n, scale)
    return found


def estimate(value: Any, low: Any, high: Any, n: Any, scale: float = 100.0) -> Any:
    """An estimate as JSON; None where nothing was measured."""
    if value is None or value != value:
        return None
    if not isinstance(value, int | float):
        return value
    ends = {name: end / scale if isinstance(end, int | float) else end for name, end in (("low", low), ("high", high))}
    return {"value": value / scale, **ends, "n": n, "method": ""}


def accuracy(values: Any) -> Any:
    """`accuracy, low, high, n` as an estimate."""
    if not isinstance(values, dict) or "value" in values:
        return values
    return estimate(values.get("accuracy"), values.get("low"), values.get("high"), values.get("n", 0))


def share(value: Any) -> Any:
    """Percent as a fraction."""
    return value / 100 if isinstance(value, int | float) else value


def hundredth(values: JsonObject, *names: str) -> None:
    """Make fractions of these percents, in place."""
    for name in names:
        if name in values:
            values[name] = share(values[name])


def by_name(values: Any, change: Callable[[Any], Any]) -> Any:
    """Change every value of an object; nothing is an empty one."""
    return {name: change(one) for name, one in values.items()} if isinstance(values, dict) else values or {}


def each(values: Any, change: Callable[[JsonObject], Any]) -> Any:
    """Change every object of a list."""
    return [change(one) if isinstance(one, dict) else one for one in values] if isinstance(values, list) else values
