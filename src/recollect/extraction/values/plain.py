"""Text in one form: case, width, signs and digits; placeholders; and the package's own lists of words.

Notable choices
- A placeholder ("N/A", "-", "null", an unfilled template) is what a shop's software writes where it has no value. It is
  no value, neither as truth nor as an answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from recollect.core.json_object import JsonObject
from recollect.core.settings import read_yaml

LONGEST = 300  # characters; a longer "price" or "number" is a passage of text, and no value
INVISIBLE = str.maketrans("", "", "™®©\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ′´`＇", "'"))
_SIGNS = str.maketrans({"٫": ".", "٬": ",", "￠": "¢", "￡": "£", "￥": "¥", "￦": "₩"})
_UNFILLED = re.compile(r"\{\{.*\}\}|\{%.*%\}|<%.*%>|\$\{.*\}|\$[a-z_]+|%%.*%%|\[object object\]", re.DOTALL)
_UNSPACED = (("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff"))
_NOTHING_BUT_SIGNS = re.compile(r"[\s\-–—_./?*#·•]+")


def plain_text(raw: str) -> str:
    """Text without regard to case, width, white space, trade marks and quotation marks around it."""
    folded = unicodedata.normalize("NFKC", raw.translate(INVISIBLE)).casefold()
    return " ".join(folded.split()).strip("\"'`“”„«»‘’ ")


def phrase_text(raw: str) -> str:
    """`plain_text` with one apostrophe, and with blanks for the signs that join words: out-of-stock, OUT_OF_STOCK."""
    text = plain_text(raw).translate(_APOSTROPHES)
    return " ".join(re.sub(r"[_\-‐‑–—]+", " ", text).split())


def ascii_digits(raw: str) -> str:
    """The text with every script's digits, separators and full-width signs as ASCII; length is kept."""
    text = raw.translate(_APOSTROPHES).translate(_SIGNS)
    text = "".join(chr(ord(char) - 0xFEE0) if "！" <= char <= "～" else char for char in text)
    return "".join(str(unicodedata.decimal(char, char)) for char in text)


def is_placeholder(raw: str) -> bool:
    """Whether a shop's software wrote this where it had no value."""
    if len(raw) > LONGEST:
        return False
    text = plain_text(raw)
    return (
        text in words_of("placeholder")
        or _UNFILLED.fullmatch(text) is not None
        or _NOTHING_BUT_SIGNS.fullmatch(text) is not None
    )


def either(phrases: Iterable[str]) -> str:
    """A pattern of any of the phrases, the longest first."""
    return "|".join(re.escape(phrase) for phrase in sorted(phrases, key=lambda phrase: (-len(phrase), phrase)))


def unspaced(char: str) -> bool:
    """Whether the character is of a script that sets no blanks between words: Thai, Lao, Burmese, Khmer, East Asian."""
    return char > "\u2e7f" or any(first <= char <= last for first, last in _UNSPACED)


@lru_cache(maxsize=64)
def words_of(*path: str) -> frozenset[str]:
    """A list of `words.yaml`, in the form of `plain_text`."""
    found: Any = words_file()
    for name in path:
        found = found[name]
    return frozenset(plain_text(str(word)) or str(word) for word in found)


@lru_cache(maxsize=1)
def words_file() -> JsonObject:
    """The whole of `words.yaml`."""
    return read_yaml(Path(__file__).parent / "words.yaml")
