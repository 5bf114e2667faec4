"""What a cell is: the text or the list that is read from it, and what is refused by name."""

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.core.tables import CellError, cell_list, cell_text, float_column


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  Graz ", "Graz"),
        (None, ""),
        (float("nan"), ""),
        (Decimal("NaN"), ""),
        (7, "7"),
        (10**25, "1" + "0" * 25),
        (1969.0, "1969"),
        (-4.0, "-4"),
        (2.5, "2.5"),
        (Decimal("1969.0"), "1969"),
        (Decimal("1.10"), "1.10"),
        (Decimal("12.00"), "12.00"),
        (Decimal("-0.0"), "0"),
    ],
)
def test_the_text_of_a_cell(value: Any, text: str) -> None:
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "yes or no"),
        (datetime.date(1969, 7, 20), "a date"),
        (datetime.datetime(1969, 7, 20), "a date"),
        (datetime.timedelta(1), "a time"),
        (b"x", "bytes"),
        (["a"], "a list"),
        ({"a": 1}, "an object"),
        (float("inf"), "an infinite number"),
        (Decimal("-Infinity"), "an infinite number"),
        (Decimal("1e999999"), "a number too large or small"),
        (2.0**60, "a float too large to be exact"),
    ],
)
def test_a_cell_that_is_no_text_is_refused_by_name(value: Any, kind: str) -> None:
    with pytest.raises(CellError) as error:
        cell_text(value)
    assert error.value.kind == kind


@pytest.mark.parametrize(
    "value",
    [
        ["green", "emerald"],
        ("green", "emerald"),
        "['green', 'emerald']",
        '["green", "emerald"]',
        "('green', 'emerald')",
        "['green' 'emerald']",
        "['green'\n 'emerald']",
        "array(['green', 'emerald'], dtype=object)",
        "['green', None, 'emerald', nan]",
        {"text": ["green", "emerald"], "answer_start": [1, 2]},
        "{'text': ['green', 'emerald'], 'answer_start': [1, 2]}",
        {"value": "green", "aliases": ["emerald"]},
    ],
)
def test_a_list_is_read_however_it_is_written(value: Any) -> None:
    assert cell_list(value) == ["green", "emerald"]


def test_quotes_inside_items_are_kept() -> None:
    assert cell_list("""["Mary O'Dell", 'M. "O."']""") == ["Mary O'Dell", 'M. "O."']
    assert cell_list("['a, b', 'c\\'d']") == ["a, b", "c'd"]


@pytest.mark.parametrize("text", ["green", "[sic]", "[0, 1]", '("The Boss")', '{"title": "x"}', "[]x", "(a)", ""])
def test_a_text_that_only_looks_a_little_like_a_list_stays_a_text(text: str) -> None:
    assert cell_list(text) is None


@pytest.mark.parametrize(
    "text", ["['a', ... 'z']", "['a', 'b", "['a',, 'b']", "[\"a\" : 'b']", "{'text': array(['a'], dtype=object)}"]
)
def test_a_list_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(CellError, match="cannot be read"):
        cell_list(text)


def test_a_list_of_numbers_is_one_only_where_a_list_is_expected() -> None:
    assert cell_list("[1, 2.0]", numbers=True) == ["1", "2.0"]
    assert cell_list([1, 2.0]) == ["1", "2"]
    with pytest.raises(CellError, match="inside a list"):
        cell_list(["a", ["b"]])


ITEM = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(ITEM, min_size=1, max_size=4))
def test_a_list_that_python_or_numpy_wrote_is_read_back(items: list[str]) -> None:
    assert cell_list(repr(items)) == items
    if all("\\" not in repr(item) for item in items):
        printed = np.array2string(np.array(items, dtype=object), threshold=100, max_line_width=10_000)
        assert cell_list(printed) == items


def test_a_column_of_floats_is_told_from_prices_and_versions() -> None:
    assert float_column(["1969.0", "", "12.5"])
    assert not float_column(["12.50", "13.00"])
    assert not float_column(["1969.0", "about 1970"])
    assert not float_column(["2.5", "3.5"])
    assert not float_column([])
