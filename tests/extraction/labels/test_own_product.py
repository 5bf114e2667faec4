"""The page's own product, and the price that is asked for it now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recollect.extraction.labels import read_schema_org
from recollect.extraction.values import equal, read_schema

SCHEMA = read_schema()


def product(name: str, price: str = "", sku: str = "", **more: Any) -> dict[str, Any]:
    offers = {"offers": {"@type": "Offer", "price": price, "priceCurrency": "EUR"}} if price else {}
    return {"@type": "Product", "name": name, **({"sku": sku} if sku else {}), **offers, **more}


def page(*scripts: Any, body: str = "<h1>Oak Chair</h1><p>89,00 €</p>", head: str = "") -> str:
    made = "".join(f'<script type="application/ld+json">{json.dumps(one)}</script>' for one in scripts)
    return f"<html><head><title>Oak Chair – Shop</title>{head}{made}</head><body>{body}</body></html>"


def labels(html: str) -> tuple[dict[str, str], dict[str | None, str]]:
    found = read_schema_org(html, SCHEMA)
    return dict(found.values), {one.attribute: one.reason for one in found.lost}


CART = product("Tin Cup", "5.00", "TC-1")
CHAIR = product("Oak Chair", "89.00", "OC-2")


@pytest.mark.parametrize(
    "html",
    [
        page(CART, CHAIR),
        page([CART, CHAIR]),
        page(CART, {**CHAIR, "name": "Shop chair 2", "url": "https://s.example/oak-chair"}, body="<h1>Welcome</h1>",
             head='<link rel=canonical href="https://www.s.example/oak-chair/">'),
        page(CART, {"@type": "WebPage", "mainEntity": {**CHAIR, "name": "OC"}}, body="<h1>Welcome</h1>"),
        page(CART, CHAIR, body="<h1>Welcome</h1>", head='<meta property="og:title" content="Oak Chair">'),
        page({"@type": "ItemList", "itemListElement": [CART]}, {**CHAIR, "isRelatedTo": CART}),
        page(CHAIR, {**CART, "name": "Chair Oil"}),
    ],
)  # fmt: skip
def test_the_page_s_own_product_is_labelled_wherever_it_stands(html: str) -> None:
    values, _ = labels(html)
    assert (values["sku"], values["price"]) == ("OC-2", "89.00")


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        (page(CART, product("Red Plate", "9.00", "RP")), "several products"),
        (page(CART), "not named like the page"),
        (page(product("Oak Table", "9", "A"), product("Oak Bench", "8", "B"), body="<h1>Oak</h1>"), "several products"),
        (page({"@type": "WebSite", "name": "Oak Chair"}), "no schema.org product"),
    ],
)
def test_without_evidence_there_is_no_label_but_a_reason(html: str, reason: str) -> None:
    values, lost = labels(html)
    assert values == {} and reason in lost[None]


def test_sources_of_one_product_are_put_together() -> None:
    microdata = """<div itemscope itemtype="https://schema.org/Product"><h1 itemprop="name">Oak Chair</h1>
    <div itemprop="offers" itemscope itemtype="https://schema.org/Offer"><span itemprop="price">89.00</span>
    <meta itemprop="priceCurrency" content="EUR"></div></div>"""
    values, lost = labels(page(product("Oak Chair", sku="OC-2"), body=microdata))
    assert (values["sku"], values["price"], values["currency"]) == ("OC-2", "89.00", "EUR") and not lost
    values, _ = labels(page(product("Chair (oak)", sku="OC-2", brand="Acme"), CHAIR))
    assert (values["brand"], values["price"]) == ("Acme", "89.00")


def offer(price: str, **more: Any) -> dict[str, Any]:
    return {"@type": "Offer", "price": price, "priceCurrency": "EUR", **more}


def spec(price: str, kind: str = "", **more: Any) -> dict[str, Any]:
    typed = {"priceType": f"https://schema.org/{kind}"} if kind else {}
    return {"@type": "UnitPriceSpecification", "price": price, "priceCurrency": "EUR", **typed, **more}


@pytest.mark.parametrize(
    "offers",
    [
        {"@type": "Offer", "priceSpecification": [spec("119.00", "ListPrice"), spec("89.00")]},
        {"@type": "Offer", "priceSpecification": [spec("119.00", "SRP"), spec("89.00", "SalePrice")]},
        {**offer("89.00"), "priceSpecification": spec("119.00", "StrikethroughPrice")},
        {**offer("119.00"), "priceSpecification": [spec("119.00", "ListPrice"), spec("89.00", "SalePrice")]},
        {"@type": "Offer", "priceSpecification": [spec("79.00", eligibleQuantity={"minValue": 10}), spec("89.00")]},
        {"@type": "Offer", "priceSpecification": [spec("79.00", validForMemberTier={"name": "gold"}), spec("89.00")]},
        {"@type": "Offer", "priceSpecification": {"@type": "CompoundPriceSpecification", "priceComponent": [
            {"@type": "DeliveryChargeSpecification", "price": "4.90"}, spec("89.00")]}},
        [offer("59.00", itemCondition="https://schema.org/UsedCondition"), offer("89.00", itemCondition="New")],
        [offer("99.00"), offer("89.00")],
        {"@type": "AggregateOffer", "lowPrice": "89.00", "highPrice": "119.00", "priceCurrency": "EUR"},
        {"@type": "AggregateOffer", "lowPrice": "79.00", "offers": [offer("79.00"), offer("89.00")]},
    ],
)  # fmt: skip
def test_the_price_that_is_asked_now(offers: Any) -> None:
    values, _ = labels(page({**product("Oak Chair"), "offers": offers}))
    assert equal(SCHEMA.attribute("price"), values["price"], "89") and values["currency"] == "EUR"


def test_only_a_list_price_is_no_price_and_is_told() -> None:
    values, lost = labels(
        page({**product("Oak Chair"), "offers": {"@type": "Offer", "priceSpecification": spec("119", "MSRP")}})
    )
    assert "price" not in values and lost["price"] == "only list prices or prices on conditions"


def test_offers_none_or_several_of_which_are_shown_give_no_price_but_a_reason() -> None:
    for body in ("<h1>Oak Chair</h1>", "<h1>Oak Chair</h1><p>69,00 €</p><p>99,00 €</p>"):
        values, lost = labels(page({**product("Oak Chair"), "offers": [offer("99.00"), offer("69.00")]}, body=body))
        assert "price" not in values and "differ" in lost["price"] and values["currency"] == "EUR"


def group(*variants: dict[str, Any]) -> dict[str, Any]:
    return {"@type": "ProductGroup", "name": "Oak Chair", "brand": "Acme", "hasVariant": list(variants)}


SMALL = product("Oak Chair S", sku="S", offers=offer("69.00", availability="OutOfStock", url="https://s.example/c?v=1"))
LARGE = product("Oak Chair L", sku="L", offers=offer("89.00", availability="InStock", url="https://s.example/c?v=2"))


def test_of_variants_the_one_that_the_page_shows() -> None:
    values, _ = labels(page(group(SMALL, LARGE), body="<h1>Oak Chair</h1><p>89,00 €</p><p>In stock</p>"))
    assert (values["title"], values["brand"]) == ("Oak Chair", "Acme")
    assert (values["price"], values["sku"], values["availability"]) == ("89.00", "L", "InStock")


def test_of_variants_the_one_at_the_page_s_address() -> None:
    head = '<link rel=canonical href="https://s.example/c?v=1">'
    values, _ = labels(page(group(SMALL, LARGE), body="<h1>Oak Chair</h1>", head=head))
    assert (values["price"], values["sku"], values["availability"]) == ("69.00", "S", "OutOfStock")


def test_variants_that_the_page_does_not_tell_apart_give_what_they_share() -> None:
    values, lost = labels(page(group(SMALL, LARGE), body="<h1>Oak Chair</h1>"))
    assert values == {"title": "Oak Chair", "brand": "Acme", "currency": "EUR"}
    assert set(lost) == {"price", "sku", "availability"}


@pytest.mark.parametrize(
    ("values", "attribute", "reason"),
    [
        ({"gtin13": "0000000000000"}, "gtin", "not a value of type gtin"),
        ({"gtin13": "4006381333932"}, "gtin", "not a value of type gtin"),
        ({"brand": "N/A"}, "brand", "a placeholder"),
        ({"brand": {"@type": "Brand", "name": "{{ shop.name }}"}}, "brand", "a placeholder"),
        ({"brand": "/brands/acme"}, "brand", "an address"),
        ({"sku": "null"}, "sku", "a placeholder"),
        ({"offers": offer("0.00")}, "price", "a price of 0 that the page does not show"),
        ({"offers": offer("on request")}, "price", "not a value of type price"),
        ({"offers": offer("89", availability="perhaps")}, "availability", "not a value of type availability"),
    ],
)  # fmt: skip
def test_values_that_are_none_are_told(values: dict[str, Any], attribute: str, reason: str) -> None:
    found, lost = labels(page({**product("Oak Chair"), **values}))
    assert attribute not in found and lost[attribute] == reason


def test_empty_values_are_passed_over_for_the_next_path_without_a_word() -> None:
    found, lost = labels(
        page({**CHAIR, "brand": {"name": ""}, "manufacturer": "Acme", "gtin13": "", "gtin": "4006381333931"})
    )
    assert (found["brand"], found["gtin"]) == ("Acme", "4006381333931") and not lost
