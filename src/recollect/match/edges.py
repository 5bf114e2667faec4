"""Whether a form occurs in a text as whole words and whole numbers; both are given folded (see `text`).

Notable choices
- Words are what blanks and punctuation leave apart. A form never ends inside a letter: not before a combining mark or
  vowel sign, not after a Thai leading vowel, not inside a conjunct.
- Scripts that write without blanks (Chinese, Japanese, Thai, Lao, Khmer, Myanmar and their kin) have no word edges
  that can be seen, so there every letter boundary is one; only a run of Katakana stays whole. Where they or Korean meet
  another script, there is an edge ("1984年", "3개").
- Korean nouns carry particles: 서울 occurs in 서울입니다, not in 서울대학교.
- A number is one word: digits joined by . , : ' , groups of three joined by a blank, and the minus sign before them. So
  3 is not in 3.14, nor 4 in -4, nor 12 in 12,000 or 12 000. Dates and ranges (3/4/1984, 1914-18) are several numbers.
"""

from __future__ import annotations

import unicodedata

import regex

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}\p{Pc}]")
_INSIDE_A_LETTER = regex.compile(r"[\p{M}\p{GCB=Extend}\p{GCB=SpacingMark}]")
_LEADING_VOWEL = regex.compile(r"\p{Logical_Order_Exception}")
_WITHOUT_BLANKS = regex.compile(
    r"[\p{Line_Break=Complex_Context}\p{Han}\p{Hiragana}\p{Katakana}\p{Yi}\p{Javanese}\p{Balinese}\p{Tai_Tham}ー々〆]"
)
_KATAKANA = regex.compile(r"[\p{Katakana}ー]")
_HANGUL = regex.compile(r"\p{Hangul}")
_PARTICLES = regex.compile(
    r"(?:은|는|이|가|을|를|의|에|에서|에게|께|께서|한테|와|과|랑|이랑|하고|도|만|로|으로|부터|까지|처럼|같이|보다|마다|밖에|조차|마저|나|이나|든지|이든지"
    r"|라고|이라고|라는|이라는|란|이란|라|이라|며|이며|고|이고|인|인데|이지만|지만|이자|이다|다|입니다|이에요|예요|이예요|요|이었다|였다|이었습니다|였습니다|임){1,3}"
    r"(?![\p{L}\p{M}\p{N}\p{Pc}])"
)
_NUMERIC = frozenset("0123456789.,:'- ")
_NUMBER = regex.compile(
    r"(?:(?<![\p{L}\p{M}\p{N}\p{Pc})\-])-)?"  # a minus sign, not the dash of a range or a compound
    r"(?:[0-9]{1,3}(?P<group>[ ,.'])[0-9]{3}(?:(?P=group)[0-9]{3})*(?![0-9])|[0-9]+)"
    r"(?:[.,:'][0-9]+)?"
)
_VIRAMA = 9  # canonical combining class of the signs that join two consonants


def stands_alone(form: str, said: str) -> bool:
    """Whether the form occurs in `said` between two word edges and cuts no number."""
    return bool(_places(form, said))


def written_without_blanks(character: str) -> bool:
    """Whether the character is of a script that puts no blank between words (Chinese, Japanese, Thai and their kin)."""
    return _WITHOUT_BLANKS.match(character) is not None


def is_open_number(form: str, said: str, close: str, rest: str | None) -> bool:
    """Whether what follows may still join a number that the form ends with.

    `close` is the character after `said`, `rest` the one after that (None: not known yet).
    """
    if not form[-1].isdigit():
        return False
    ahead = said + (" " if close.isspace() else close) + (rest or "")
    for at in _places(form, said):
        after = ahead[at + len(form) : at + len(form) + 2]
        if after[0] not in _NUMERIC or (len(after) == 2 and not after[1].isdigit()):
            return False
    return True


def _places(form: str, said: str) -> list[int]:
    """Where the form stands alone."""
    found = []
    at = said.find(form)
    while at >= 0:
        end = at + len(form)
        if _starts_word(said, at) and _ends_word(said, end) and not _cuts_number(form, said, at, end):
            found.append(at)
        at = said.find(form, at + 1)
    return found


def _starts_word(said: str, at: int) -> bool:
    if at == 0:
        return True
    before, first = said[at - 1], said[at]
    if _LEADING_VOWEL.match(before) or unicodedata.combining(before) == _VIRAMA or _INSIDE_A_LETTER.match(first):
        return False
    return not _WORD.match(before) or _scripts_part(before, first)


def _ends_word(said: str, end: int) -> bool:
    if end == len(said):
        return True
    last, after = said[end - 1], said[end]
    if _LEADING_VOWEL.match(last) or _INSIDE_A_LETTER.match(after):
        return False
    if _HANGUL.match(last) and _HANGUL.match(after):
        return _PARTICLES.match(said, end) is not None
    return not _WORD.match(after) or _scripts_part(last, after)


def _scripts_part(left: str, right: str) -> bool:
    """Whether two word characters side by side belong to different words by their scripts alone."""
    if _WITHOUT_BLANKS.match(left) or _WITHOUT_BLANKS.match(right):
        return right != "ー" and not (_KATAKANA.match(left) and _KATAKANA.match(right))
    return bool(_HANGUL.match(left)) != bool(_HANGUL.match(right))


def _cuts_number(form: str, said: str, at: int, end: int) -> bool:
    if form[0] not in _NUMERIC and form[-1] not in _NUMERIC:
        return False
    spans = (found.span() for found in _NUMBER.finditer(said))
    return any(start < at < stop or start < end < stop for start, stop in spans)
