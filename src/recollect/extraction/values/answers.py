"""From a model's text to values by attribute: strict JSON, and a repaired reading that is reported apart.

Notable choices
- Strict means: the whole text is one JSON object. A repaired reading (json-repair) never takes its place silently.
- Numbers keep their digits as written; null and blank text are empty; a list of one value is that value. Any other
  nesting stays as its JSON text: a value that was given, and is hardly ever right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

Decode = Literal["plain", "repaired"]

_LONGEST = 100_000  # characters of an answer; a longer one is no answer


def parse_answer(text: str, decode: Decode = "plain") -> dict[str, str] | None:
    """The non-empty values of an answer by attribute name; None when it is no JSON object."""
    loaded = _strict(text)
    if loaded is None and decode == "repaired":
        loaded = _repaired(text)
    if loaded is None:
        return None
    values = {str(name): _value(value) for name, value in loaded.items()}
    return {name: value for name, value in values.items() if value}


def compact_json(values: Mapping[str, str]) -> str:
    """The values as one line of JSON without blanks: the form in which answers are taught."""
    return json.dumps(dict(values), ensure_ascii=False, separators=(",", ":"))


def _strict(text: str) -> dict[str, Any] | None:
    if len(text) > _LONGEST:
        return None
    try:
        loaded = json.loads(text.strip(), parse_float=str, parse_int=str, parse_constant=str)
        json.dumps(loaded, ensure_ascii=False).encode()  # an escaped half of a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return loaded if isinstance(loaded, dict) else None


def _repaired(text: str) -> dict[str, Any] | None:
    start = text.find("{")
    if start < 0 or len(text) > _LONGEST:
        return None
    from json_repair import repair_json

    try:
        fixed = repair_json(text[start:], skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    return _strict(fixed) if isinstance(fixed, str) else None


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value, ensure_ascii=False)
