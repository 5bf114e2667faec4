"""What a cell is: the one place that turns a cell of any kind of file into a text or a list of texts, or refuses it.

| cell                                          | text                                              |
|-----------------------------------------------|---------------------------------------------------|
| text                                          | itself, without blanks at its ends                |
| nothing, NaN                                  | "" (empty)                                        |
| whole number                                  | its digits                                        |
| decimal number                                | as written; 1969.0 is 1969, as pandas stores years |
| yes or no, date, time, bytes, list, object    | refused by name                                   |
| infinity, a float too large to hold a whole   | refused by name                                   |

A list of texts is a list, or a text that is one: JSON `["a", "b"]`, Python `['a', 'b']`, NumPy `['a' 'b']`; also an
object as in SQuAD (`text`) and TriviaQA (`value`, `aliases`).
"""

from __future__ import annotations

import ast
import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from recollect.errors import InputError

_EXACT = 2**53  # whole floats below are exact; above, digits were lost before we saw the number
_LONGEST = 100_000  # characters of a cell that is looked at as a list
_STRING = re.compile(r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"", re.DOTALL)
_OTHER = re.compile(r"[+-]?\d[\w.+-]*+|None\b|null\b|NaN\b|nan\b")
_BETWEEN = re.compile(r"[\s,]*+")
_QUOTED_LIST = re.compile(r"[\[{(]\s*+['\"]")
_KEYED = re.compile(r"\{\s*+(?:'[^']*+'|\"[^\"]*+\")\s*+:")
_ARRAY = re.compile(r"array\(\s*+(\[.*\])\s*+(?:,\s*+dtype=[^()]*+)?\)", re.DOTALL)
_FLOAT = re.compile(r"-?\d+\.\d+")
_CLOSING = {"[": "]", "(": ")", "{": "}"}


class CellError(InputError):
    """A cell that is no text. The message goes on from the cell's name: "must be a text, but is True"."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def cell_text(value: Any) -> str:
    """The text of a cell, "" when it is empty; CellError for a cell that is no text and no number."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        raise _no_text("yes or no", value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _number(value)
    raise _no_text(_kind(value), value)


def cell_list(value: Any, *, numbers: bool = False) -> list[str] | None:
    """The texts of a cell that is a list or an object of answers, or a text that is written like one; else None.

    With `numbers`, a text such as "[1, 2]" is a list too; without, it may well be an answer of its own.
    Raises CellError for a list of something else than texts and numbers, and for a text that begins as a list of
    quoted texts and cannot be read as one.
    """
    if isinstance(value, str):
        value = _written_list(value.strip(), numbers)
        if value is None:
            return None
    if isinstance(value, Mapping):
        value = _answers_of(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return None
    try:
        return [text for item in value if (text := cell_text(item))]
    except CellError as error:
        raise CellError(f"a list that holds {error.kind}", f"{error} (inside a list)") from None


def float_column(texts: Sequence[str]) -> bool:
    """Whether the cells of a text column are floats as pandas writes them, so that 1969.0 stands for 1969.

    True when every cell that is not empty is written like a float, and one of them is whole.
    """
    filled = [text for text in texts if text]
    return (
        bool(filled)
        and all(_FLOAT.fullmatch(text) and (text.endswith(".0") or not text.endswith("0")) for text in filled)
        and any(text.endswith(".0") for text in filled)
    )


def _number(value: float | Decimal) -> str:
    if value != value:
        return ""
    if value.is_infinite() if isinstance(value, Decimal) else math.isinf(value):
        raise CellError("an infinite number", f"must be a text, but is the number {value}")
    if isinstance(value, float):
        if value != int(value):
            return repr(value)
        if abs(value) >= _EXACT:
            raise CellError("a float too large to be exact", f"is the float {value!r}, whose digits are not exact")
        return str(int(value))
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > 40:
        raise CellError("a number too large or small", f"is a number too large or small to write out: {value:.3E}")
    text = format(value, "f")
    return "0" if text == "-0.0" else text.removesuffix(".0")


def _kind(value: Any) -> str:
    if isinstance(value, datetime.datetime | datetime.date):
        return "a date"
    if isinstance(value, datetime.time | datetime.timedelta):
        return "a time"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, Sequence) else f"a {type(value).__name__}"


def _no_text(kind: str, value: Any) -> CellError:
    shown = str(value) if kind in ("a date", "a time") else repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    hint = "; write it as the text that an answer should hold" if kind in ("a date", "a time") else ""
    return CellError(kind, f"must be a text, but is {shown} ({kind}){hint}")


def _answers_of(value: Mapping[str, Any]) -> Any:
    """The answers of an object as in SQuAD and TriviaQA."""
    if "text" in value:
        found = value["text"]
        return found if isinstance(found, Sequence) and not isinstance(found, str) else [found]
    if "value" in value:
        aliases = value.get("aliases")
        return [value["value"], *(aliases if isinstance(aliases, Sequence) and not isinstance(aliases, str) else [])]
    raise CellError(
        "an object without text or value", f"is an object without the key text or value: {', '.join(map(str, value))}"
    )


def _written_list(text: str, numbers: bool) -> Any:
    """The list or object a text is written as; None for any other text."""
    if text[:1] not in ("[", "(", "{", "a") or len(text) > _LONGEST:
        return None
    if array := _ARRAY.fullmatch(text):
        text = array[1]
    if _CLOSING.get(text[:1]) != text[-1:]:
        if text[0] == "[" and _QUOTED_LIST.match(text) and "]" not in text:  # cut off, by a column's width say
            raise _unreadable("list", text)
        return None
    if text[1:-1].strip() == "":
        return [] if text[0] == "[" else None
    if _KEYED.match(text):
        return _written_object(text)
    items = _items(text, numbers)
    if items is not None or text[0] == "(" or not _QUOTED_LIST.match(text):
        return items
    raise _unreadable("list", text)


def _unreadable(what: str, text: str) -> CellError:
    return CellError(
        f"an unreadable {what}", f"looks like the text of a {what}, but cannot be read as one: {text[:60]!r}"
    )


def _items(text: str, numbers: bool) -> list[str] | None:
    """The items of a list of quoted texts, with commas or (as NumPy prints it) blanks between them; None if it is not.

    Numbers and missing values may stand among the texts; a list of numbers alone may be a text of its own ("[0, 1]").
    """
    items: list[str] = []
    at, end, quoted, commas = 1, len(text) - 1, False, 0
    at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # matches nothing, too
    while at < end:
        if found := _STRING.match(text, at, end):
            quoted = True
            items.append(_unquoted(found[0]))
        elif found := _OTHER.match(text, at, end):
            if found[0] not in ("None", "null", "NaN", "nan"):
                items.append(found[0])
        else:
            return None
        between = _BETWEEN.match(text, found.end(), end)
        assert between is not None
        commas += between[0].count(",")
        if between[0].count(",") > 1 or (not between[0] and between.end() < end):
            return None
        at = between.end()
    if not (quoted or (numbers and text[0] == "[")) or (text[0] == "(" and not commas):
        return None
    return items


def _unquoted(literal: str) -> str:
    """The text of a quoted literal, by JSON's rules where they hold, else by Python's."""
    for load in (json.loads, ast.literal_eval):
        try:
            loaded = load(literal)
        except (ValueError, SyntaxError):
            continue
        if isinstance(loaded, str) and _whole(loaded):
            return loaded
    return literal[1:-1]


def _whole(text: str) -> bool:
    """Whether a text has no half of a surrogate pair."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _written_object(text: str) -> Any:
    """The object of answers a text is written as; None for any other object, which may be an answer in JSON."""
    for load in (json.loads, ast.literal_eval):
        try:
            loaded = load(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return loaded if isinstance(loaded, dict) and _is_answers(loaded) else None
    if "'text'" in text or '"text"' in text:
        raise _unreadable("SQuAD object", text)
    return None


def _is_answers(value: Mapping[str, Any]) -> bool:
    return {"text", "answer_start"} <= value.keys() or {"value", "aliases"} <= value.keys()
