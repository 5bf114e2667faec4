"""From a model's text to values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.extraction.values import compact_json, parse_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"brand":"Acme"}', {"brand": "Acme"}),
        (' {"brand": "Acme", "price": null, "sku": " "}\n', {"brand": "Acme"}),
        ('{"price": 12.50, "sku": 00}', None),
        ('{"price": 12.50}', {"price": "12.50"}),
        ('{"price": NaN}', {"price": "NaN"}),
        ('{"sku": ["A1"]}', {"sku": "A1"}),
        ('{"sku": ["A1", "B2"]}', {"sku": '["A1", "B2"]'}),
        ('{"sku": {"a": true}}', {"sku": '{"a": true}'}),
        ("{}", {}),
        ("[]", None),
        ("null", None),
        ("", None),
        ('{"brand":"Acme"} and more', None),
        ('{"brand":"Acme"', None),
        ("[" * 50_000, None),
        ("{" + '"a":' * 50_000, None),
    ],
)
def test_plain_means_one_json_object(text: str, expected: dict[str, str] | None) -> None:
    assert parse_answer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"brand":"Acme"', {"brand": "Acme"}),
        ('Sure! {"brand": "Acme", "price": "1"} Bye', {"brand": "Acme", "price": "1"}),
        ("{'brand': 'Acme'}", {"brand": "Acme"}),
        ("no braces", None),
        ('{"brand":"Acme"}', {"brand": "Acme"}),
    ],
)
def test_a_repaired_reading(text: str, expected: dict[str, str] | None) -> None:
    assert parse_answer(text, "repaired") == expected


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.text(min_size=1, max_size=10), max_size=5))
def test_what_is_taught_is_what_is_read(values: dict[str, str]) -> None:
    kept = {name: value.strip() for name, value in values.items() if value.strip()}
    text = compact_json(values)
    assert "\n" not in text and json.loads(text) == values
    assert parse_answer(text) == kept == parse_answer(text, "repaired")


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for decode in ("plain", "repaired"):
        found = parse_answer(text, decode)  # type: ignore[arg-type]
        assert found is None or all(isinstance(value, str) and value for value in found.values())
