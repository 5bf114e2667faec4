"""One form for every way to write a value: what two values are compared in.

Notable choices
- A value has one or more *readings*. "$" may be any of 27 currencies, "23.450" may be 23.45 or 23450; two values are
  equal when they share a reading. Most values have exactly one.
- Prices and numbers are read by price-parser, trade item numbers checked by python-stdnum, currency signs and names of
  languages looked up in Unicode's locale data through Babel. Signs and words they lack are in `words.yaml`.
- Identifiers are compared by their letters and digits alone: shops print one number with and without separators.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from recollect.attributes._schema import Attribute, AttributeType
from recollect.settings import read_yaml

_NAME_LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "zh", "ja")
_LONGEST = 300  # characters; a longer "price" or "number" is a passage of text, and no value
_AMBIGUOUS = re.compile(r"\d{1,3}[.,]\d{3}")
_PUNCTUATION = re.compile(r"[\W_]+")
_CASELESS_MARKS = str.maketrans("", "", "™®©\u200b\u200c\u200d\u200e\u200f\ufeff\u00ad")


def normalise(attribute: Attribute, raw: str | None) -> str | None:
    """The form in which `raw` is compared; None when it is empty or no value of the attribute's type."""
    found = readings(attribute, raw)
    return found[0] if found else None


def equal(attribute: Attribute, a: str | None, b: str | None) -> bool:
    """Whether two values mean the same: they share a reading. An empty or unreadable value equals nothing."""
    return not set(readings(attribute, a)).isdisjoint(readings(attribute, b))


def readings(attribute: Attribute, raw: str | None) -> tuple[str, ...]:
    """Every normal form `raw` may stand for, likeliest first; () when it is empty or unreadable."""
    if raw is None or not raw.strip():
        return ()
    return _READ[attribute.compares_as](raw)


def plain_text(raw: str) -> str:
    """Text without regard to case, width, white space, trade marks and quotation marks around it."""
    folded = unicodedata.normalize("NFKC", raw.translate(_CASELESS_MARKS)).casefold()
    return " ".join(folded.split()).strip("\"'`“”„«»‘’ ")


def _text(raw: str) -> tuple[str, ...]:
    text = plain_text(raw)
    return (text,) if text else ()


def _identifier(raw: str) -> tuple[str, ...]:
    text = _PUNCTUATION.sub("", plain_text(raw))
    return (text,) if text else ()


def _price(raw: str) -> tuple[str, ...]:
    return tuple(reading.removeprefix("-") for reading in _number(raw))


def _number(raw: str) -> tuple[str, ...]:
    """The first amount in the text; one of three digits after a single separator is read both ways."""
    text = _digits(raw)
    if not _has_digit(text):
        return ()
    from price_parser import Price

    price = Price.fromstring(text)
    if price.amount is None:
        return ()
    written = price.amount_text or ""
    found = [abs(price.amount)]
    if _AMBIGUOUS.fullmatch(written):
        found.append(Decimal(written.replace(",", ".")))
    minus = text[: text.find(written)].endswith("-")
    return tuple(dict.fromkeys(_decimal(-amount if minus else amount) for amount in found))


def _gtin(raw: str) -> tuple[str, ...]:
    from stdnum import ean, isbn

    for candidate in re.findall(r"[0-9][0-9 \-]{6,20}[0-9Xx]", _digits(raw)):
        number = re.sub(r"[ \-]", "", candidate)
        if len(number) == 10 and isbn.is_valid(number):
            number = isbn.to_isbn13(number)
        if ean.is_valid(number):
            return (number.zfill(14),)
    return ()


def _currency(raw: str) -> tuple[str, ...]:
    if len(raw) > _LONGEST:
        return ()
    text = raw.translate(_CASELESS_MARKS).strip().strip("~()[]:").strip()
    codes = currency_signs()
    found = codes.get(text) or codes.get(text.casefold())
    if not found and re.fullmatch(r"[A-Za-z]{3}", text):
        found = (text.upper(),) if text.upper() in currency_codes() else None
    if found:
        return found
    from price_parser import Price

    sign = Price.fromstring(_digits(text)).currency  # a sign inside a price, such as "12,50 €"
    return _currency(sign) if sign and sign != text else ()


def _availability(raw: str) -> tuple[str, ...]:
    token = re.sub(r"^https?://schema\.org/", "", raw.strip(), flags=re.IGNORECASE)
    text = plain_text(token)
    words = availability_words()
    for value, phrases in words.items():
        if text in phrases:
            return (value,)
    if len(text) > _LONGEST:
        return ()
    # the longest phrase decides: "not available" holds "available"
    inside = [
        (len(phrase), value)
        for value, phrases in words.items()
        for phrase in phrases
        if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text)
    ]
    return (max(inside)[1],) if inside else ()


def _language(raw: str) -> tuple[str, ...]:
    names = language_names()
    text = plain_text(raw).replace("_", "-")
    code = names.get(text) or names.get(text.split("-")[0].split("(")[0].strip())
    return (code,) if code else ()


@lru_cache(maxsize=1)
def language_names() -> Mapping[str, str]:
    """ISO 639 code by code and by name: the language's own, and those of eleven other languages."""
    from babel.core import get_global
    from babel.localedata import exists

    codes = list(_names_in("en"))
    names = {code: code for code in codes}
    for code, modern in get_global("language_aliases").items():  # "ger" and "deu" are "de"
        if modern.split("_")[0] in names:
            names.setdefault(code, modern.split("_")[0])
    for code in codes:
        if exists(code) and (own := _names_in(code).get(code)):
            names.setdefault(plain_text(own), code)
    for locale in _NAME_LANGUAGES:
        for code, name in _names_in(locale).items():
            names.setdefault(plain_text(name), code)
    return names


def _names_in(locale: str) -> dict[str, str]:
    """Names of languages by code, as that locale writes them."""
    from babel import Locale

    return {str(code): str(name) for code, name in Locale.parse(locale).languages.items() if str(code).isalpha()}


@lru_cache(maxsize=1)
def availability_words() -> Mapping[str, tuple[str, ...]]:
    """Phrases of pages in many languages, normalised, by the value they stand for."""
    return {value: tuple(plain_text(word) for word in words) for value, words in _words()["availability"].items()}


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
    for sign, codes in _words()["currency"].items():
        signs[sign].update(codes)
    known = {sign: _likeliest_first(found) for sign, found in signs.items() if sign}
    return {**{sign.casefold(): found for sign, found in known.items() if len(sign) > 1}, **known}


@lru_cache(maxsize=1)
def currency_codes() -> frozenset[str]:
    """Every ISO 4217 code, those of the past included."""
    from babel.numbers import list_currencies

    return frozenset(list_currencies())


def _likeliest_first(codes: set[str]) -> tuple[str, ...]:
    common = ("USD", "EUR", "GBP", "JPY", "INR", "SEK", "SAR", "AED", "RON")
    return tuple(sorted(codes, key=lambda code: (common.index(code) if code in common else len(common), code)))


def _sign(sign: str) -> str:
    return sign.translate(_CASELESS_MARKS).strip()


@lru_cache(maxsize=1)
def _words() -> dict[str, Any]:
    return read_yaml(Path(__file__).parent / "words.yaml")


def _digits(raw: str) -> str:
    """The text with every script's digits and separators as ASCII, cut off where no value is that long."""
    text = raw[:_LONGEST].translate(_CASELESS_MARKS).replace("٫", ".").replace("٬", ",")
    return "".join(str(unicodedata.decimal(char, char)) for char in text)


def _has_digit(text: str) -> bool:
    return any("0" <= char <= "9" for char in text)


def _decimal(value: Decimal) -> str:
    """A number without needless zeros or an exponent."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


_READ: Mapping[AttributeType, Callable[[str], tuple[str, ...]]] = {
    "text": _text,
    "price": _price,
    "currency": _currency,
    "identifier": _identifier,
    "gtin": _gtin,
    "availability": _availability,
    "number": _number,
    "language": _language,
}
