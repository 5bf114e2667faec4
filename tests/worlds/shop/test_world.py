"""The shop world: addressed, disjoint by shop, true to its pages, and the same in HTML and in the prompt's lines."""

import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.extraction.html import page_prompt
from recollect.extraction.values import equal, normalise, occurs, read_schema
from recollect.facts import load_facts
from recollect.worlds.quiz import make_world
from recollect.worlds.shop import ATTRIBUTES, make_product, make_shop, page_html, page_text, shop_facts, shop_pages
from recollect.worlds.shop.world import gtin13, written_amount, written_price

SCHEMA = read_schema("product")
PAGES = st.tuples(st.integers(0, 2**31), st.integers(0, 2**31), st.integers(0, 2**31))


@settings(max_examples=300, deadline=None)
@given(PAGES)
def test_the_lines_are_what_the_prompt_builder_makes_of_the_html(place: tuple[int, int, int]) -> None:
    seed, number, product_number = place
    shop = make_shop(seed, number)
    product = make_product(seed, shop, product_number)
    assert page_prompt(page_html(shop, product)).text == page_text(shop, product)


@settings(max_examples=200, deadline=None)
@given(PAGES)
def test_every_true_value_stands_on_the_page_and_is_readable(place: tuple[int, int, int]) -> None:
    seed, number, product_number = place
    shop = make_shop(seed, number)
    product = make_product(seed, shop, product_number)
    text = page_text(shop, product)
    truth = product.truth()
    assert tuple(truth) == ATTRIBUTES == SCHEMA.names
    for name, value in truth.items():
        if value is None:
            continue
        assert normalise(SCHEMA.attribute(name), value) is not None
        assert occurs(SCHEMA.attribute(name), value, text)
        if name not in ("currency", "availability"):
            assert value in text
    assert equal(SCHEMA.attribute("price"), product.price, product.amount)
    if product.gtin is None:
        assert not any(label in text for label in ("GTIN", "EAN", "arcode", "Bar code"))


def test_a_page_depends_on_its_address_alone() -> None:
    shop = make_shop(0, 3)
    page = page_html(shop, make_product(0, shop, 5))
    for other in range(20):
        make_product(0, make_shop(0, other), other)
    assert page_html(make_shop(0, 3), make_product(0, make_shop(0, 3), 5)) == page
    assert page_html(make_shop(1, 3), make_product(1, make_shop(1, 3), 5)) != page
    assert page_html(shop, make_product(0, shop, 6)) != page


def test_the_html_is_a_whole_page_with_script_and_style() -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("meta",):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    for shop, product, _ in shop_pages(0)[::97]:
        page = page_html(shop, product)
        reader = Tags()
        reader.feed(page)
        assert reader.open == []
        assert page.startswith("<!DOCTYPE html>") and "<script>" in page and "<style>" in page


def test_new_shops_are_met_at_test_time_only_and_no_page_twice() -> None:
    facts = load_facts("pocket-shop")
    assert facts.counts() == {"train": 1200, "test": 240, "ood": 240}
    shops = {part: {fact.relation for fact in facts if fact.part == part} for part in ("train", "test", "ood")}
    assert shops["train"] == shops["test"] and len(shops["train"]) == 40
    assert len(shops["ood"]) == 20 and not shops["ood"] & shops["train"]
    assert len({fact.subject for fact in facts}) == len(facts)
    questions = {part: {fact.question for fact in facts if fact.part == part} for part in shops}
    assert not questions["train"] & (questions["test"] | questions["ood"])


def test_an_answer_is_the_truth_of_its_page_as_compact_json() -> None:
    facts = list(shop_facts(0))
    for fact, (_, product, part) in zip(facts, shop_pages(0), strict=True):
        said = json.loads(fact.object)
        assert said == {name: value for name, value in product.truth().items() if value is not None}
        assert [name for name in ATTRIBUTES if name in said] == list(said)
        assert fact.part == part and ": " not in fact.object.replace(said["title"], "")
    assert shop_facts(0).fingerprint() == shop_facts(0).fingerprint() != shop_facts(1).fingerprint()


def test_the_shipped_facts_are_what_the_worlds_of_seed_0_make() -> None:
    assert load_facts("pocket-shop") == shop_facts(0)
    assert load_facts("pocket") == make_world(0).facts()


def test_shares_of_the_rare_attributes() -> None:
    truths = [product.truth() for _, product, _ in shop_pages(0)]
    for name, low, high in (("gtin", 0.45, 0.55), ("rating", 0.2, 0.3), ("brand", 1, 1), ("price", 1, 1)):
        assert low <= sum(truth[name] is not None for truth in truths) / len(truths) <= high
    in_stock = sum(truth["availability"] == "InStock" for truth in truths) / len(truths)
    assert 0.65 <= in_stock <= 0.75


def test_shops_differ() -> None:
    shops = [make_shop(0, number) for number in range(60)]
    assert len({shop.host for shop in shops}) == 60
    assert len({shop.order for shop in shops}) > 50
    assert {shop.body for shop in shops} == {"list", "table", "terms", "boxes"}
    assert {shop.currency for shop in shops} == {"EUR", "USD", "GBP"}


@pytest.mark.parametrize(
    ("form", "expected"),
    [(".|{sign}{amount}", "€1249.90"), (",.|{amount} {sign}", "1.249,90 €"), (".,|{sign}{amount}", "€1,249.90")],
)
def test_prices_as_shops_write_them(form: str, expected: str) -> None:
    assert written_price("1249.90", "EUR", form) == expected
    assert written_amount("1249.90", form) in expected
    assert written_amount("9.90", form) in ("9.90", "9,90")


@given(st.randoms(use_true_random=False))
def test_trade_item_numbers_are_valid_and_nobodys(rng: object) -> None:
    from stdnum import ean

    number = gtin13(rng)  # type: ignore[arg-type]
    assert len(number) == 13 and number[0] == "2" and ean.is_valid(number)


def test_importing_a_world_reads_none_of_its_words() -> None:
    program = (
        "from recollect.worlds import quiz, shop; from recollect.worlds.quiz import world as one, corpus; "
        "from recollect.worlds.shop import world as two; "
        "print([f.cache_info().currsize for f in (one._plan, corpus.shipped_wordings, two.words)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 0, 0]"
