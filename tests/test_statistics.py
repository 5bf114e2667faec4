import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from recollect.errors import InputError
from recollect.statistics import macro_interval, paired_difference, wilson


def test_wilson_agrees_with_the_formula_by_hand():
    right, n, z = 8, 10, 1.959963984540054
    p = right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(right, n) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_wilson_of_nothing_is_everything():
    assert wilson(0, 0) == (0.0, 1.0)


def test_more_right_than_asked_is_an_error():
    with pytest.raises(InputError, match="right must be"):
        wilson(3, 2)


def test_macro_interval_of_one_accuracy_is_its_jeffreys_interval():
    expected = beta.ppf([0.025, 0.975], 30.5, 70.5)
    assert macro_interval([30], [100]) == pytest.approx(tuple(expected), abs=2e-3)


def test_macro_interval_narrows_by_the_root_of_the_number_of_equal_levels():
    one, four = macro_interval([50], [100]), macro_interval([50] * 4, [100] * 4)
    assert (one[1] - one[0]) / (four[1] - four[0]) == pytest.approx(2, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=5))
def test_macro_interval_holds_its_estimate_and_repeats(pairs):
    rights, ns = [right for right, _ in pairs], [n for _, n in pairs]
    low, high = macro_interval(rights, ns)
    assert 0 <= low <= np.mean([right / n for right, n in pairs]) <= high <= 1
    assert (low, high) == macro_interval(rights, ns)


def test_macro_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth, ns = np.array([0.05, 0.3, 0.6, 0.8, 0.9]), [40, 60, 30, 25, 20]
    hits = 0
    for _ in range(100):
        low, high = macro_interval(rng.binomial(ns, truth).tolist(), ns)
        hits += low <= truth.mean() <= high
    assert hits >= 88  # 95 % of 100 is 95; 88 is three standard errors below


def test_empty_level_in_a_macro_interval_is_an_error():
    with pytest.raises(InputError, match="n of at least 1"):
        macro_interval([1, 0], [2, 0])


def _outputs(right: list[bool], level: list[int]) -> pl.DataFrame:
    ids = [f"f{index:03d}" for index in range(len(right))]
    return pl.DataFrame({"fact_id": ids, "part": "test", "level": level, "contains": right, "word": right})


def test_paired_difference_of_equal_runs_is_zero():
    run = _outputs([True, False, True], [0, 1, 1])
    found = paired_difference(run, run)
    assert (found.difference, found.low, found.high, found.facts) == (0, 0, 0, 3)


def test_paired_macro_difference_by_hand():
    # level 0: +1 of 2 facts; level 1: -1 of 4 facts; macro (1/2 - 1/4) / 2, micro 0 / 6
    level = [0, 0, 1, 1, 1, 1]
    first = _outputs([False, True, True, True, False, False], level)
    second = _outputs([True, True, False, True, False, False], level)
    assert paired_difference(first, second).difference == pytest.approx(0.125)
    assert paired_difference(first, second, mean="micro").difference == pytest.approx(0)


def test_paired_interval_agrees_with_resampling_the_facts_one_by_one():
    rng = np.random.default_rng(3)
    a, b = rng.random(120) < 0.4, rng.random(120) < 0.55
    found = paired_difference(
        _outputs(a.tolist(), [0] * 120),
        _outputs(b.tolist(), [0] * 120).sample(fraction=1, shuffle=True, seed=1),
    )
    picks = rng.integers(0, 120, size=(20_000, 120))
    expected = np.quantile((b.astype(int) - a.astype(int))[picks].mean(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.012)


def test_runs_on_different_facts_are_not_compared():
    run = _outputs([True, False], [0, 1])
    with pytest.raises(InputError, match="same facts"):
        paired_difference(run, run.head(1))
