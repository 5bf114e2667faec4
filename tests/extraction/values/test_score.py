"""Scores by attribute, on small tables worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.core.estimates import Estimate
from recollect.extraction.values import PageAnswer, PageScores, items, judge, make_schema, score

SCHEMA = make_schema({"name": "two", "attributes": [{"name": "brand"}, {"name": "price", "type": "price"}]}, "the test")


def value(found: Estimate | None) -> float:
    assert found is not None
    return found.value


def answer(page: str, truth: dict[str, list[str]], given: dict[str, str] | None, **more: object) -> PageAnswer:
    return PageAnswer(page, page, truth, given, **more)  # type: ignore[arg-type]


def test_the_studys_metric_and_the_others_by_hand() -> None:
    answers = [
        answer("a", {"brand": ["Acme"], "price": ["12.50"]}, {"brand": "ACME", "price": "12,50 €"}),  # both right
        answer("b", {"brand": ["Acme"], "price": ["3"]}, {"brand": "Other"}),  # one wrong, one missing
        answer("c", {"brand": ["Acme", "Acme Ltd"]}, {"brand": "acme ltd", "price": "9"}),  # one more than is true
        answer("d", {"brand": ["Acme"]}, None),  # no JSON
    ]
    found = score(judge(SCHEMA, answers), SCHEMA, invalid=1, answers=4)
    brand, price = found.by_attribute["brand"], found.by_attribute["price"]
    assert (brand.accuracy.value, brand.accuracy.n, brand.given) == (0.5, 4, 3)
    assert value(brand.precision) == pytest.approx(2 / 3)
    assert brand.f1.value == pytest.approx(2 * 2 / (4 + 3))
    assert (price.accuracy.value, value(price.precision), price.f1.value) == (0.5, 0.5, 0.5)
    assert value(found.macro) == 0.5 and value(found.micro) == 0.5
    assert value(found.invalid) == 0.25
    assert (found.pages, found.n) == (4, 6)


def test_the_json_answer_is_flat_in_percent_and_read_back_from_older_steps() -> None:
    answers = [answer("a", {"brand": ["x"], "price": ["1"]}, {"brand": "x"}), answer("b", {"brand": ["y"]}, None)]
    found = score(judge(SCHEMA, answers), SCHEMA, invalid=1, answers=2)
    flat = found.in_percent()
    assert flat["macro"] == 25.0 and flat["invalid"] == 50.0 and flat["macro_f1"] == 100 * (found.macro_f1 or 0)
    assert flat["by_attribute"]["price"]["precision"] is None  # type: ignore[index]
    old = PageScores.model_validate(flat)
    for name in ("macro", "micro", "invalid"):
        assert getattr(old, name).percent == pytest.approx(getattr(found, name).percent)
    assert old.in_percent() == {**flat, **{key: pytest.approx(flat[key]) for key in flat if key != "by_attribute"}}
    assert old.by_attribute.keys() == found.by_attribute.keys() and old.n == found.n


def test_macro_is_the_mean_over_attributes_whatever_their_numbers() -> None:
    answers = [answer(str(n), {"brand": ["x"]}, {"brand": "x"}) for n in range(9)]
    answers.append(answer("z", {"price": ["1"]}, {"price": "2"}))
    found = score(judge(SCHEMA, answers), SCHEMA)
    assert value(found.macro) == 0.5 and value(found.micro) == 0.9


def test_an_attribute_without_truth_is_named_and_left_out_of_the_macro() -> None:
    found = score(judge(SCHEMA, [answer("a", {"brand": ["x"]}, {"brand": "x", "price": "1"})]), SCHEMA)
    assert value(found.macro) == 1.0
    assert found.without_truth == {"price": 1}
    assert "price" not in found.by_attribute


def test_a_true_value_that_cannot_be_read_stays_in_n_as_text_and_is_counted() -> None:
    truth = {"price": ["ask us"], "brand": ["x"]}
    answers = [
        answer("a", truth, {"price": "Ask  us"}),
        answer("b", {"price": ["1"]}, {"price": "one"}),
        answer("c", truth, {"price": "12"}),
    ]
    found = score(judge(SCHEMA, answers), SCHEMA)
    price = found.by_attribute["price"]
    assert (price.accuracy.n, price.given, price.accuracy.value) == (3, 3, pytest.approx(1 / 3))
    assert found.unread_truth == {"price": 2}


@pytest.mark.parametrize("nothing", ["N/A", "-", "null", " — ", "{{ product.brand }}", "undefined"])
def test_a_placeholder_is_no_value_as_truth_or_as_answer(nothing: str) -> None:
    answers = [answer("a", {"brand": [nothing]}, {"brand": "x"}), answer("b", {"brand": ["y"]}, {"brand": nothing})]
    found = score(judge(SCHEMA, answers), SCHEMA).by_attribute["brand"]
    assert (found.accuracy.n, found.given) == (1, 1)


def test_only_what_was_asked_for_counts() -> None:
    values = judge(SCHEMA, [answer("a", {"brand": ["x"], "price": ["1"]}, {"price": "1"}, asked=("price",))])
    assert values["group"].to_list() == ["price"]


def test_items_hold_one_row_per_true_value() -> None:
    truth = {"brand": ["x"], "price": ["1"]}
    table = items(judge(SCHEMA, [answer("a", truth, {"brand": "x"}), answer("b", {"brand": ["y"]}, None)]))
    assert table.columns == ["item", "unit", "group", "right", "part"]
    assert table.rows() == [
        ("a:brand", "a", "brand", True, "test"),
        ("a:price", "a", "price", False, "test"),
        ("b:brand", "b", "brand", False, "test"),
    ]


def test_nothing_at_all_gives_nulls() -> None:
    found = score(judge(SCHEMA, []), SCHEMA)
    assert found.macro is None and found.micro is None and found.invalid is None and found.by_attribute == {}
    assert found.macro_f1 is None and found.in_percent()["f1"] == {}


def test_values_of_one_page_widen_the_interval() -> None:
    """Pages that are all right or all wrong: the interval is that of the pages, not of twice as many values."""
    pages = [
        answer(str(n), {"brand": ["x"], "price": ["1"]}, {"brand": "x", "price": "1"} if n % 2 else {})
        for n in range(60)
    ]
    found = score(judge(SCHEMA, pages), SCHEMA)
    by_pages = 1.96 * np.sqrt(0.25 / 60)
    assert found.macro is not None and found.macro.high - found.macro.value == pytest.approx(by_pages, rel=0.12)


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        pages = []
        for n in range(40):
            ease = rng.beta(2, 1)
            hits = rng.random(2) < ease
            given = {name: value for name, value, hit in zip(("brand", "price"), ("x", "1"), hits, strict=True) if hit}
            pages.append(answer(str(n), {"brand": ["x"], "price": ["1"]}, given))
        found = score(judge(SCHEMA, pages), SCHEMA)
        assert found.macro is not None
        covered += found.macro.low <= 2 / 3 <= found.macro.high
    assert covered >= 53  # 95 % of 60 is 57


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "x", "y"]), st.sampled_from(["", "x", "z", "?"]), st.booleans()), max_size=12
    )
)
def test_every_number_is_a_share_within_its_bounds(rows: list[tuple[str, str, bool]]) -> None:
    answers = [
        answer(str(n), {"brand": [true] if true else []}, None if broken else {"brand": given})
        for n, (true, given, broken) in enumerate(rows)
    ]
    found = score(judge(SCHEMA, answers), SCHEMA, sum(broken for *_, broken in rows), len(rows))
    for entry in found.by_attribute.values():
        for one in (entry.accuracy, entry.f1, *filter(None, [entry.precision])):
            assert 0 <= one.low <= one.value + 1e-9 and one.value <= one.high + 1e-9 <= 1 + 2e-9
    assert score(judge(SCHEMA, answers), SCHEMA) == score(judge(SCHEMA, answers), SCHEMA)
