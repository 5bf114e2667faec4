"""Texts of the page: foreign text made safe to show, and values in words."""

from __future__ import annotations

import json
import re

from markupsafe import Markup, escape
from pydantic import JsonValue

from recollect.core.estimates import Estimate
from recollect.core.numbers import number

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # control characters
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2060\u2066-\u2069\ufeff"  # direction, zero width
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # lone surrogates, annotations, tags
)


def clean(text: str) -> str:
    """Show direction marks and control characters as ⟨U+202E⟩; tabs and line ends stay. No HTML escape."""
    return _INVISIBLE.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text.replace("\r\n", "\n"))


def cut(text: str, most: int = 280) -> str:
    """The text's first `most` characters, with a mark that says how many are left out."""
    left = len(text) - most
    return text if left <= 20 else f"{text[:most]}… [{left:,} more characters]"


def short(text: str, most: int) -> str:
    """A label of at most `most` characters, safe to draw."""
    text = " ".join(clean(text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def flags(text: str) -> Markup:
    """The text with its flags, such as --repeats, in one piece: a line does not break at their hyphens."""
    return Markup(_FLAG.sub(r'<span class="name">\g<0></span>', str(escape(clean(text)))))


def model_name(text: str) -> str:
    """A model's name to show: the last folder of a path, a hub's name as it is."""
    path = text.replace("\\", "/").rstrip("/")
    is_path = path.startswith(("/", ".", "~")) or path.count("/") > 1 or re.match(r"[A-Za-z]:/", path)
    return path.rsplit("/", 1)[-1] if is_path else text


def choice(levels: str) -> str:
    """A training choice as a label: "level 2", "mixed"."""
    return f"level {levels}" if levels.isdigit() else levels


def duration(seconds: float | None) -> str:
    """A time in words."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def ends(found: Estimate, digits: int = 1, times: float = 100) -> str:
    """An interval for a card or a sentence: "55.1 to 59.9"."""
    return f"{number(times * found.low, digits)} to {number(times * found.high, digits)}"


def setting(value: JsonValue) -> str:
    """A setting's value: numbers with four figures at most, everything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def count(value: int) -> str:
    """A large number in words: "8.03 billion"."""
    for size, unit in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,}"


def plain(value: JsonValue) -> str:
    """A setting's value as JSON, a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or ["no message"])[0][:300]
