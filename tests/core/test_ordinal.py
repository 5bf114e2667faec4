"""Distances of level distributions: by hand, as distances behave, and with intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.core.estimates import apart_of, graded_again, levels_apart, total_variation, variation_of
from recollect.errors import InputError
from recollect.probe.levels import level_of


def grades(levels: list[int]) -> np.ndarray:
    return np.eye(5)[levels]


def test_by_hand() -> None:
    first, second = grades([0, 0, 0, 4]), grades([0, 0, 1, 2])
    # shares ¾ 0 0 0 ¼ and ½ ¼ ¼ 0 0: half of ¼ + ¼ + ¼ + ¼; cumulated ¾ ¾ ¾ ¾ and ½ ¾ 1 1
    assert total_variation(first, second).value == pytest.approx(0.5)
    assert levels_apart(first, second).value == pytest.approx(0.25 + 0 + 0.25 + 0.25)
    halves = np.array([[0.5, 0.5, 0, 0, 0]] * 4)
    assert levels_apart(grades([0, 0, 0, 0]), halves).value == pytest.approx(0.5)


def test_from_one_end_to_the_other_is_the_longest_way() -> None:
    first, second = grades([0] * 30), grades([4] * 30)
    for found, most in ((total_variation(first, second), 1), (levels_apart(first, second), 4)):
        assert found.value == found.high == pytest.approx(most) and found.low > 0.7 * most


def test_a_distance_is_symmetric_and_zero_to_itself() -> None:
    random = np.random.default_rng(3)
    first, second = random.dirichlet([0.3] * 5, 40), random.dirichlet([1, 2, 0.5, 0.5, 0.2], 40)
    for distance in (total_variation, levels_apart):
        one, other = distance(first, second), distance(second, first)
        assert one.value == pytest.approx(other.value) and one.low == pytest.approx(other.low, abs=0.02)
        itself = distance(first, first)
        assert (itself.value, itself.low) == (0, 0)
        assert one.low <= one.value <= one.high
    means = first.mean(axis=0), second.mean(axis=0)
    assert variation_of(*means) == pytest.approx(total_variation(first, second).value)
    assert apart_of(*means) == pytest.approx(levels_apart(first, second).value)


def test_which_fact_moved_does_not_matter_but_how_far() -> None:
    first = grades([0, 1, 2, 3])
    assert levels_apart(first, grades([3, 2, 1, 0])).value == pytest.approx(0)
    assert levels_apart(first, grades([1, 2, 3, 4])).value == pytest.approx(1)


@pytest.mark.parametrize("second", [np.zeros((2, 5)), np.eye(5)[[0, 1, 2]], np.zeros((0, 5))])
def test_what_are_no_grades_of_the_same_things_is_refused(second: np.ndarray) -> None:
    with pytest.raises(InputError):
        total_variation(grades([0, 1]), second)


def test_a_certain_second_grading_is_one_distribution() -> None:
    again = graded_again(grades([1, 1, 2]), draws=5)
    assert again == pytest.approx(np.array([[0, 2 / 3, 1 / 3, 0, 0]] * 5))
    assert apart_of(again, grades([0, 1, 2]).mean(axis=0)) == pytest.approx([1 / 3] * 5)


def test_two_probes_of_one_model_lie_within_what_is_told_of_them() -> None:
    """21 × 10 draws at known rates, twice: the distance of the two seldom exceeds the bound of 95 in 100."""
    random, n, above, samples = np.random.default_rng(5), 100, 0, 40

    def drawn(rates: np.ndarray) -> np.ndarray:
        levels: np.ndarray = level_of(random.binomial(210, rates) / 210, 210)
        return levels

    for _ in range(samples):
        rates = random.beta(0.4, 1.0, n)
        hits = random.binomial(210, rates)
        own, other = level_of(hits / 210, 210), drawn(rates)
        # what a fresh probe gives a fact, from its own 210 draws: the beta posterior of its rate
        levels = drawn(random.beta(hits + 0.4, 211 - hits, (100, n)))
        fresh = (levels[:, :, None] == np.arange(5)).mean(axis=0)
        shares = grades(own.tolist()).mean(axis=0)
        most = np.quantile(apart_of(graded_again(fresh, draws=100), shares), 0.95)
        above += apart_of(grades(other.tolist()).mean(axis=0), shares) > most
    assert above / samples <= 0.15


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 40, 150])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.2] * 5, [0.2] * 5),
        ([0.7, 0.2, 0.05, 0.03, 0.02], [0.2] * 5),
        ([0.3, 0.2, 0.2, 0.2, 0.1], [0.4, 0.2, 0.2, 0.1, 0.1]),
        ([0.95, 0.05, 0, 0, 0], [0, 0, 0, 0.05, 0.95]),
    ],
)
def test_the_intervals_cover(n: int, first: list[float], second: list[float]) -> None:
    one, other = np.array(first), np.array(second)
    truth = {total_variation: np.abs(one - other).sum() / 2, levels_apart: np.abs(np.cumsum(one - other)).sum()}
    random, samples = np.random.default_rng(n), 150
    for distance, value in truth.items():
        covered = 0
        for _ in range(samples):
            drawn = [grades(random.choice(5, n, p=shares).tolist()) for shares in (one, other)]
            found = distance(*drawn)
            covered += found.low - 1e-9 <= value <= found.high + 1e-9
        assert covered / samples >= 0.91  # 0.95 less twice its own error


def test_things_that_were_drawn_together_are_resampled_together() -> None:
    """A hundred things twice over, as one each: the interval of a hundred, nearly; each alone: narrower."""
    random = np.random.default_rng(11)
    first, second = (grades(random.integers(0, 5, 100).tolist()) for _ in range(2))
    twice = np.repeat(first, 2, axis=0), np.repeat(second, 2, axis=0)
    units = [at // 2 for at in range(200)]
    for distance in (total_variation, levels_apart):
        hundred, together, alone = distance(first, second), distance(*twice, units=units), distance(*twice)
        assert (together.low, together.high) == pytest.approx((hundred.low, hundred.high), abs=0.03)
        assert together.high - together.low > 1.2 * (alone.high - alone.low)
        assert distance(*twice, units=range(200)) == alone
