"""JSON as strictly as a table needs it: no repeated keys, no numbers without end, no halves of characters.

Notable choices
- Decimals stay as they are written (1.10), so that no answer changes by being read.
- A fault inside a row is a marker in its place, so that the row can be skipped and the others kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from recollect.core.tables.limits import MAX_CELL, MAX_COLUMNS, MAX_DEPTH, MAX_DIGITS
from recollect.errors import InputError


@dataclass(frozen=True)
class _Fault:
    """Stands where a value was that cannot be used."""

    reason: str
    text: str


class JsonError(InputError):
    """Text that is no JSON. `extra` is set when a whole value was read and more follows."""

    def __init__(self, text: str, *, extra: bool = False) -> None:
        super().__init__(text)
        self.extra = extra


def load_json(text: str, where: str) -> Any:
    """The value of a JSON text; JsonError names the place. Check rows, or the whole, with `check_value`."""
    try:
        return json.loads(text, parse_int=_int, parse_float=_decimal, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise JsonError(f"{where} is not valid JSON: {error}.", extra=error.msg == "Extra data") from None
    except RecursionError:
        raise JsonError(f"{where} is not valid JSON for a table: it is nested too deeply.") from None


def check_value(value: Any, depth: int = 0) -> tuple[int, tuple[str, str] | None]:
    """The number of characters in a value, and what makes it unusable: (reason, detail), or None."""
    if isinstance(value, str):
        if len(value) > MAX_CELL:
            return 0, ("a cell that is too long", f"a cell of {len(value):,} characters; at most {MAX_CELL:,} are read")
        if not value.isascii() and (half := next((char for char in value if "\ud800" <= char <= "\udfff"), None)):
            return 0, (
                "half of a surrogate pair",
                f"half of a surrogate pair (\\u{ord(half):x}), which is no character; the text was cut inside one",
            )
        return len(value), None
    if isinstance(value, _Fault):
        return 0, (value.reason, value.text)
    if not isinstance(value, list | dict):
        return 0, None
    if depth >= MAX_DEPTH:
        return 0, ("too deep nesting", f"objects and lists nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict) and len(value) > MAX_COLUMNS:
        return 0, ("too many keys", f"{len(value):,} keys; at most {MAX_COLUMNS:,} are read")
    size = 0
    for item in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
        more, fault = check_value(item, depth + 1)
        if fault:
            return 0, fault
        size += more
    return size, None


def _int(text: str) -> Any:
    if len(text) > MAX_DIGITS:
        return _Fault("a number that is too long", f"a number of {len(text):,} digits; at most {MAX_DIGITS:,} are read")
    return int(text)


def _decimal(text: str) -> Any:
    if len(text) > MAX_DIGITS:
        return _int(text)
    try:
        return Decimal(text)
    except ArithmeticError:
        return _Fault("a number that is too large", f"a number that is too large or too small: {text[:40]}")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return _Fault("a repeated key", f"the key {key!r} twice")
        seen.add(key)
    raise AssertionError("a repeated key must be found")
