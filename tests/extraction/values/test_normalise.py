"""One form for every way to write a value, and equality."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.extraction.values import Attribute, equal, normalise, read_schema, readings

SCHEMA = read_schema()


def of(name: str) -> Attribute:
    return SCHEMA.attribute(name)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("title", "  Blue\n Mug™ ", "blue mug"),
        ("brand", "ＫÄRCHER", "kärcher"),
        ("brand", "«Tikkers»", "tikkers"),
        ("price", "1.299,00 €", "1299"),
        ("price", "$1,299.95 now", "1299.95"),
        ("price", "35€ 99", "35.99"),
        ("price", "١٢٫٥٠", "12.5"),
        ("price", "0.00", "0"),
        ("price", "free returns", None),
        ("price", "", None),
        ("currency", "usd", "USD"),
        ("currency", "€", "EUR"),
        ("currency", "12,50 €", "EUR"),
        ("currency", "원~", "KRW"),
        ("currency", "zł", "PLN"),
        ("currency", "bananas", None),
        ("sku", "924/95-56 A", "9249556a"),
        ("sku", "000123", "000123"),
        ("sku", "--", None),
        ("gtin", "099482467999", "00099482467999"),
        ("gtin", "EAN: 978-0-552-17374-2", "09780552173742"),
        ("gtin", "0-552-17374-5", None),
        ("gtin", "4054278533729", None),
        ("availability", "http://schema.org/InStock", "InStock"),
        ("availability", "https://schema.org/SoldOut", "OutOfStock"),
        ("availability", "Currently unavailable.", "OutOfStock"),
        ("availability", "Not available", "OutOfStock"),
        ("availability", "3 auf Lager", "InStock"),
        ("availability", "품절", "OutOfStock"),
        ("availability", "maybe", None),
        ("rating", "4,5 von 5", "4.5"),
        ("rating", "4.50", "4.5"),
        ("rating", "no reviews", None),
    ],
)
def test_normal_forms(name: str, raw: str, expected: str | None) -> None:
    assert normalise(of(name), raw) == expected


@pytest.mark.parametrize(
    "raw", ["de", "ger", "deu", "DE-at", "German", "Deutsch", "Allemand", "német (DE)", "немецкий"]
)
def test_a_language_is_the_same_by_any_of_its_names(raw: str) -> None:
    language = Attribute(name="language", type="language")
    assert equal(language, raw, "German") == (raw != "német (DE)")  # named in Hungarian, which is not looked up
    assert not equal(language, raw, "Dutch")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("-12,5 °C", "-12.5"), ("1.234.567", "1234567"), ("1 234,5", "1234.5"), ("4.125", "4125"), ("4/5", "4")],
)
def test_numbers(raw: str, expected: str) -> None:
    assert normalise(Attribute(name="n", type="number"), raw) == expected


def test_a_sign_decides_a_number_but_not_a_price() -> None:
    assert not equal(of("rating"), "-4", "4")
    assert equal(of("price"), "-4", "4")


def test_isbn_10_is_the_same_number_as_its_isbn_13() -> None:
    assert equal(of("gtin"), "0306406152", "978-0-306-40615-7")


def test_a_dollar_sign_is_any_dollar_but_no_euro() -> None:
    assert equal(of("currency"), "$", "USD")
    assert equal(of("currency"), "$", "CAD")
    assert equal(of("currency"), "$", "$")
    assert not equal(of("currency"), "$", "EUR")
    assert not equal(of("currency"), "USD", "CAD")


def test_three_digits_after_one_separator_are_read_both_ways() -> None:
    assert equal(of("price"), "23.450", "23450")
    assert equal(of("price"), "34.000", "34")
    assert not equal(of("price"), "23.45", "23450")
    assert not equal(of("price"), "1,234.50", "1.2345")


def test_identifiers_differ_by_any_letter() -> None:
    assert equal(of("sku"), "002.937.72", "00293772")
    assert not equal(of("sku"), "P123", "123")


def test_nothing_equals_an_empty_or_unreadable_value() -> None:
    for attribute in SCHEMA:
        assert not equal(attribute, None, None)
        assert not equal(attribute, " ", " ")
    assert not equal(of("price"), "abc", "abc")


def test_a_normaliser_can_be_replaced() -> None:
    strict = Attribute(name="sku", type="identifier", normaliser="text")
    assert not equal(strict, "1-2", "12")


@given(
    st.sampled_from((*SCHEMA.attributes, Attribute(name="language", type="language"))),
    st.text(max_size=60),
)
def test_any_text_is_read_or_refused_and_its_normal_form_is_stable(attribute: Attribute, raw: str) -> None:
    found = readings(attribute, raw)
    assert len(found) == len(set(found))
    if found:
        assert equal(attribute, raw, raw)
        assert found[0] in readings(attribute, found[0]) or attribute.compares_as in ("gtin", "text")


@given(st.integers(0, 10**7), st.integers(0, 99))
def test_an_amount_is_the_same_in_every_country(whole: int, cents: int) -> None:
    price = of("price")
    plain = f"{whole}.{cents:02}"
    continental = f"{whole:,}".replace(",", ".") + f",{cents:02}"
    assert equal(price, plain, continental)
    assert equal(price, plain, f"{whole:,}.{cents:02}")
    assert not equal(price, plain, f"{whole + 1}.{cents:02}")


@given(st.text(min_size=1, max_size=20, alphabet="0123456789"))
def test_a_gtin_holds_its_check_digit(digits: str) -> None:
    found = normalise(of("gtin"), digits)
    if found is not None:
        weighed = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(found))
        assert len(found) == 14 and weighed % 10 == 0


def test_hostile_length_costs_little() -> None:
    for attribute in (*SCHEMA, Attribute(name="language", type="language")):
        for text in ("1," * 500_000, " " * 1_000_000 + "x", "1 " * 500_000, "$" * 1_000_000):
            readings(attribute, text)
