"""What is asked for a product now: its offers, each with one price, and which of them the page means.

Notable choices
- List prices, recommended, struck-out and minimum advertised prices, prices for members or from a quantity on, and
  delivery charges are not what is asked, by `priceType`, `validForMemberTier`, `eligibleQuantity` and the type.
- A price called SalePrice goes before the offer's own, which goes before specifications without a type.
- Dates decide nothing: a page does not say when it was read. Of several prices the page's visible text decides, then
  the condition (new before used).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from recollect.extraction.html import Item
from recollect.extraction.labels.own_product import OwnProduct, Variant
from recollect.extraction.values import Attribute, readings

_PRICE_TYPES = (
    "listprice srp msrp suggestedretailprice strikethroughprice minimumadvertisedprice map regularprice invoiceprice"
)
_NOT_ASKED = frozenset(_PRICE_TYPES.split())
_CHARGES = frozenset(("deliverychargespecification", "paymentchargespecification"))
_DEEPEST = 4
_PRICE = Attribute(name="price", type="price")


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
    """The offers of a product; `shown` says whether a price stands in the page's visible text."""
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
