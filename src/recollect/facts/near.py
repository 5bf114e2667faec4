"""Questions that are nearly the same: they differ only in what a model does not take for a difference."""

from __future__ import annotations

import re
import unicodedata

_MINUS = re.compile(r"(?<![^\s(=+*/])[-\u2010-\u2015\u2212](?=\d)")  # of a number: "-4" is not "4"
_KEPT = set("#+%&*/=<>@$")  # C and C#, 5 and 5 %
_POINT = re.compile(r"(?<=\d)[.,](?=\d)")  # 3.14 is not 314


def near_key(text: str) -> str:
    """The text without case, Unicode form, invisible characters, punctuation and runs of blanks.

    Signs that change a meaning stay: a minus or a decimal point in a number, and # + % & and the like.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    text = _POINT.sub("\x01", _MINUS.sub("\x02", text))
    return " ".join(text.translate(_TABLE).split())


def _plain(char: str) -> str:
    """The character, a blank in place of punctuation, or nothing in place of what is not seen."""
    if char.isalnum() or char in _KEPT or char in "\x01\x02":
        return char
    kind = unicodedata.category(char)
    if kind == "Cf":
        return ""
    if char in "'\u2019\u2018\u02bc`´.":  # O'Dell, J.R.: no blank where it stood
        return ""
    return " " if kind[0] in "PZ" or char.isspace() else char


class _Table(dict[int, str]):
    """What each character becomes, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = _plain(chr(code))
        return self[code]


_TABLE = _Table()
