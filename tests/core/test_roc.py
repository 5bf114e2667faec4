"""The area under the ROC curve: by brute force, with ties, and its interval's coverage."""

import numpy as np
import pytest
from scipy.stats import norm

from recollect.core.estimates import roc_area
from recollect.errors import InputError


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    first, second = [3.0, 1.0, 2.0, 2.0], [2.0, 0.0, 2.5]
    pairs = [(one > other) + (one == other) / 2 for one in first for other in second]
    assert roc_area(first, second).value == pytest.approx(sum(pairs) / len(pairs))
    assert roc_area(second, first).value == pytest.approx(1 - sum(pairs) / len(pairs))


def test_groups_that_are_apart_have_an_area_of_one_and_alike_ones_a_half() -> None:
    assert roc_area([2, 3, 4], [0, 1]).value == 1
    alike = roc_area([1, 1], [1, 1])
    assert (alike.value, alike.n) == (0.5, 4)


def test_where_nothing_differs_the_interval_says_how_little_that_is() -> None:
    """Ten and ten that all tie may be of groups of which one in four has a greater score (0.75^10 = 0.06)."""
    few, many = roc_area([1] * 10, [1] * 10), roc_area([1] * 500, [1] * 500)
    assert few.low < 0.5 - 0.25 / 2 and few.high > 0.5 + 0.25 / 2
    assert 0.004 < many.high - many.low < (few.high - few.low) / 3
    apart = roc_area([2, 3], [0, 1])
    assert apart.low < 0.3 and apart.high == 1


def test_the_interval_covers_where_most_scores_tie() -> None:
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        first, second = (random.random(10) < 0.1).astype(float), (random.random(20) < 0.02).astype(float)
        found = roc_area(first.tolist(), second.tolist())
        inside += found.low <= 0.54 <= found.high
    assert inside / 300 >= 0.93


def test_the_interval_covers() -> None:
    random = np.random.default_rng(0)
    truth = float(norm.cdf(1 / np.sqrt(2)))  # two normal groups one standard deviation apart
    inside = 0
    for _ in range(400):
        found = roc_area(random.normal(1, 1, 40).tolist(), random.normal(0, 1, 60).tolist())
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 400 <= 0.98


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 members"):
        roc_area([1.0], [0.0, 1.0])


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        roc_area([1.0, float("nan")], [0.0, 1.0])
