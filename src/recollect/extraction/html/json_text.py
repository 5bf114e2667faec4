"""JSON as shops write it: the one reader for prompts and labels.

Notable choices
- Wrappers are taken off first: HTML comments, CDATA marks, a closing semicolon, a byte order mark. Scripts whose
  quotation marks are entities, and JSON inside a JSON text, are unpacked.
- What is no JSON then is read without comments and last commas (jstyleson, as in extruct), then by json-repair, which
  closes quotes and adds commas. A script that is cut off is refused: its last value may be half of one.
- Numbers keep their digits as written: 12.50 is "12.50".
- Half of a surrogate pair, as a cut emoji leaves it, becomes U+FFFD.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

LONGEST = 1_000_000  # characters of one script
_LONGEST_REPAIR = 30_000  # characters; json-repair needs quadratic time for some texts
_OPENING = re.compile(r"\s*(?:<!--|//\s*<!\[CDATA\[|/\*\s*<!\[CDATA\[\s*\*/|<!\[CDATA\[|//\s*-->|\ufeff|;)")
_CLOSING = ("-->", "]]>", "/*", "*/", "//", ";", "<!--")
_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*+"|(?<![\w.])-?\d+\.\d+(?![\w.])', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def load_json(text: str) -> Any:
    """The value of a JSON text, numbers as text. Raises ValueError, which says why there is none."""
    if len(text) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} characters")
    text = _unwrapped(text)
    if '"' not in text and ("&quot;" in text or "&#34;" in text):
        text = html.unescape(text)
    if not text:
        raise ValueError("it is empty")
    try:
        found = _loaded(text)
        return _loaded(found) if isinstance(found, str) and found.lstrip()[:1] in ("{", "[") else found
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def whole(text: str) -> str:
    """The text with U+FFFD for every half of a surrogate pair; whole pairs become their character."""
    if not _LONE_SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _loaded(text: str) -> Any:
    try:
        return _strict(text)
    except ValueError as error:
        reason = str(error)
    if text[:1] in "{[" and text[-1:] not in "}]":
        raise ValueError("it is cut off")
    import jstyleson

    try:
        return _strict(jstyleson.dispose(text))
    except (ValueError, IndexError):
        pass
    if len(text) > _LONGEST_REPAIR:
        raise ValueError(reason)
    from json_repair import repair_json

    fixed = repair_json(_NUMBER.sub(_quoted, text), skip_json_loads=True)
    if not isinstance(fixed, str) or fixed[:1] not in ("{", "["):
        raise ValueError(reason)
    return _strict(fixed)


def _quoted(match: re.Match[str]) -> str:
    """A number outside of texts as a text, so that the repair keeps its digits."""
    return match[0] if match[0][0] == '"' else f'"{match[0]}"'


def _strict(text: str) -> Any:
    return json.loads(text, strict=False, parse_float=_plain, parse_int=str, parse_constant=str)


def _plain(number: str) -> str:
    """A number without an exponent, where that is short: 1.2E3 is 1200."""
    if "e" not in number.lower():
        return number
    value = float(number)
    return f"{value:f}".rstrip("0").rstrip(".") if 1e-6 < abs(value) < 1e15 else number


def _unwrapped(text: str) -> str:
    text = text.strip()
    while match := _OPENING.match(text):
        text = text[match.end() :]
    before = None
    while text != before:
        before = text = text.strip()
        for mark in _CLOSING:
            if text.endswith(mark) and not (mark == "//" and text.endswith("://")):
                text = text.removesuffix(mark).rstrip()
    return text
