"""The interval of Cohen's kappa covers what it should, also where all agree."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.core.estimates import agreement, kappa


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
