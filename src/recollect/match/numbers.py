"""The numbers of a text with their units, as a reader takes them: thousands separators, decimal commas, scale words.

Notable choices
- A number is read whole: 3 is not in 3.14, nor 12 in 12,000, nor 4 in -4. Letters right before a digit make it part of
  a name (CO2, B12), a colon part of a clock time (12:30), and several points part of a version (1.2.3): no numbers.
- "1,234" is a thousand and "1.234" one and a bit, as in English, unless a text shows or is said to have it otherwise
  (`decimal_comma`): "1.234,5" and "1.234.567" can be read in one way only, so can "12,5" and "0,123".
- Values are exact fractions, so 0.1 + 0.2 has no part in it; 1/2, 2½, 3e8 and 3 × 10⁸ are numbers too.
- Scale words (million, Mrd, lakh, 万) multiply. Units are a short list; an unknown word after a number is no unit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import regex

from recollect.match.text import canonical, folded


@dataclass(frozen=True)
class Quantity:
    """A number of a text."""

    number: Fraction
    """As it is written, scale words included."""
    kind: str = ""
    """What its unit measures: "length", "percent", "EUR"; "" without a known unit."""
    factor: Fraction = Fraction(1)
    """How many of the kind's smallest common unit one of its unit is."""
    text: str = ""
    """Where it was read."""

    @property
    def value(self) -> Fraction:
        """The number in the kind's common unit."""
        return self.number * self.factor


_SCALES: Mapping[str, int] = {
    "hundred": 100,
    **dict.fromkeys(("thousand", "thousands", "tausend", "tsd", "тысяч", "тысячи", "тыс", "千", "천"), 10**3),
    **dict.fromkeys(("万", "萬", "만"), 10**4),
    **dict.fromkeys(("lakh", "lakhs"), 10**5),
    **dict.fromkeys(("million", "millions", "mio", "millionen", "millones", "millon", "milioni", "млн"), 10**6),
    **dict.fromkeys(("миллион", "миллиона", "миллионов", "mn"), 10**6),
    **dict.fromkeys(("crore", "crores"), 10**7),
    **dict.fromkeys(("億", "亿", "억"), 10**8),
    **dict.fromkeys(("billion", "billions", "bn", "mrd", "milliarde", "milliarden", "milliard", "milliards"), 10**9),
    **dict.fromkeys(("миллиард", "миллиарда", "миллиардов", "млрд", "miliardi"), 10**9),
    **dict.fromkeys(("trillion", "trillions", "兆"), 10**12),
}
_ATTACHED = {"k": 10**3}  # 10k, but 300 K is a temperature
_UNITS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("%", "percent", "per cent", "prozent", "pour cent", "por ciento", "процентов"), ("percent", "0.01")
    ),
    "‰": ("percent", "0.001"),
    **dict.fromkeys(("km", "kilometer", "kilometers", "kilometre", "kilometres"), ("length", "1000")),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), ("length", "1")),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), ("length", "0.01")),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), ("length", "0.001")),
    **dict.fromkeys(("nm", "nanometer", "nanometers"), ("length", "1e-9")),
    **dict.fromkeys(("mi", "mile", "miles"), ("length", "1609.344")),
    **dict.fromkeys(("ft", "foot", "feet"), ("length", "0.3048")),
    **dict.fromkeys(("inch", "inches"), ("length", "0.0254")),
    **dict.fromkeys(("yd", "yard", "yards"), ("length", "0.9144")),
    **dict.fromkeys(("t", "tonne", "tonnes"), ("mass", "1000")),
    **dict.fromkeys(("kg", "kilogram", "kilograms", "kilo", "kilos"), ("mass", "1")),
    **dict.fromkeys(("g", "gram", "grams"), ("mass", "0.001")),
    **dict.fromkeys(("mg", "milligram", "milligrams"), ("mass", "1e-6")),
    **dict.fromkeys(("lb", "lbs"), ("mass", "0.45359237")),
    **dict.fromkeys(("oz", "ounce", "ounces"), ("mass", "0.028349523125")),
    **dict.fromkeys(("s", "sec", "second", "seconds"), ("time", "1")),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), ("time", "0.001")),
    **dict.fromkeys(("min", "minute", "minutes"), ("time", "60")),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), ("time", "3600")),
    **dict.fromkeys(("day", "days"), ("time", "86400")),
    **dict.fromkeys(("week", "weeks"), ("time", "604800")),
    **dict.fromkeys(("month", "months"), ("months", "1")),
    **dict.fromkeys(("year", "years", "yr", "yrs"), ("months", "12")),
    **dict.fromkeys(("l", "liter", "liters", "litre", "litres"), ("volume", "1")),
    **dict.fromkeys(("ml", "milliliter", "milliliters", "millilitre", "millilitres"), ("volume", "0.001")),
    **dict.fromkeys(("km²", "km2", "sq km", "square kilometers", "square kilometres"), ("area", "1000000")),
    **dict.fromkeys(("m²", "m2", "sq m", "square meters", "square metres"), ("area", "1")),
    **dict.fromkeys(("ha", "hectare", "hectares"), ("area", "10000")),
    **dict.fromkeys(("hz", "hertz"), ("frequency", "1")),
    "khz": ("frequency", "1000"),
    "mhz": ("frequency", "1e6"),
    "ghz": ("frequency", "1e9"),
    **dict.fromkeys(("w", "watt", "watts"), ("power", "1")),
    "kw": ("power", "1000"),
    "mw": ("power", "1e6"),
    "gw": ("power", "1e9"),
    **dict.fromkeys(("°c", "celsius", "degrees celsius"), ("°C", "1")),
    **dict.fromkeys(("°f", "fahrenheit", "degrees fahrenheit"), ("°F", "1")),
    **dict.fromkeys(("kelvin", "kelvins"), ("K", "1")),
    **dict.fromkeys(("°", "degree", "degrees"), ("degrees", "1")),
    **dict.fromkeys(("$", "us$", "usd", "dollar", "dollars", "us dollars"), ("USD", "1")),
    **dict.fromkeys(("cent", "cents"), ("USD", "0.01")),
    **dict.fromkeys(("€", "eur", "euro", "euros"), ("EUR", "1")),
    **dict.fromkeys(("£", "gbp", "pounds sterling"), ("GBP", "1")),
    **dict.fromkeys(("¥", "jpy", "yen", "円"), ("JPY", "1")),
    **dict.fromkeys(("₹", "inr", "rupee", "rupees"), ("INR", "1")),
    **dict.fromkeys(("cny", "rmb", "yuan", "元"), ("CNY", "1")),
    **dict.fromkeys(("chf", "fr."), ("CHF", "1")),
    **dict.fromkeys(("₽", "rub", "рублей", "рубля", "рубль"), ("RUB", "1")),
}


def _alternatives(words: Mapping[str, object]) -> str:
    """The words, longest first; one that ends in a letter must end there."""
    ordered = sorted(words, key=len, reverse=True)
    joined = (
        regex.escape(word) + (r"(?![\p{Latin}\p{Cyrillic}\p{M}])" if word[-1].isalpha() else "") for word in ordered
    )
    return "|".join(joined)


_PREFIX = r"(?P<before>us\$|[$€£¥₹₽]|usd|eur|gbp|chf)?\s?"
_SIGN = r"(?P<sign>(?<![\p{L}\p{M}\p{N}\p{Pc})\-%])[-+])?"
_BODY = (
    r"(?P<whole>(?>"  # atomic: a number is read whole or not at all
    r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?(?![0-9])"  # 1,00,000
    r"|[0-9]{1,3}(?P<group>[ ,.'])[0-9]{3}(?:(?P=group)[0-9]{3})*(?![0-9])(?:[.,][0-9]+)?"
    r"|[0-9]+(?:\.[0-9]+){2,}"  # a version: read, and no number
    r"|[0-9]+(?:[.,][0-9]+)?"
    r"|\.[0-9]+))"
)
_POWER = (
    r"(?:\s?[x×*·]\s?10(?:(?:\^|\*\*)\s?\{?(?P<power>[-+]?[0-9]{1,3})\}?|(?P<raised>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}))"
    r"|e(?P<e>[-+]?[0-9]{1,3}))?"
)
_VULGAR_SIGN = r"[\p{No}--[⁰¹²³⁴-⁹₀-₉]]"
_PART = rf"(?:\s?(?P<vulgar>{_VULGAR_SIGN})|\s?/\s?(?P<under>[0-9]{{1,9}})(?![0-9/.,]))?"
_NUMBER = regex.compile(
    rf"(?<![\p{{Latin}}\p{{Cyrillic}}\p{{Greek}}\p{{M}}\p{{Pc}}]|[0-9][.,:'/]|[0-9]){_PREFIX}{_SIGN}{_BODY}(?!:[0-9]|/[0-9]+/){_POWER}{_PART}"
    rf"(?:\s?(?P<scale>{_alternatives(_SCALES)})\.?|(?P<attached>k)(?![\p{{L}}]))?(?:[\s-]?(?P<unit>{_alternatives(_UNITS)})(?!\s?/\s?\p{{L}}))?",
    regex.IGNORECASE | regex.V1,
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_VULGAR = regex.compile(rf"(?<![\p{{L}}\p{{N}}]){_VULGAR_SIGN}", regex.V1)
_LONGEST = 300  # digits, and the largest exponent


def quantities(text: str, *, decimal_comma: bool = False) -> list[Quantity]:
    """The numbers of a text, in its order."""
    said = canonical(text)
    found: list[tuple[int, Quantity]] = []
    for match in _NUMBER.finditer(said):
        number = _number(match, decimal_comma)
        if number is not None:
            unit = match["before"] or match["unit"] or ""
            kind, factor = _UNITS.get(folded(unit), ("", "1"))
            found.append((match.start(), Quantity(number, kind, Fraction(factor), match[0].strip())))
    taken = [match.span() for match in _NUMBER.finditer(said)]
    for match in _VULGAR.finditer(said):
        inside = any(start <= match.start() < end for start, end in taken)
        if not inside and (part := _vulgar(match[0])) is not None:
            found.append((match.start(), Quantity(part, text=match[0])))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _number(match: regex.Match[str], decimal_comma: bool) -> Fraction | None:
    whole = match["whole"]
    if whole.count(".") >= 2 and not regex.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?", whole):
        return None
    digits = _plain(whole, match["group"], decimal_comma)
    if len(digits) > _LONGEST:
        return None
    found = Fraction(digits)
    if match["vulgar"]:
        part = _vulgar(match["vulgar"])
        if part is None:
            return None
        found += part
    if match["under"]:
        if int(match["under"]) == 0:
            return None
        found /= int(match["under"])
    power = int(match["power"] or match["e"] or (match["raised"] or "").translate(_RAISED) or 0)
    if abs(power) > _LONGEST:
        return None
    found *= Fraction(10) ** power
    found *= _SCALES.get(folded(match["scale"] or ""), 1) * _ATTACHED.get((match["attached"] or "").lower(), 1)
    return -found if match["sign"] == "-" else found


def _plain(whole: str, group: str | None, decimal_comma: bool) -> str:
    """The digits with a point for the decimals."""
    if whole.startswith("."):
        return "0" + whole
    if group in (" ", "'"):
        head, comma, decimals = whole.replace(group, "").replace(",", ".").partition(".")
        return f"{head}.{decimals}" if comma else head
    signs = [sign for sign in whole if sign in ".,"]
    if not signs:
        return whole
    decimal = signs[-1]
    single = len(signs) == 1
    if single and group == signs[0] and not whole.startswith("0"):  # 1,234 or 1.234
        grouping = "." if decimal_comma else ","
        return whole.replace(grouping, "") if signs[0] == grouping else whole.replace(signs[0], ".")
    if not single and len(set(signs)) == 1:  # 1,234,567
        return whole.replace(decimal, "")
    other = "," if decimal == "." else "."
    return whole.replace(other, "").replace(decimal, ".")


def _vulgar(character: str) -> Fraction | None:
    """A sign such as ½ as a number; None for a circled or other sign."""
    if not unicodedata.decomposition(character).startswith("<fraction>"):
        return None
    over, _, under = unicodedata.normalize("NFKC", character).partition("\u2044")
    return Fraction(int(over), int(under)) if over and under else None
