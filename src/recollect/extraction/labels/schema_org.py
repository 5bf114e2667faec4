"""Labels from a page's own schema.org data (JSON-LD, microdata, RDFa Lite), read as for prompts.

Notable choices
- Which product is the page's own is decided in `own_product`.
- An attribute takes its values from the property paths in `_PATHS`, or from the property of its own name.
- Where variants, offers or languages differ, a value is taken that the page's visible text shows; if none or several
  are shown, none is taken.
- List prices, recommended, struck-out and minimum advertised prices, prices for members or from a quantity on, and
  delivery charges are not what is asked now, by `priceType`, `validForMemberTier`, `eligibleQuantity` and the type. A
  price called SalePrice goes before the offer's own, which goes before specifications without a type.
- Dates decide nothing: a page does not say when it was read. Of several prices the page's visible text decides, then
  the condition (new before used).
- Every value that is lost has a reason. A wrong label is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recollect.extraction.html import Item, Limits, PageData, read_page_data
from recollect.extraction.html.json_ld import names
from recollect.extraction.labels.labels import Lost
from recollect.extraction.labels.own_product import NoProduct, OwnProduct, Variant, own_product
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
_NOT_ASKED = names(
    "listprice srp msrp suggestedretailprice strikethroughprice minimumadvertisedprice map regularprice invoiceprice"
)
_CHARGES = names("deliverychargespecification paymentchargespecification")
_DEEPEST = 4


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


# -- what is asked -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One offer of one variant, with at most one price."""

    variant: Variant
    offer: Item | None
    price: str = ""
    currency: str = ""

    def texts(self, name: str) -> tuple[str, ...]:
        """The offer's values of a property."""
        return self.offer.texts(name) if self.offer else ()

    def addresses(self) -> tuple[str, ...]:
        """Where the offer and its variant are said to be."""
        return (*self.texts("url"), *self.variant.entries[0].texts("url"))

    def is_used(self) -> bool:
        """Whether the condition is any but new."""
        said = " ".join(self.texts("itemCondition")).casefold()
        return any(word in said for word in ("used", "refurb", "damaged"))


@dataclass(frozen=True)
class Offers:
    """The offers that the page may mean: after every rule, mostly one."""

    asked: tuple[Asked, ...]
    passed_over: str = ""
    """Why there is no price, where the offers name one that is not asked."""
    unread: str = ""
    """A price that cannot be read, where there is no other."""


def offers_of(product: OwnProduct, address: str, shown: Callable[[str], bool]) -> Offers:
    """The offers of a product; `shown` says whether a price occurs in the page's visible text."""
    found: list[Asked] = []
    only_others, unread = False, ""
    for variant in product.variants:
        offers = [offer for entry in variant.entries for offer in _flat(entry.items("offers"), 0)]
        for offer in offers:
            asked, others = _prices(offer)
            only_others = only_others or (others and not asked)
            unread = unread or next((text for text in offer.texts("price") if not readings(_PRICE, text)), "")
            found += [Asked(variant, offer, price, currency) for price, currency in asked] or [Asked(variant, offer)]
        if not offers:
            own = [(text, "") for text in variant.texts("price") if readings(_PRICE, text)][:1]
            currency = next(variant.texts("priceCurrency"), "")
            found += [Asked(variant, None, price, currency) for price, _ in own] or [Asked(variant, None)]
    rules: tuple[Callable[[Asked], bool], ...] = (
        lambda one: bool(one.price),
        lambda one: any(_exact(text, address) for text in one.addresses()),
        lambda one: bool(one.price) and shown(one.price),
        lambda one: not one.is_used(),
    )
    for rule in rules:
        found = [one for one in found if rule(one)] or found
    return Offers(tuple(found), "only list prices or prices on conditions" if only_others else "", unread)


def _exact(address: str, own: str) -> bool:
    """Whether an address is the page's own with its query: that is how shops tell variants apart."""
    return bool(own) and address.split("#")[0].rstrip("/") == own.split("#")[0].rstrip("/")


def _flat(offers: Sequence[Item], depth: int) -> Iterator[Item]:
    """Offers with those inside an AggregateOffer, which stands for them only where none of them has a price."""
    for offer in offers:
        inner = list(_flat(offer.items("offers"), depth + 1)) if depth < _DEEPEST else []
        if any(_prices(one)[0] for one in inner):
            yield from inner
        else:
            yield offer


def _prices(offer: Item) -> tuple[list[tuple[str, str]], bool]:
    """(price, currency) of what an offer asks, and whether it names prices that are not asked."""
    specs = list(_specifications(offer.items("priceSpecification"), 0))
    asked = [spec for spec in specs if _is_asked(spec)]
    own = [offer] if _is_asked(offer) else []
    on_sale = [spec for spec in asked if _kinds(spec) & {"saleprice"}]
    whole = [spec for spec in asked if not spec.values("referenceQuantity")]
    for group in (on_sale, own, whole, asked):
        if found := [pair for one in group for pair in _pairs(one, offer, "price")]:
            return list(dict.fromkeys(found)), False
    if found := _pairs(offer, offer, "lowPrice"):
        return found, False
    named = any(_pairs(one, offer, "price") for one in (offer, *specs))
    return [], named


def _specifications(specs: Sequence[Item], depth: int) -> Iterator[Item]:
    for spec in specs:
        if spec.types & _CHARGES:
            continue
        yield spec
        if depth < _DEEPEST:
            yield from _specifications(spec.items("priceComponent"), depth + 1)


def _is_asked(spec: Item) -> bool:
    if _kinds(spec) & _NOT_ASKED or spec.values("validForMemberTier"):
        return False
    quantities = spec.items("eligibleQuantity")
    least = (text for one in quantities for text in (*one.texts("minValue"), *one.texts("value")))
    return not any(_above_one(text) for text in least)


def _kinds(spec: Item) -> frozenset[str]:
    said = (*spec.texts("priceType"), *(one.identity for one in spec.items("priceType")))
    return frozenset(text.rstrip("/").rsplit("/")[-1].rsplit("#")[-1].rsplit(":")[-1].casefold() for text in said)


def _pairs(spec: Item, offer: Item, name: str) -> list[tuple[str, str]]:
    currency = next(iter((*spec.texts("priceCurrency"), *offer.texts("priceCurrency"))), "")
    return [(text, currency) for text in spec.texts(name) if readings(_PRICE, text)][:1]


def _above_one(text: str) -> bool:
    try:
        return float(text) > 1
    except ValueError:
        return False
