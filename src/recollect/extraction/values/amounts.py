"""Prices, numbers and currencies: which amount of a phrase is meant, its value, and in what it is paid.

Notable choices
- A phrase may hold several numbers: "10 x 5,99 €", "3 for 2: 5,00 €", "was 9.99 now 5.99". The amounts that touch a
  currency go before the others; counts and measures ("10 x", "100 g"), former prices ("was", "UVP"), savings, shipping
  and prices per measure ("/kg") are passed over as long as another amount is left; then "now" decides, then the place.
  price-parser takes the first number of each of these phrases.
- An amount of three digits after a single separator is read both ways: "23.450" is 23.45 and 23450.
- price-parser turns the digits of one amount into a number; which digits belong together is decided here.
- Signs, codes and names of currencies in the languages of `_LANGUAGES` come from Unicode's locale data through Babel;
  what shops write besides ("RMB", "zl", "Fr.") is in `words.yaml`.
- One sign may be several currencies: "$" is any dollar, "francs" any franc in use today. The likeliest comes first.
- In a phrase the first mention counts, and of the mentions that begin there the longest: "US dollars", not "dollars".
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from recollect.extraction.values.plain import INVISIBLE, LONGEST, ascii_digits, either, plain_text, words_file, words_of

_BLANKS = dict.fromkeys(map(ord, "\u00a0\u202f\u2009\u2007\u2008\t\r\n"), " ")
_AMBIGUOUS = re.compile(r"\d{1,3}[.,]\d{3}")
_ONE_SEPARATOR = re.compile(r"(\d{1,3}(?:([.,])\d{3})(?:\2\d{3})*)\2(\d{2})")  # 1.299.99
_AMOUNT = re.compile(r"(?<![\d.,])\d+(?:[.,]\d+)*|(?<![\d.,])[.,]\d+")
_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3})((?:[' ]\d{3})+)(?!\d)")
_LONE_SEPARATOR = re.compile(r"(?<=\d) ([.,]) ?(?=\d)")
_RAISED = re.compile(r"(?<=\d)[⁰¹²³⁴-⁹]{2}(?![⁰¹²³⁴-⁹])")
_TIMES = re.compile(r"\s*[x×✕*](?=\s*[\d$€£¥])", re.IGNORECASE)
_TIMES_BEFORE = re.compile(r"\d[^\d\s]{0,3}\s*[x×✕*]\s*$", re.IGNORECASE)
_DEAL = re.compile(r"\s*(?:for|für|pour|por|per|voor|za|за)\s*(?=[^\s\d]{0,3}\d)", re.IGNORECASE)
_OF = re.compile(r"\s*(?:★|stars?\b|sterne\b|étoiles\b|out of|/|von|sur|de|di|of|van|av|z|из|af)\s*\d*", re.IGNORECASE)
_LANGUAGES = (
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


@dataclass(frozen=True)
class Amount:
    """One number of a phrase."""

    start: int
    end: int
    written: str
    """Its digits and separators."""
    money: bool
    """Whether it touches a currency."""

    @property
    def whole(self) -> bool:
        """Whether it is written without a separator."""
        return self.written.isdigit()


def price(raw: str) -> tuple[str, ...]:
    """The readings of the price that a phrase asks; () without an amount. A price has no sign."""
    text = _prepared(raw)
    found = amounts(text)
    chosen = _asked(text, found) if found else None
    return _readings(chosen.written, negative=False) if chosen else ()


def number(raw: str) -> tuple[str, ...]:
    """The readings of the first number of a phrase, with its sign; of "4.5 out of 5" and "2 reviews, 4.5 stars" 4.5."""
    text = _prepared(raw)
    found = amounts(text)
    if not found:
        return ()
    of = [one for one in found if _OF.match(text, one.end)]
    chosen = (of or found)[0]
    if "のうち" in text[: found[-1].start]:  # "5つ星のうち4.5" names the scale first
        chosen = found[-1]
    return _readings(chosen.written, negative=text[: chosen.start].endswith("-"))


def amounts(text: str) -> list[Amount]:
    """The numbers of a prepared phrase, in order."""
    money = [(start, end) for start, end, _ in mentions(text)]
    found = []
    for match in _AMOUNT.finditer(text):
        start, end = match.span()
        touched = any(
            (there <= start and not text[there:start].strip(" :'~=.-–\")"))
            or (here >= end and not text[end:here].strip(" '~.,-–:\"(") and not _leads_next(text, end, here, there))
            for here, there in money
        )  # fmt: skip
        found.append(Amount(start, end, match.group(), touched))
    return found


def _leads_next(text: str, end: int, here: int, there: int) -> bool:
    """Whether a currency after an amount stands apart from it and touches the next one: "Size 42: $99"."""
    return here > end and re.match(r"[.,]?\d", text[there:]) is not None


def _prepared(raw: str) -> str:
    """The phrase with ASCII digits, and with the pieces of each amount put together: 1’899.–, 1 . 299 00 €, 12⁹⁹."""
    text = raw[:LONGEST].translate(INVISIBLE).translate(_BLANKS).replace("−", "-")
    text = ascii_digits(_RAISED.sub(lambda match: "." + "".join(str(unicodedata.digit(c)) for c in match[0]), text))
    text = _LONE_SEPARATOR.sub(r"\1", text)
    text = _GROUPED.sub(lambda match: match[1] + re.sub("[' ]", "", match[2]), text)
    text = re.sub(r"(?<=\d)'(?=\d{3}(?!\d))", "", text)
    return _joined_cents(text)


def _joined_cents(text: str) -> str:
    """Cents that stand after a currency or a blank: "35€ 99", "$12 99", "1.299 00 €"."""
    money = [(start, end) for start, end, _ in mentions(text)]
    for start, end in money:
        before, after = re.search(r"(?<![\d.,])\d+ ?$", text[:start]), re.match(r" ?(\d{2})(?![\d.,])", text[end:])
        if (
            before
            and after
            and not (before[0].endswith(" ") and not after[0].startswith(" "))  # "iPhone 15 $99"
            and not _followed_by_money(text, end + after.end(), money)
            and not _measured(text, end + after.end())
        ):
            return f"{text[: before.end()].rstrip()}.{after[1]} {text[start:end]}{text[end + after.end() :]}"
    for match in re.finditer(r"(?<![\d,.])(\d{1,3}(?:[.,]\d{3})*|\d+) (\d{2})(?![\d.,])", text):
        begins, ends = match.span()
        led = any(not text[end:begins].strip() for _, end in money if end <= begins)
        if _followed_by_money(text, ends, money) or (led and not _measured(text, ends)):
            whole = re.sub("[.,]", "", match[1])
            return f"{text[:begins]}{whole}.{match[2]}{text[ends:]}"
    return text


def _followed_by_money(text: str, at: int, money: Sequence[tuple[int, int]]) -> bool:
    return any(start >= at and not text[at:start].strip() for start, _ in money)


def _measured(text: str, at: int) -> bool:
    """Whether a measure, a percent sign or a count follows: "100g", "20 %", "3 pieces"."""
    return _units().match(text, at) is not None


def _asked(text: str, found: Sequence[Amount]) -> Amount:
    """The amount that is the price asked now."""
    rules: tuple[Callable[[Amount], bool], ...] = (
        lambda one: one.money or not (_measured(text, one.end) or (one.whole and _TIMES.match(text, one.end))),
        lambda one: not (one.whole and not one.money and _TIMES_BEFORE.search(text[: one.start])),
        lambda one: one.money,
        lambda one: not (_DEAL.match(text, one.end) and one.whole and len(found) > 1),
        lambda one: not _told(text, one, found, "former"),
        lambda one: not _per_measure().match(text, one.end),
        lambda one: _told(text, one, found, "now"),
        lambda one: re.search(r"[.,]\d{2}$", one.written) is not None,
    )
    left = list(found)
    for keep in rules:
        left = [one for one in left if keep(one)] or left
    return left[0]


def _told(text: str, one: Amount, found: Sequence[Amount], what: str) -> bool:
    """Whether words between the amount before and this one say that it is a former price, or the one of now."""
    before = max((other.end for other in found if other.end <= one.start), default=0)
    return _cues(what).search(text[before : one.start].casefold()) is not None


@lru_cache(maxsize=4)
def _cues(what: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{either(words_of('amount', what))})(?!\w)")


@lru_cache(maxsize=1)
def _units() -> re.Pattern[str]:
    return re.compile(rf"\s?(?:%|(?:{either(words_of('amount', 'measure'))})(?![^\W\d_]))", re.IGNORECASE)


@lru_cache(maxsize=1)
def _per_measure() -> re.Pattern[str]:
    measures = either(words_of("amount", "measure"))
    return re.compile(rf"\s?[^\s\d]{{0,4}}\s?(?:/|per|pro|par|por|je)\s?\d*\s?(?:{measures})(?!\w)", re.IGNORECASE)


def _readings(written: str, *, negative: bool) -> tuple[str, ...]:
    from price_parser.parser import parse_number

    if match := _ONE_SEPARATOR.fullmatch(written):
        written = re.sub("[.,]", "", match[1]) + "." + match[3]
    amount = parse_number(written)
    if amount is None:
        return ()
    found = [abs(amount)]
    if _AMBIGUOUS.fullmatch(written):
        found.append(Decimal(written.replace(",", ".")))
    return tuple(dict.fromkeys(_decimal(-one if negative else one) for one in found))


def _decimal(value: Decimal) -> str:
    """A number without needless zeros or an exponent."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


# -- currencies ----------------------------------------------------------------------------------------------------


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
    for language in _LANGUAGES:
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
