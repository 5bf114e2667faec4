"""Addressed draws: the same for the same address, apart for another, and little moved by an item more."""

from __future__ import annotations

import doctest

import pytest

import recollect.core.random as random_module
from recollect.core.random import draw, take

NAMES = [f"fact-{number}" for number in range(40)]


def taken(names: list[str], limit: int | None = 10, seed: int = 0, purpose: str = "test") -> list[str]:
    return take(names, limit, seed, purpose, lambda name: name)


def test_the_example_in_the_docstring_holds() -> None:
    assert doctest.testmod(random_module).failed == 0


def test_seed_purpose_and_name_each_make_another_draw() -> None:
    found = {draw(seed, purpose, name) for seed in (0, 1) for purpose in ("a", "b") for name in ("x", "y")}
    assert len(found) == 8 and all(len(one) == 16 for one in found)
    assert draw(0, "a", "x", "y") != draw(0, "a", "xy")


def test_draws_are_those_of_earlier_versions() -> None:
    """Selections, halves and limits of stored steps hang on these bytes."""
    assert draw(0, "evaluate", "P36-1").hex() == "1fdbab6f51e5def0b2b0fa4cd93a8a81"
    assert draw(7, "", "P36-1").hex() == "70766b63f2cbdec3eb86627eebec5073"


@pytest.mark.parametrize("limit", [None, 40, 41])
def test_all_are_taken_where_the_limit_allows(limit: int | None) -> None:
    assert taken(NAMES, limit) == NAMES


def test_the_order_of_the_items_is_kept_and_does_not_choose() -> None:
    chosen = taken(NAMES)
    assert chosen == [name for name in NAMES if name in chosen] and len(chosen) == 10
    assert set(taken(NAMES[::-1])) == set(chosen)


def test_an_item_more_changes_at_most_one_choice() -> None:
    before = set(taken(NAMES))
    for number in range(100):
        assert len(before - set(taken([f"new-{number}", *NAMES]))) <= 1


def test_every_item_is_taken_equally_often() -> None:
    counts = dict.fromkeys(NAMES, 0)
    for seed in range(2_000):
        for name in taken(NAMES, seed=seed):
            counts[name] += 1
    expected, spread = 500.0, (2_000 * 0.25 * 0.75) ** 0.5
    assert all(abs(count - expected) < 4.5 * spread for count in counts.values())
