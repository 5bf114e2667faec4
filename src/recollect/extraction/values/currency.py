"""Currencies: from signs, codes and names, in a field of their own or beside an amount, to ISO 4217 codes.

Notable choices
- Signs, codes and names in the languages of `LANGUAGES` come from Unicode's locale data through Babel; what shops write
  besides ("RMB", "zl", "Fr.") is in `words.yaml`.
- One sign may be several currencies: "$" is any dollar, "francs" any franc in use today. The likeliest comes first.
- In a phrase the first mention counts, and of the mentions that begin there the longest: "US dollars", not "dollars".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from recollect.extraction.values.plain import INVISIBLE, LONGEST, ascii_digits, plain_text, words_file

LANGUAGES = (
    *("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "uk", "zh", "ja", "ko", "tr", "sv", "da"),
    *("nb", "fi", "cs", "sk", "hu", "ro", "bg", "hr", "el", "ar", "fa", "he", "vi", "id", "th"),
)
_NOUN_LAST = frozenset(["en", "de", "nl", "sv", "da", "nb", "fi", "hu", "el", "ru", "uk", "bg", "cs", "sk"])
_NOUN_FIRST = frozenset(["fr", "es", "it", "pt", "pl"])
_MOST_WORDS = 4  # of one currency's name
_PIECE = re.compile(r"[^\W\d_]+\.?(?:[^\W\d_]{1,3}\.?)?[$€£¥₽]?|[^\w\s,;:/()|*~+\-–]+\.?")
_TERRITORY_DOLLAR = re.compile(r"([A-Za-z]{2})\$")
_NO_WORDS = frozenset(("usd", "eur", "gbp", "chf"))  # codes that are no word of any language
_COMMON = ["USD", "EUR", "GBP", "JPY", "INR", "CNY", "CHF", "SEK", "SAR", "AED", "RON", "RUB", "KRW", "CAD"]


def currency(raw: str) -> tuple[str, ...]:
    """The codes that a value may stand for, likeliest first; () when it names no currency."""
    if len(raw) > LONGEST:
        return ()
    text = ascii_digits(raw.translate(INVISIBLE)).strip().strip("~()[]:").strip()
    return lookup(text) or next((codes for _, _, codes in mentions(text)), ())


def lookup(text: str) -> tuple[str, ...]:
    """The codes of a sign, a code or a name that stands alone."""
    text = text.strip()
    signs, names = currency_signs(), currency_names()
    found = signs.get(text) or signs.get(text.casefold()) or names.get(plain_text(text).rstrip("."))
    if not found and re.fullmatch(r"[A-Za-z]{3}", text) and text.upper() in currency_codes():
        return (text.upper(),)
    if not found and (match := _TERRITORY_DOLLAR.fullmatch(text)):
        return _of_territory(match.group(1).upper())
    return found or ()


def mentions(text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Start, end and codes of every currency in a text of one line; digits must be ASCII.

    A word is a mention when it is a sign or a name; an ISO code in lower case ("all", "top") is one only beside a
    number.
    """
    pieces = [match.span() for match in _PIECE.finditer(text)]
    at = 0
    while at < len(pieces):
        for count in range(min(_MOST_WORDS, len(pieces) - at), 0, -1):
            start, end = pieces[at][0], pieces[at + count - 1][1]
            codes = lookup(text[start:end]) or lookup(text[start:end].rstrip("."))
            if codes and _plausible(text, start, end):
                yield start, end, codes
                at += count
                break
        else:
            at += 1


def _plausible(text: str, start: int, end: int) -> bool:
    word = text[start:end].rstrip(".")
    if len(word) > 3 or not word.isascii() or not word.isalpha() or (len(word) == 3 and word.isupper()):
        return True
    if word.casefold() in _NO_WORDS:
        return True
    return bool(re.search(r"\d[^\w]{0,3}$", text[:start]) or re.match(r"[^\w]{0,3}\d", text[end:]))


@lru_cache(maxsize=1)
def currency_signs() -> Mapping[str, tuple[str, ...]]:
    """ISO 4217 codes that each sign may stand for, the likeliest first; from every territory's own locales."""
    from babel import Locale, UnknownLocaleError
    from babel.core import get_global
    from babel.languages import get_official_languages
    from babel.numbers import get_territory_currencies

    signs: dict[str, set[str]] = defaultdict(set)
    for territory in sorted(get_global("territory_currencies")):
        codes = get_territory_currencies(territory)
        for language in get_official_languages(territory, de_facto=True)[:3]:
            for name in (f"{language}_{territory}", language):
                try:
                    locale = Locale.parse(name)
                except (UnknownLocaleError, ValueError):
                    continue
                for code in codes:
                    signs[_sign(locale.currency_symbols.get(code, code))].add(code)
                break
    for code, sign in Locale.parse("en").currency_symbols.items():
        signs[_sign(sign)].add(code)
    for sign, codes in words_file()["currency"].items():
        signs[sign].update(codes)
    known = {sign: _likeliest_first(found) for sign, found in signs.items() if sign}
    return {**{sign.casefold(): found for sign, found in known.items() if len(sign) > 1}, **known}


@lru_cache(maxsize=1)
def currency_names() -> Mapping[str, tuple[str, ...]]:
    """Codes by name, in the form of `plain_text`: whole names, and the bare noun of those in use today."""
    from babel import Locale

    names: dict[str, set[str]] = defaultdict(set)
    nouns: dict[str, set[str]] = defaultdict(set)
    current = _in_use()
    for language in LANGUAGES:
        for code, name in _names_in(Locale.parse(language)):
            names[name].add(code)
            first, *others = name.split()
            if code in current and others and language in _NOUN_LAST:
                nouns[others[-1]].add(code)
            elif code in current and language in _NOUN_FIRST:
                nouns[first].add(code)
    known = {name: codes for name, codes in names.items() if codes & current} | {
        name: codes for name, codes in names.items() if not codes & current
    }
    found = {noun: codes for noun, codes in nouns.items() if noun not in known and len(noun) > 2} | known
    return {name: _likeliest_first(codes & current or codes) for name, codes in found.items()}


def _names_in(locale: Any) -> Iterator[tuple[str, str]]:
    """Code and name, singular and plural, as the locale writes them."""
    data = locale._data
    for code, name in data["currency_names"].items():
        yield code, plain_text(str(name))
    for code, forms in data["currency_names_plural"].items():
        for form in forms.values():
            yield code, plain_text(str(form))


@lru_cache(maxsize=1)
def _in_use() -> frozenset[str]:
    from babel.core import get_global
    from babel.numbers import get_territory_currencies

    return frozenset(code for place in get_global("territory_currencies") for code in get_territory_currencies(place))


def _of_territory(territory: str) -> tuple[str, ...]:
    from babel.numbers import get_territory_currencies

    codes = get_territory_currencies(territory)
    return tuple(code for code in codes if code in currency_signs().get("$", ()))


@lru_cache(maxsize=1)
def currency_codes() -> frozenset[str]:
    """Every ISO 4217 code, those of the past included."""
    from babel.numbers import list_currencies

    return frozenset(list_currencies())


def _likeliest_first(codes: set[str]) -> tuple[str, ...]:
    return tuple(sorted(codes, key=lambda code: (_COMMON.index(code) if code in _COMMON else len(_COMMON), code)))


def _sign(sign: str) -> str:
    return sign.translate(INVISIBLE).strip()
