"""Labels from a page's own schema.org data (JSON-LD and microdata), read by extruct.

Notable choices
- The product of a page is the first one with an offer; JSON-LD goes before microdata. Products that stand inside
  another one (related, similar, accessories) are not looked at, nor are lists of products.
- A script that is broken costs only itself. No context is fetched: extruct reads JSON-LD as plain JSON.
- An attribute takes its values from the property paths in `_PATHS`, or from the property of its own name.
- The page is parsed as for prompts, so that a hostile one ends there in the same way; extruct gets the tree. It works
  against the clock, and gets no script and no text longer than any product has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recollect.attributes import Schema, readings
from recollect.errors import InputError
from recollect.pages import Limits
from recollect.pages._parse import check_time, parse

if TYPE_CHECKING:
    from lxml.etree import _Element

_SECONDS = 10.0  # of processor time for one page; the slowest of 108 real ones takes 0.6
_LONGEST_SCRIPT = 1_000_000  # characters
_LONGEST_TEXT = 50_000  # characters of a property's text
_MOST_PROPERTIES = 20_000  # of a page; comparing more takes extruct seconds in one step
_PATHS: Mapping[str, tuple[str, ...]] = {
    "title": ("name",),
    "brand": ("brand.name", "brand", "manufacturer.name", "manufacturer"),
    "price": ("offers.price", "offers.lowPrice", "offers.priceSpecification.price"),
    "currency": ("offers.priceCurrency", "offers.priceSpecification.priceCurrency"),
    "sku": ("sku", "offers.sku", "productID", "offers.itemOffered.sku"),
    "gtin": ("gtin13", "gtin14", "gtin12", "gtin8", "gtin", "isbn", "offers.gtin13", "offers.gtin", "productID"),
    "availability": ("offers.availability",),
    "rating": ("aggregateRating.ratingValue",),
}
_PRODUCTS = {"product", "productgroup", "productmodel", "individualproduct", "someproducts", "vehicle", "car", "book"}
_HOLDERS = ("@graph", "mainEntity", "mainEntityOfPage")
_DEEPEST = 20


def schema_org_values(html: str, schema: Schema) -> dict[str, str]:
    """The product's values by attribute, as the page's schema.org data gives them; {} without a product.

    A value that its attribute's normaliser cannot read is passed over for the next path. Raises InputError for a page
    that is empty, no text, or too slow to read.
    """
    products = list(_products(html))
    if not products:
        return {}
    product = next((found for found in products if found.get("offers")), products[0])
    values = {}
    for attribute in schema:
        paths = (*_PATHS.get(attribute.name, ()), attribute.name)
        texts = (text for path in paths for text in _texts(product, path.split("."), 0))
        found = next((text for text in texts if readings(attribute, text)), None)
        if found is not None:
            values[attribute.name] = found
    return values


def _products(html: str) -> Iterator[dict[str, Any]]:
    from extruct.jsonld import JsonLdExtractor

    tree = parse(html, Limits(bytes=len(html), seconds=_SECONDS))
    if tree.root is None:
        return
    logging.getLogger("extruct").setLevel(logging.CRITICAL)
    for script in tree.root.iter("script"):
        if script.get("type") != "application/ld+json" or len(script.text or "") > _LONGEST_SCRIPT:
            continue
        check_time(tree.deadline)
        try:
            found = JsonLdExtractor().extract_items(script)
        except (ValueError, RecursionError):
            continue
        for item in found:
            yield from _inside(item, 0)
    if sum(1 for _ in tree.root.iterfind(".//*[@itemprop]")) > _MOST_PROPERTIES:
        return
    try:
        items = _microdata()(tree.deadline).extract_items(tree.root, base_url=None)
    except RecursionError:
        return
    for item in items:
        yield from _inside(_flat(item, 0), 0)


@lru_cache(maxsize=1)
def _microdata() -> type[Any]:
    """extruct's reader of microdata that looks at the clock before every item and text."""
    from extruct.w3cmicrodata import MicrodataExtractor

    class Reader(MicrodataExtractor):  # type: ignore[misc]
        def __init__(self, deadline: float) -> None:
            super().__init__(nested=True)
            self._deadline = deadline

        def _extract_item(self, node: _Element, **rest: Any) -> Any:
            check_time(self._deadline)
            return super()._extract_item(node, **rest)

        def _extract_property_value(self, node: _Element, **rest: Any) -> Any:
            try:
                return super()._extract_property_value(node, **rest)
            except InputError:
                raise
            except ValueError:  # an address that is none
                return ""

        def _extract_textContent(self, node: _Element) -> str:
            check_time(self._deadline)
            size = 0
            for text in node.itertext():
                size += len(text)
                if size > _LONGEST_TEXT:
                    return ""
            return str(super()._extract_textContent(node))

    return Reader


def _flat(item: Any, depth: int) -> Any:
    """A microdata item in the shape of JSON-LD."""
    if isinstance(item, list):
        return [_flat(one, depth + 1) for one in item] if depth < _DEEPEST else None
    if not isinstance(item, dict) or "properties" not in item or depth >= _DEEPEST:
        return item
    return {"@type": item.get("type"), **{name: _flat(value, depth + 1) for name, value in item["properties"].items()}}


def _inside(item: Any, depth: int) -> Iterator[dict[str, Any]]:
    if not isinstance(item, dict) or depth >= _DEEPEST:
        return
    if _is_product(item):
        yield from _variants(item)
        return
    for holder in _HOLDERS:
        for inner in _several(item.get(holder)):
            yield from _inside(inner, depth + 1)


def _variants(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The product; a group of variants without an own offer takes that of its first variant."""
    variant = next((one for one in _several(item.get("hasVariant")) if isinstance(one, dict)), None)
    yield item if item.get("offers") or variant is None else {**variant, **item, "offers": variant.get("offers")}


def _is_product(item: Mapping[str, Any]) -> bool:
    types = (str(kind).rstrip("/").rsplit("/", 1)[-1].rsplit("#", 1)[-1] for kind in _several(item.get("@type")))
    return any(kind.casefold() in _PRODUCTS for kind in types)


def _texts(value: Any, path: list[str], depth: int) -> Iterator[str]:
    """The plain values at a path; a list at any place means each of its members."""
    if depth >= _DEEPEST:
        return
    if isinstance(value, list):
        for one in value:
            yield from _texts(one, path, depth + 1)
    elif path:
        if isinstance(value, dict):
            inner = value.get(path[0])
            yield from _texts(inner, path[1:], depth + 1)
            if path[0] == "offers":  # AggregateOffer holds its offers once more
                for offer in _several(inner):
                    if isinstance(offer, dict) and "offers" in offer:
                        yield from _texts(offer["offers"], path[1:], depth + 1)
    elif isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
        yield str(value).strip()


def _several(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else () if value is None else (value,)
