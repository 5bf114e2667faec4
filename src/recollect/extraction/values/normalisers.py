"""One form for every way to write a value, in which two values are compared; and whether a value occurs in a text.

Notable choices
- A value has one or more *readings*. "$" may be any of 27 currencies, "23.450" may be 23.45 or 23450; two values are
  equal when they share a reading. Most values have exactly one.
- Prices are read by price-parser, trade item numbers checked by python-stdnum, currencies and names of languages looked
  up in Unicode's locale data through Babel. What they lack is in `words.yaml`.
- Identifiers are compared by their letters and digits alone: shops print one number with and without separators.
- A placeholder ("N/A", "-", a number of zeros) has no reading.
- A value occurs in a text when one of its written forms does: a price with any separators, an identifier with or
  without punctuation, a currency as code or sign, an availability as wording in many languages or a schema.org token.
  Values are bounded: "12" does not occur in "2012", nor "AB1" in "CAB12".
- The patterns are made from the value, without nested repeats, so that a hostile text costs linear time.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache

from recollect.extraction import need_pages
from recollect.extraction.values.amounts import currency, currency_names, currency_signs, number, price
from recollect.extraction.values.availability import availability, find_availability
from recollect.extraction.values.plain import INVISIBLE, LONGEST, ascii_digits, is_placeholder, plain_text
from recollect.extraction.values.schema import Attribute, AttributeType

NORMALISER = 2
"""Goes up when a value is read in another way. 2: prices, currencies and availability by the whole phrase."""
_PUNCTUATION = re.compile(r"[\W_]+")
_LONGEST = 2_000  # characters of a value; a longer one is looked up as plain text
_BY_HAND: frozenset[AttributeType] = frozenset(("text", "identifier", "availability"))  # no library of the extra
_NAME_LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "zh", "ja")


def normalise(attribute: Attribute, raw: str | None) -> str | None:
    """The form in which `raw` is compared; None when it is empty or no value of the attribute's type."""
    found = readings(attribute, raw)
    return found[0] if found else None


def equal(attribute: Attribute, a: str | None, b: str | None) -> bool:
    """Whether two values mean the same: they share a reading. An empty or unreadable value equals nothing."""
    return not set(readings(attribute, a)).isdisjoint(readings(attribute, b))


def readings(attribute: Attribute, raw: str | None) -> tuple[str, ...]:
    """Every normal form `raw` may stand for, likeliest first; () when it is empty, a placeholder or unreadable."""
    if raw is None or not raw.strip() or is_placeholder(raw):
        return ()
    if attribute.compares_as not in _BY_HAND:
        need_pages()
    return _READ[attribute.compares_as](raw)


def _plain(raw: str) -> tuple[str, ...]:
    text = plain_text(raw)
    return (text,) if text else ()


def _identifier(raw: str) -> tuple[str, ...]:
    text = _PUNCTUATION.sub("", plain_text(raw))
    return (text,) if text else ()


def _gtin(raw: str) -> tuple[str, ...]:
    from stdnum import ean, isbn

    for candidate in re.findall(r"[0-9][0-9 \-]{6,20}[0-9Xx]", ascii_digits(raw[:LONGEST].translate(INVISIBLE))):
        found = re.sub(r"[ \-]", "", candidate)
        if len(found) == 10 and isbn.is_valid(found):
            found = isbn.to_isbn13(found)
        if ean.is_valid(found) and found.strip("0"):
            return (found.zfill(14),)
    return ()


def _language(raw: str) -> tuple[str, ...]:
    """The language's code; () when the value names none."""
    names = _language_names()
    text = plain_text(raw).replace("_", "-")
    code = names.get(text) or names.get(text.split("-")[0].split("(")[0].strip())
    return (code,) if code else ()


@lru_cache(maxsize=1)
def _language_names() -> Mapping[str, str]:
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
    from babel import Locale

    return {str(code): str(name) for code, name in Locale.parse(locale).languages.items() if str(code).isalpha()}


_READ: Mapping[AttributeType, Callable[[str], tuple[str, ...]]] = {
    "text": _plain,
    "price": price,
    "currency": currency,
    "identifier": _identifier,
    "gtin": _gtin,
    "availability": availability,
    "number": number,
    "language": _language,
}


# -- occurrence ----------------------------------------------------------------------------------------------------


def occurs(attribute: Attribute, value: str | None, text: str) -> bool:
    """Whether the value occurs in the text after normalisation; an empty or unreadable value never does."""
    if not readings(attribute, value):
        return False
    return find(attribute, value, text) is not None or _occurs_folded(attribute, value or "", text)


def find(attribute: Attribute, value: str | None, text: str) -> tuple[int, int] | None:
    """Start and end of the value's first written form in the text as it stands; None when there is none.

    None too when the value is only found after normalising the text (HTML entities, full-width digits): `occurs`
    then still says so.
    """
    found = readings(attribute, value)
    if not found or value is None or len(value) > _LONGEST:
        return None
    if attribute.compares_as == "availability":
        return find_availability(found[0], text)
    match = _pattern(attribute.compares_as, value, found).search(text)
    return match.span() if match else None


def _occurs_folded(attribute: Attribute, value: str, text: str) -> bool:
    whole = unicodedata.normalize("NFKC", html.unescape(text))
    if attribute.compares_as == "availability":  # a negation on another line is another matter's
        folded = ascii_digits("\n".join(" ".join(line.split()) for line in whole.split("\n")))
    else:
        folded = ascii_digits(" ".join(whole.split()))
    if len(value) <= _LONGEST and folded != text and find(attribute, value, folded) is not None:
        return True
    return attribute.compares_as == "text" and _bounded(plain_text(value), plain_text(folded))


def _bounded(value: str, text: str) -> bool:
    return re.search(_edges(value, re.escape(value)), text) is not None


@lru_cache(maxsize=4096)
def _pattern(kind: AttributeType, value: str, found: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_PATTERNS[kind](value, found), re.IGNORECASE if kind != "currency" else re.NOFLAG)


def _edges(value: str, pattern: str) -> str:
    """The pattern, not in the middle of a word where the value starts or ends with one."""
    before = r"(?<!\w)" if value[:1].isalnum() else ""
    after = r"(?!\w)" if value[-1:].isalnum() else ""
    return f"{before}(?:{pattern}){after}"


def _text_pattern(value: str, found: tuple[str, ...]) -> str:
    words = value.split()
    return _edges(words[0][:1] + words[-1][-1:], r"\s+".join(map(re.escape, words)))


def _identifier_pattern(value: str, found: tuple[str, ...]) -> str:
    between = r"[^\w\n]?_?"
    return rf"(?<![^\W_])(?:{between.join(map(re.escape, found[0]))})(?![^\W_])"


def _gtin_pattern(value: str, found: tuple[str, ...]) -> str:
    number = found[0].lstrip("0")
    return rf"(?<!\d)0{{0,6}}{'[ -]?'.join(number)}(?!\d)"


def _price_pattern(value: str, found: tuple[str, ...]) -> str:
    return "|".join(_amount(reading) for reading in found)


def _amount(reading: str) -> str:
    """Every way to write an amount: groups by . , ' or a blank; cents after . , € or a blank."""
    whole, _, cents = reading.lstrip("-").partition(".")
    size = len(whole)
    pieces = []
    for index, digit in enumerate(whole):
        left = size - index
        # thousands everywhere; in South Asia also lakh and crore
        grouped = index and (left % 3 == 0 or (left > 3 and left % 2 == 1))
        pieces.append((r"[.,'’\s\u202f]?" if grouped else "") + digit)
    if not cents:
        tail = r"(?:[.,]0{1,4})?(?![.,]?\d)"
    elif len(cents) <= 2:  # 12.5 may be a price of 12 and 50 hundredths, or have one digit
        tail = rf"(?:\s?[.,€$£]?\s?{cents.ljust(2, '0')}|[.,]{cents}0{{0,3}})(?!\d)"
    else:
        tail = rf"[.,]{cents}0{{0,3}}(?!\d)"
    return rf"(?<!\d)(?<!\d[.,]){''.join(pieces)}{tail}"


def _number_pattern(value: str, found: tuple[str, ...]) -> str:
    options = []
    for reading in found:
        whole, _, fraction = reading.partition(".")
        tail = rf"[.,]{fraction}0{{0,3}}" if fraction else r"(?:[.,]0{1,4})?"
        options.append(rf"(?<!\d)(?<!\d[.,]){re.escape(whole)}{tail}(?![.,]?\d)")
    return "|".join(options)


def _currency_pattern(value: str, found: tuple[str, ...]) -> str:
    own = [value.strip()]
    if len(found) > 1:  # an ambiguous sign: itself, or the code of any currency it may stand for
        forms = {*own, *found}
    else:
        forms = {*own, *found, *(sign for sign, codes in currency_signs().items() if found[0] in codes)}
        forms |= {name for name, codes in currency_names().items() if codes == found}
    # a single letter is no sign in running text
    forms = {form for form in forms if len(form) > 1 or not form.isalpha() or not form.isascii()}
    bounded = [_sign_edges(form) for form in sorted(forms, key=lambda form: (-len(form), form))]
    return "|".join(bounded)


def _sign_edges(form: str) -> str:
    """A sign of letters is no part of a word, but may touch a number: "25EUR"."""
    before = r"(?<![^\W\d_])" if form[:1].isalpha() else ""
    after = r"(?![^\W\d_])" if form[-1:].isalpha() else ""
    return f"{before}{re.escape(form)}{after}"


def _language_pattern(value: str, found: tuple[str, ...]) -> str:
    """Any name of the language; of its codes only the one given, since most of two letters are words somewhere."""
    names = {name for name, code in _language_names().items() if code == found[0] and len(name) > 3}
    forms = sorted({*names, value.strip()}, key=lambda form: (-len(form), form))
    return "|".join(_edges(form, re.escape(form)) for form in forms)


_PATTERNS: Mapping[AttributeType, Callable[[str, tuple[str, ...]], str]] = {
    "text": _text_pattern,
    "price": _price_pattern,
    "currency": _currency_pattern,
    "identifier": _identifier_pattern,
    "gtin": _gtin_pattern,
    "number": _number_pattern,
    "language": _language_pattern,
}
