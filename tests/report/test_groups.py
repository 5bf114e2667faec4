"""Averages over seeds and their intervals, by hand."""

from __future__ import annotations

import math

import pytest

from recollect.report import Results
from recollect.report.results.groups import estimates, groups


def test_one_seed_keeps_its_own_interval() -> None:
    (found,) = estimates([[(50.0, 48.0, 53.0)]])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((50.0, 48.0, 53.0))


def test_two_seeds_join_the_fact_interval_and_the_seed_spread() -> None:
    (found,) = estimates([[(49.0, 47.0, 51.0), (51.0, 49.0, 53.0)]])
    assert found is not None
    half = 12.7062047 * math.sqrt(2) / math.sqrt(2)  # t(1 degree) · s / √2, s = √2
    assert found.value == 50.0
    assert found.low == pytest.approx(50 - math.hypot(2.0, half))
    assert (found.lowest, found.highest) == (49.0, 51.0)


def test_the_seed_spread_is_pooled_over_the_sets() -> None:
    sets = [[(49.0, 49.0, 49.0), (51.0, 51.0, 51.0)], [(20.0, 20.0, 20.0), (20.0, 20.0, 20.0)]]
    first, second = estimates(sets)
    assert first is not None
    assert second is not None
    half = 4.30265273 * math.sqrt((2 + 0) / 2) / math.sqrt(2)  # squares 1 + 1, two degrees of freedom
    assert first.high - first.value == pytest.approx(half)
    assert second.high - second.value == pytest.approx(half)


def test_missing_values_are_left_out_and_a_set_of_none_is_none() -> None:
    nothing, one = estimates([[(None, None, None)], [(None, None, None), (30.0, 29.0, 31.0)]])
    assert nothing is None
    assert one is not None
    assert (one.value, one.low, one.high) == pytest.approx((30.0, 29.0, 31.0))


def test_intervals_stay_inside_zero_and_one_hundred() -> None:
    low, high = estimates([[(1.0, 0.0, 40.0), (3.0, 0.0, 42.0)], [(99.0, 60.0, 100.0), (97.0, 58.0, 100.0)]])
    assert low is not None
    assert high is not None
    assert low.low == 0.0
    assert high.high == 100.0


def test_cells_are_grouped_by_size_then_by_training_choice(study: Results) -> None:
    found = groups(study)
    assert [(g.size, g.levels) for g in found[:8]] == [
        *((60, name) for name in ("0", "1", "2", "3", "4", "mixed", "random")),
        (240, "0"),
    ]
    assert all(g.seeds == (0, 1) for g in found)
    cells = [c for c in study.cells if c.size == 60 and c.levels == "2"]
    assert found[2].test.macro is not None
    assert found[2].test.macro.value == pytest.approx(sum(c.test.macro or 0 for c in cells) / 2)
    assert found[2].test.by_level[4] is not None
    assert found[2].test.by_level[4].value == pytest.approx(sum(c.test.by_level["4"].accuracy or 0 for c in cells) / 2)
