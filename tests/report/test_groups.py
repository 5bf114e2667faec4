"""Averages over seeds and their intervals, by hand."""

from __future__ import annotations

import math

import pytest

from recollect.core.estimates import Estimate
from recollect.report import Results, Trained
from recollect.report.scores.groups import averaged, groups


def one(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, 10, "")


def test_one_seed_keeps_its_own_interval() -> None:
    (found,) = averaged([[one(0.50, 0.48, 0.53)]])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.48, 0.53))


def test_two_seeds_join_the_fact_interval_and_the_seed_spread() -> None:
    (found,) = averaged([[one(0.49, 0.47, 0.51), one(0.51, 0.49, 0.53)]])
    assert found is not None
    half = 0.01 * 12.7062047 * math.sqrt(2) / math.sqrt(2)  # t(1 degree) · s / √2, s = √2
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - math.hypot(0.02, half))
    assert (found.lowest, found.highest) == (0.49, 0.51)


def test_the_seed_spread_is_pooled_over_the_sets() -> None:
    sets = [[one(0.49, 0.49, 0.49), one(0.51, 0.51, 0.51)], [one(0.2, 0.2, 0.2), one(0.2, 0.2, 0.2)]]
    first, second = averaged(sets)
    assert first is not None
    assert second is not None
    half = 0.01 * 4.30265273 * math.sqrt((2 + 0) / 2) / math.sqrt(2)  # squares 1 + 1, two degrees of freedom
    assert first.high - first.value == pytest.approx(half)
    assert second.high - second.value == pytest.approx(half)


def test_missing_values_are_left_out_and_a_set_of_none_is_none() -> None:
    nothing, found = averaged([[None], [None, one(0.3, 0.29, 0.31)]])
    assert nothing is None
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.29, 0.31))


def test_intervals_stay_inside_zero_and_one() -> None:
    lows, highs = [one(0.01, 0, 0.4), one(0.03, 0, 0.42)], [one(0.99, 0.6, 1), one(0.97, 0.58, 1)]
    low, high = averaged([lows, highs])
    assert low is not None
    assert high is not None
    assert low.low == 0.0
    assert high.high == 1.0


def test_cells_are_grouped_by_size_then_by_training_choice(study: Results) -> None:
    found = groups(study)
    assert [(g.size, g.levels) for g in found[:8]] == [
        *((60, name) for name in ("0", "1", "2", "3", "4", "mixed", "random")),
        (240, "0"),
    ]
    assert all(g.seeds == (0, 1) for g in found)
    cells = [c for c in study.of(Trained).cells if c.size == 60 and c.levels == "2"]
    assert found[2].test.macro is not None
    assert found[2].test.macro.value == pytest.approx(sum(c.test.macro.value for c in cells) / 2)
    assert found[2].test.by_level[4] is not None
    assert found[2].test.by_level[4].value == pytest.approx(sum(c.test.by_level["4"].value for c in cells) / 2)
