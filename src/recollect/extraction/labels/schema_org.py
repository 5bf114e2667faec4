"""Labels from a page's own schema.org data (JSON-LD, microdata, RDFa Lite), read as for prompts.

Notable choices
- Which product is the page's own is decided in `_own_product`, which price is asked in `_offers`.
- An attribute takes its values from the property paths in `_PATHS`, or from the property of its own name.
- Where variants, offers or languages differ, a value is taken that the page's visible text shows; if none or several
  are shown, none is taken.
- Every value that is lost has a reason. A wrong label is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recollect.extraction.html import Limits, PageData, read_page_data
from recollect.extraction.labels.labels import Lost
from recollect.extraction.labels.offers import Asked, Offers, offers_of
from recollect.extraction.labels.own_product import NoProduct, OwnProduct, own_product
from recollect.extraction.values import Attribute, Schema, is_placeholder, occurs, readings

_SECONDS = 10.0  # of processor time for one page; the slowest of 108 real ones takes 0.6
_PATHS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "title": (("name",),),
    "brand": (("brand", "name"), ("brand",), ("manufacturer", "name"), ("manufacturer",)),
    "sku": (("sku",), ("offers", "sku"), ("productID",), ("offers", "itemOffered", "sku")),
    "gtin": (
        *((name,) for name in ("gtin13", "gtin14", "gtin12", "gtin8", "gtin", "isbn")),
        *(("offers", "gtin13"), ("offers", "gtin")),
    ),
    "rating": (("aggregateRating", "ratingValue"),),
}
_OF_THE_OFFER = ("price", "currency", "availability")
_PRICE = Attribute(name="price", type="price")
_ADDRESS = re.compile(r"(?:https?:)?//\S+|/[\w\-./]+", re.IGNORECASE)


@dataclass(frozen=True)
class SchemaOrg:
    """What a page's own data says: a value by attribute, and what was lost."""

    values: Mapping[str, str]
    lost: tuple[Lost, ...] = ()


def schema_org_values(html: str, schema: Schema) -> dict[str, str]:
    """The product's values by attribute, as the page's schema.org data gives them; {} without a product.

    Raises InputError for a page that is empty, no text, or too slow to read.
    """
    return dict(read_schema_org(html, schema).values)


def read_schema_org(html: str, schema: Schema) -> SchemaOrg:
    """The values of `schema_org_values`, and a reason for each one that was lost. Raises InputError as that does."""
    data = read_page_data(html, Limits(bytes=max(len(html), 1), seconds=_SECONDS))
    try:
        product = own_product(data)
    except NoProduct as error:
        return SchemaOrg({}, (Lost(str(error)),))
    offers = offers_of(product, data.address, lambda price: occurs(_PRICE, price, data.shown))
    values: dict[str, str] = {}
    lost = [Lost(reason) for reason in data.lost]
    for attribute in schema:
        found = _chosen(attribute, _candidates(attribute, product, offers), data)
        if isinstance(found, Lost):
            lost.append(found)
        elif found is not None:
            values[attribute.name] = found
        elif attribute.name == "price" and offers.passed_over:
            lost.append(Lost(offers.passed_over, "price"))
        elif attribute.name == "price" and offers.unread:
            lost.append(Lost(_unusable(attribute, offers.unread, data), "price", offers.unread))
    return SchemaOrg(values, tuple(lost))


def _candidates(attribute: Attribute, product: OwnProduct, offers: Offers) -> list[list[str]]:
    """For each variant or offer that the page may mean, every text that may be the attribute's value, best first."""
    if attribute.name in _OF_THE_OFFER:
        return [_of_offer(attribute.name, one) for one in offers.asked]
    paths = (*_PATHS.get(attribute.name, ()), (attribute.name.casefold(),))
    shared = [text for path in paths for text in product.shared.texts(*path)]
    if attribute.name == "title" and shared:
        return [[text] for text in dict.fromkeys(shared)] if len(product.variants) == 1 else [shared]
    variants = list({id(one.variant): one.variant for one in offers.asked}.values())
    found = [[text for path in paths for text in variant.texts(*path)] for variant in variants]
    if attribute.name == "gtin":  # a productID may be one
        ids = [[text for text in variant.texts("productID") if readings(attribute, text)] for variant in variants]
        found = [texts + more for texts, more in zip(found, ids, strict=True)]
    return found


def _of_offer(name: str, one: Asked) -> list[str]:
    if name == "price":
        return [one.price] if one.price else []
    if name == "currency":
        own = next(one.variant.texts("priceCurrency"), "")
        return [text for text in (one.currency, *one.texts("priceCurrency"), own, one.price) if text]
    return [*one.texts("availability"), *one.variant.texts("availability")]


def _chosen(attribute: Attribute, candidates: Sequence[Sequence[str]], data: PageData) -> str | Lost | None:
    """The one value that all agree on or that alone is shown; None where nothing is given."""
    found: dict[tuple[Any, ...], str] = {}
    for texts in candidates:
        usable = next((text for text in texts if not _unusable(attribute, text, data)), None)
        if usable is not None:
            found.setdefault(readings(attribute, usable), usable)
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        return _shown(attribute, list(found.values()), data)
    bad = next((text for texts in candidates for text in texts if text.strip()), None)
    if bad is None or (attribute.name == "currency" and readings(_PRICE, bad)):  # a bare price names no currency
        return None
    return Lost(_unusable(attribute, bad, data), attribute.name, bad)


def _shown(attribute: Attribute, values: Sequence[str], data: PageData) -> str | Lost:
    """The only one of several values that the page shows; of names, the one that the page calls itself by."""
    if attribute.name == "title":
        named = [
            value for name in data.names for value in values if readings(attribute, value) == readings(attribute, name)
        ]
        if named:
            return named[0]
    there = [value for value in values if occurs(attribute, value, data.shown)]
    if len(there) == 1:
        return there[0]
    told = ", ".join(f"{value:.40}" for value in values[:3]) + (", …" if len(values) > 3 else "")
    how = "none" if not there else "more than one"
    return Lost(f"variants, offers or sources differ, and the page shows {how} of their values", attribute.name, told)


def _unusable(attribute: Attribute, text: str, data: PageData) -> str:
    """Why a text is no label; empty for one that is."""
    if is_placeholder(text):
        return "a placeholder"
    if "\ufffd" in text:
        return "characters that cannot be read"
    if attribute.compares_as == "text" and _ADDRESS.fullmatch(text.strip()):
        return "an address"
    found = readings(attribute, text)
    if not found:
        return f"not a value of type {attribute.type}"
    if attribute.compares_as == "price" and found[0] == "0" and not occurs(attribute, text, data.shown):
        return "a price of 0 that the page does not show"
    return ""
