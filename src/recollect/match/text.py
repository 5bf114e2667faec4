"""One normal form for texts that are compared, so that two spellings of one text are equal.

`canonical` keeps upper and lower case and everything that a reader takes for another text; `folded` also drops case.
Notable choices
- NFC, not NFKC: NFKC makes "10²" into "102" and "2½" into "21⁄2". Of the compatibility characters only those that
  are the same letters in another shape are unified: full and half width, ligatures, presentation forms, font variants,
  Roman numerals. Superscripts, subscripts, fractions, circled and squared signs stay what they are.
- What cannot be seen does not count: soft hyphens, direction marks, zero-width characters, variation selectors
  (Unicode's Default_Ignorable_Code_Point). The joiners of Persian and Indic scripts are among them: writers leave them
  out or put them in for the same word.
- One sign for each kind of quote, apostrophe and dash, one blank for any white space, ASCII for decimal digits.
- Both functions are pure, and applying one twice changes nothing.
"""

from __future__ import annotations

import unicodedata

import regex

_SINGLE_QUOTES = (
    "\u2018\u2019\u201a\u201b\u2032\u2035\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u05f3\u2039\u203a\ua78c"
)
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb\u05f4\u301d\u301e\u301f"
_SIGNS = {**dict.fromkeys(_SINGLE_QUOTES, "'"), **dict.fromkeys(_DOUBLE_QUOTES, '"')}
_SIGNS |= {"\u2212": "-", "\u02d7": "-", "\u066b": ".", "\u066c": ","}  # minus signs, Arabic decimal and thousands
_OTHER_MEANING = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")
_NUMERO = "\u2116"  # as "No" it would touch the number after it
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
_DASH = regex.compile(r"\p{Dash_Punctuation}")
_DOT_ABOVE_I = regex.compile("(i[\\p{M}--[\u0307]]*)\u0307", regex.V1)


def canonical(text: str) -> str:
    """The text in normal form, with its case; white space at the ends is dropped."""
    if not text.isascii():
        composed = unicodedata.normalize("NFC", text)  # some characters compose to one that is replaced
        text = unicodedata.normalize("NFC", composed.translate(_REPLACED))
    return " ".join(text.split())


def folded(text: str) -> str:
    """The canonical text without case, Turkish included: İ, I, ı and i are one letter."""
    text = canonical(text)
    if text.isascii():
        return text.lower()
    lower = unicodedata.normalize("NFD", text).casefold()
    plain = _DOT_ABOVE_I.sub(r"\1", lower).replace("\u0131", "i")
    return canonical(unicodedata.normalize("NFC", plain))


class _Replacements(dict[int, str]):
    """What stands for each character, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        found = _replacement(chr(code))
        self[code] = found
        return found


_REPLACED = _Replacements()


def _replacement(character: str) -> str:
    if _IGNORABLE.match(character):
        return ""
    if character in _SIGNS:
        return _SIGNS[character]
    if _DASH.match(character):
        return "-"
    if character.isspace():
        return " "
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    shape = unicodedata.decomposition(character)
    kind, _, letters = shape.partition(" ")
    accent_alone = letters.startswith("0020 ")
    if not kind.startswith("<") or kind in _OTHER_MEANING or accent_alone or character == _NUMERO:
        return character
    same_letters = unicodedata.normalize("NFKC", character)
    return "".join(part if part == character else _replacement(part) for part in same_letters)
