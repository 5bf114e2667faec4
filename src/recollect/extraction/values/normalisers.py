"""One form for every way to write a value: what two values are compared in.

Notable choices
- A value has one or more *readings*. "$" may be any of 27 currencies, "23.450" may be 23.45 or 23450; two values are
  equal when they share a reading. Most values have exactly one.
- Prices are read by price-parser, trade item numbers checked by python-stdnum, currencies and names of languages looked
  up in Unicode's locale data through Babel. What they lack is in `words.yaml`.
- Identifiers are compared by their letters and digits alone: shops print one number with and without separators.
- A placeholder ("N/A", "-", a number of zeros) has no reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from recollect.extraction.values.amounts import number, price
from recollect.extraction.values.availability import availability
from recollect.extraction.values.currency import currency
from recollect.extraction.values.language import language
from recollect.extraction.values.plain import INVISIBLE, LONGEST, ascii_digits, is_placeholder, plain_text
from recollect.extraction.values.schema import Attribute, AttributeType

NORMALISER = 2
"""Goes up when a value is read in another way. 2: prices, currencies and availability by the whole phrase."""
_PUNCTUATION = re.compile(r"[\W_]+")


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
    return _READ[attribute.compares_as](raw)


def _text(raw: str) -> tuple[str, ...]:
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


_READ: Mapping[AttributeType, Callable[[str], tuple[str, ...]]] = {
    "text": _text,
    "price": price,
    "currency": currency,
    "identifier": _identifier,
    "gtin": _gtin,
    "availability": availability,
    "number": number,
    "language": language,
}
