"""Does a value stand in a text?"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.extraction.values import Attribute, find, occurs, read_schema

SCHEMA = read_schema()


def of(name: str) -> Attribute:
    return SCHEMA.attribute(name)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("title", "Blue  mug", "<h1>BLUE\n mug</h1>"),
        ("brand", "D&STBKI", "by D&amp;STBKI"),
        ("brand", "Straße", "STRASSE 5"),
        ("price", "1299", "1.299,00 €"),
        ("price", "1299", "1 299"),
        ("price", "1299.5", "$1,299.50"),
        ("price", "123456", "₹1,23,456"),
        ("price", "12.50", '{"price":12.5}'),
        ("price", "12.99", "12€99"),
        ("price", "12.99", "$12 99"),
        ("price", "12.50", "$12 50"),
        ("price", "12.50", "12,5"),
        ("price", "49.90", "49 90 €"),
        ("price", "23.450", "Rs 23,450"),
        ("currency", "EUR", "25€"),
        ("currency", "€", "priceCurrency: EUR"),
        ("currency", "EUR", "25EUR"),
        ("currency", "$", "USD 25"),
        ("sku", "9249556", "Art. 924/9556"),
        ("sku", "924/9556", "/p/9249556.html"),
        ("sku", "b07fw264wl", "dp/B07FW264WL?x"),
        ("gtin", "099482467999", "0099482467999"),
        ("gtin", "9780552173742", "ISBN 978-0-552-17374-2"),
        ("availability", "InStock", "availability: InStock"),
        ("availability", "InStock", "<button>Add to\n cart</button>"),
        ("availability", "InStock", "Sofort lieferbar"),
        ("availability", "OutOfStock", "Currently unavailable"),
        ("rating", "4.5", "4,5 von 5"),
    ],
)
def test_written_forms_are_found(name: str, value: str, text: str) -> None:
    assert occurs(of(name), value, text)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("title", "mug", "smug"),
        ("price", "12", "2012"),
        ("price", "12", "12.50"),
        ("price", "12.50", "112.50"),
        ("price", "12.50", "12.505"),
        ("price", "99", "1.99"),
        ("currency", "EUR", "EUROPE"),
        ("currency", "GBP", "25 €"),
        ("sku", "AB1", "CAB12"),
        ("sku", "12", "1.\n2"),
        ("gtin", "9780552173742", "197805521737421"),
        ("gtin", "123", "123"),
        ("availability", "InStock", "not available"),
        ("availability", "InStock", "Sorry: NOT AVAILABLE"),
        ("availability", "OutOfStock", "in stock"),
        ("rating", "4.5", "14.5"),
        ("title", "", "anything"),
    ],
)
def test_other_texts_are_not(name: str, value: str, text: str) -> None:
    assert not occurs(of(name), value, text)


def test_a_language_stands_by_its_names_and_by_the_code_given() -> None:
    language = Attribute(name="language", type="language")
    assert occurs(language, "German", "Sprache: Deutsch") and occurs(language, "de", "lang=de")
    assert not occurs(language, "German", "crema de manos") and not occurs(language, "German", "Germany")


def test_an_available_after_a_not_available_counts() -> None:
    assert occurs(of("availability"), "InStock", "size S: not available, size M: available")


def test_the_span_is_the_written_form() -> None:
    text = "Price: 1.299,00 € only"
    span = find(of("price"), "1299", text)
    assert span is not None and text[slice(*span)] == "1.299,00"
    span = find(of("availability"), "InStock", "Jetzt AUF LAGER!")
    assert span == (6, 15)


@given(st.sampled_from(SCHEMA.attributes), st.text(max_size=30), st.text(max_size=80))
def test_any_value_and_text_give_an_answer(attribute: Attribute, value: str, text: str) -> None:
    span = find(attribute, value, text)
    assert span is None or (0 <= span[0] < span[1] <= len(text) and occurs(attribute, value, text))


@given(st.integers(1, 10**7), st.integers(1, 99))
def test_a_price_stands_where_it_was_written(whole: int, cents: int) -> None:
    price, text = f"{whole}.{cents:02}", f"was 3, now {whole:,}.{cents:02} EUR"
    assert occurs(of("price"), price, text)


def test_hostile_texts_cost_linear_time() -> None:
    started = time.process_time()
    for text in ("1." * 100_000, "a" * 200_000, "not " * 50_000, "available" * 20_000, "1 " * 100_000):
        for attribute, value in zip(
            SCHEMA, ("a a", "a", "11.5", "$", "1111", "4006381333931", "InStock", "1.5"), strict=True
        ):
            occurs(attribute, value, text)
    assert time.process_time() - started < 20
