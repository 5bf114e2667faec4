"""The interval of Cohen's kappa covers what it should, also where all agree."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.core.estimates import agreement, kappa, weighted_kappa
from recollect.errors import InputError


@pytest.mark.parametrize(
    ("shares", "n"),
    [
        ((0.45, 0.05, 0.05, 0.45), 40),  # kappa 0.8
        ((0.35, 0.15, 0.15, 0.35), 50),  # 0.4
        ((0.80, 0.05, 0.05, 0.10), 60),  # lopsided
    ],
)
def test_the_interval_covers_in_about_95_of_100_samples(shares: tuple[float, ...], n: int) -> None:
    table = np.array(shares).reshape(2, 2)
    same, chance = table.trace(), table.sum(0) @ table.sum(1)
    truth = (same - chance) / (1 - chance)
    random, covered, samples = np.random.default_rng(1), 0, 300
    for counts in random.multinomial(n, shares, samples):
        first = np.repeat([0, 0, 1, 1], counts).tolist()
        second = np.repeat([0, 1, 0, 1], counts).tolist()
        found = kappa(first, second)
        assert found is not None
        covered += found.low <= truth <= found.high
    assert covered / samples >= 0.92  # 0.95 less twice its own error


def test_a_few_that_all_agree_prove_little() -> None:
    found = kappa([0] * 5 + [1] * 5, [0] * 5 + [1] * 5)
    assert found is not None and (found.value, found.high) == (1, 1) and found.low < 0.8
    assert agreement([1, 0], [1, 1]).value == 0.5


def test_weighted_kappa_by_hand() -> None:
    # 10 facts; levels 0, 1, 2. One is a level apart, one two levels: seen 1·½ + 1·1 = 1.5 of 10.
    table = [[4, 1, 1], [0, 2, 0], [0, 0, 2]]
    # by chance: rows 6 2 2, columns 4 3 3: (6·3·½ + 6·3·1 + 2·4·½ + 2·3·½ + 2·4·1 + 2·3·½) / 10 = 45 / 10
    found = weighted_kappa(table)
    assert found is not None and found.value == pytest.approx(1 - 1.5 / 4.5) and found.n == 10
    assert weighted_kappa([[20, 5], [10, 15]]).value == pytest.approx(0.4)  # type: ignore[union-attr]  # (.7 − .5) / .5


def test_for_two_levels_weights_change_nothing() -> None:
    first, second = [0] * 8 + [1] * 12, [0] * 5 + [1] * 13 + [0] * 2
    table = [[5, 3], [2, 10]]
    plain, weighted = kappa(first, second), weighted_kappa(table)
    assert plain is not None and weighted is not None
    assert (plain.value, plain.low, plain.high) == pytest.approx((weighted.value, weighted.low, weighted.high))


def test_a_near_miss_counts_less_than_a_far_one() -> None:
    near, far = [[5, 2, 0], [0, 5, 0], [0, 0, 5]], [[5, 0, 2], [0, 5, 0], [0, 0, 5]]
    assert weighted_kappa(near).value > weighted_kappa(far).value  # type: ignore[union-attr]


def test_of_one_level_alone_there_is_no_kappa_and_no_table_is_refused() -> None:
    assert weighted_kappa([[7, 0], [0, 0]]) is None
    for wrong in ([[1, 2, 3], [1, 2, 3]], [[-1, 2], [1, 1]], [[0, 0], [0, 0]], [[float("nan"), 2], [1, 1]]):
        with pytest.raises(InputError):
            weighted_kappa(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("n", [20, 100])
def test_the_interval_of_weighted_kappa_covers(alike: float, n: int) -> None:
    """Of levels that two normal variables with this correlation fall into; it missed most with ½ in each cell."""
    from scipy.stats import norm

    random = np.random.default_rng(1)

    def table(count: int) -> np.ndarray:
        pair = random.standard_normal((count, 2))
        pair[:, 1] = alike * pair[:, 0] + np.sqrt(1 - alike**2) * pair[:, 1]
        levels = np.minimum((norm.cdf(pair) * 5).astype(int), 4)
        found = np.zeros((5, 5))
        np.add.at(found, tuple(levels.T), 1)
        return found

    truth = weighted_kappa(table(300_000))
    assert truth is not None
    covered, samples = 0, 100
    for _ in range(samples):
        found = weighted_kappa(table(n))
        assert found is not None
        covered += found.low <= truth.value <= found.high
    assert covered / samples >= 0.9
