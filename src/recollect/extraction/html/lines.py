"""A line of a page, the words by which product data is known, and product data in JSON as short `path: value` lines.

Notable choices
- The words are ours, found by reading shops' pages in several languages, and none is taken from a published list. Each
  is a plain pattern without nested repeats, so that no text makes it slow.
- Of JSON (schema.org's, or that in a data attribute) only objects that look like a product are kept: those with a
  price, an offer, a brand or an identifier. Menus, breadcrumbs and the shop's own address are not. Pictures, addresses,
  reviews and @-keys are left out.
- JSON that cannot be read still gives its simple "key": "value" pairs of product names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from recollect.core.json_object import JsonObject
from recollect.extraction.html.json_ld import LONGEST, clean, load_json, names, simple

Kind = Literal["title", "heading", "text", "meta", "json", "item", "data", "alt"]
_BLANK = re.compile(r"\s+")
_MOST = 400  # lines of one script
_DEEPEST = 12
_VALUE = 2_000  # characters of one value
_PRODUCT_KEYS = names(
    "offers price lowprice highprice pricecurrency sku mpn gtin gtin8 gtin12 gtin13 gtin14 productid brand "
    "aggregaterating availability hasvariant"
)
_LEFT_OUT = re.compile(
    r"^(?:@.*|url|images?|logo|thumbnail.*|review|reviews|potentialaction|mainentityofpage|breadcrumb.*|sameas|"
    r"isrelatedto|issimilarto|isaccessoryorsparepartfor|hasmerchantreturnpolicy|shippingdetails|seller|author|"
    r"publisher|address|contactpoint|openinghours.*|video|bestrating|worstrating)$",
    re.IGNORECASE,
)
_SIMPLE = re.compile(r"\"([A-Za-z]{3,30})\"\s{0,5}:\s{0,5}\"?([^\"{}\[\],]{1,200})")

# names of attributes, meta elements, hidden inputs and JSON keys that carry product data
DATA_NAME = re.compile(
    r"price|amount|currency|brand|manufacturer|maker|sku|mpn|gtin|ean(?![a-z])|upc|isbn|asin|avail|stock|rating|"
    r"product.?(?:id|name|code|number|title)|item.?(?:id|name|code|number|title|no)|article.?(?:id|no|number)|"
    r"part.?number|model|condition|variant.?id",
    re.IGNORECASE,
)
# meta elements kept besides those
META_NAME = re.compile(r"^(?:description|(?:og|twitter|dc|product):(?:title|description)|title|name|keywords)$", re.I)
META_NEVER = re.compile(
    r"^(?:viewport|theme-color|robots|generator|format-detection|msapplication|apple|google|fb:)", re.I
)

# class and id names of the region that describes the product, and of regions that do not
GOOD_REGION = re.compile(
    r"price|brand|sku|buy|cart|basket|stock|avail|product.?(?:info|detail|main|title|name|summary|essential|header|view|"
    r"page|spec|attr|overview|meta|data)|pdp|spec(?:s|ific)|attribut|detail|offer|purchase|buybox|add.?to|manufacturer|"
    r"model|feature|identifier|article",
    re.IGNORECASE,
)
BAD_REGION = re.compile(
    r"related|recommend|similar|upsell|cross.?sell|also.?(?:bought|viewed|like)|recently|carousel|slider|footer|"
    r"mega.?menu|navbar|\bnav\b|navigation|main.?menu|menu|sidebar|breadcrumb|cookie|consent|newsletter|subscribe|"
    r"modal|popup|overlay|social|share|review|comment|question|faq|login|sign.?in|register|wishlist|minicart|mini.?cart|"
    r"banner|advert|sponsor|blog|store.?locator|country|language|accordion.?nav|payment|shipping|delivery|search",
    re.IGNORECASE,
)
BAD_TAGS = frozenset({"nav", "footer", "aside"})

# visible text
LABEL = re.compile(
    r"\b(?:sku|mpn|gtin|ean|upc|isbn|asin|plu|brand|manufacturer|marque|fabricant|marke|hersteller|marca|fabricante|"
    r"produttore|merk|fabrikant|značka|výrobce|výrobca|producent|producător|gyártó|märke|mærke|merke|zīmols|ražotājs|"
    r"proizvajalec|proizvođač|бренд|производитель|marka|üretici|model(?:l|lo|e|ul|o|is)?|modèle|модель|"
    r"(?:item|article|product|part|catalog(?:ue)?|style|model|mfr|mfg|manufacturer)[ .]*"
    r"(?:no|nr|num|number|code|id|part|#)|"
    r"artikelnummer|artikel-?(?:nr|id)|art\.? ?-?(?:nr|no)|bestell-?n(?:r|ummer)|r[ée]f(?:[ée]rence|erencia)?|"
    r"c[óo]d(?:igo|ice|ul|\.)|kód|код|артикул|cikkszám|numer|indeks|šifra|produktnummer|varenummer|tuotenumero|"
    r"varenr|kat\. ?č|stock code|reference)\b",
    re.IGNORECASE,
)
_CURRENCY = (
    r"(?:[$€£¥₹₽₺₴₸₩฿₫₪]|R\$|US\$|\b(?:EUR|USD|GBP|CHF|PLN|CZK|SEK|NOK|DKK|HUF|RON|BGN|TRY|RUB|UAH|KZT|INR|JPY|CNY|AUD|"
    r"CAD|NZD|BRL|MXN|ZAR|AED|SAR|SGD|HKD|zł|kč|kr|lei|ft|руб|грн|тг|лв|din|kn|Rs|TL)\b\.?)"
)
PRICE = re.compile(rf"{_CURRENCY}\s?\d|\d\s?(?:,-)?\s?{_CURRENCY}|\d,-", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a prompt; `text` has no line break."""

    text: str
    kind: Kind
    region: float = 0.0
    """How product-like the elements around it are by their names; negative for menus, related products, footers."""
    linked: float = 0.0
    """Share of the text that is inside links, 0..1."""
    rank: int = 0
    """Place among the lines of one JSON object; later variants count less."""


def squeeze(text: str) -> str:
    """The text on one line, every run of white space one blank."""
    return _BLANK.sub(" ", text.replace("\u200b", "").replace("\xad", "")).strip()


def pair(label: str, value: str) -> str:
    """`label: value`; a colon the label brings is not doubled."""
    bare = label.rstrip(" :\uff1a")
    return f"{bare}: {value}" if bare else value


def short_value(value: str) -> str:
    """A schema.org address as its last word: https://schema.org/InStock is InStock."""
    value = squeeze(value)
    for prefix in ("https://schema.org/", "http://schema.org/", "//schema.org/", "schema.org/"):
        if value.lower().startswith(prefix):
            return value[len(prefix) :]
    return value


# -- products in JSON ----------------------------------------------------------------------------------------------


def json_lines(text: str, kind_region: float = 0.0) -> list[Line]:
    """The lines of the products in a JSON text; none when it holds no product."""
    try:
        value = simple(load_json(text))
    except ValueError:
        return broken_lines(text, kind_region)
    return product_lines(value, kind_region)


def product_lines(value: Any, kind_region: float = 0.0) -> list[Line]:
    """The lines of the products in JSON of the simple form."""
    found: list[tuple[str, str]] = []
    for product in _products(value, 0):
        found += list(_flat(product, "", 0))
        if len(found) > _MOST:
            break
    return _lines(found, kind_region)


def broken_lines(text: str, kind_region: float = 0.0) -> list[Line]:
    """The simple pairs of a text that is no JSON."""
    if len(text) > LONGEST:
        return []
    pairs = [(key, clean(value)) for key, value in _SIMPLE.findall(text) if DATA_NAME.search(key) or key == "name"]
    return _lines(pairs, kind_region)


def _lines(found: Iterable[tuple[str, str]], kind_region: float) -> list[Line]:
    lines: list[Line] = []
    seen = set()
    for key, value in found:
        shown = short_value(value)[:_VALUE]
        if shown and (key, shown) not in seen and len(lines) < _MOST:
            seen.add((key, shown))
            lines.append(Line(f"{key}: {shown}", "json", kind_region, rank=len(lines)))
    return lines


def _products(value: Any, depth: int) -> Iterator[JsonObject]:
    """The outermost product-like objects."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        if any(str(key).lower() in _PRODUCT_KEYS for key in value):
            yield value
            return
        for key, inner in value.items():
            if not _LEFT_OUT.match(str(key)) or str(key) == "@graph":
                yield from _products(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _products(inner, depth + 1)


def _flat(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if not _LEFT_OUT.match(str(key)):
                name = squeeze(str(key))[:60]
                yield from _flat(inner, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, path, depth + 1)
    elif value is not None and not isinstance(value, bool) and path:
        yield path, str(value)
