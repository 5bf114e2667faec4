"""Product data in JSON (schema.org's JSON-LD, or JSON in a data attribute) as short `path: value` lines.

Notable choices
- Only objects that look like a product are kept: those with a price, an offer, a brand or an identifier. Menus,
  breadcrumbs and the shop's own address are not.
- Pictures, addresses, reviews and @-keys are left out.
- The JSON comes in the simple form of `_json_ld`, by the reader that labels use too. JSON that it cannot read still
  gives its simple "key": "value" pairs of product names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from recollect.extraction.html.json_ld import clean, simple
from recollect.extraction.html.json_text import LONGEST, load_json
from recollect.extraction.html.lines import Line, names, short_value, squeeze
from recollect.extraction.html.words import DATA_NAME

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


def _products(value: Any, depth: int) -> Iterator[dict[str, Any]]:
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
                yield from _flat(
                    inner, f"{path}.{squeeze(str(key))[:60]}" if path else squeeze(str(key))[:60], depth + 1
                )
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, path, depth + 1)
    elif value is not None and not isinstance(value, bool) and path:
        yield path, str(value)
