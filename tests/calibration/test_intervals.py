"""Coverage of the intervals of scores and differences, for every mixture of levels, by simulation.

The table of docs/statistics.md: pytest -m slow -s tests/calibration/test_intervals.py
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from helpers_calibration import PROMISED, Case, holds, levels, rates, row, search
from recollect.core.estimates.intervals import Scores, bounds

Make = Callable[[np.random.Generator], Case]


def macro(random: np.random.Generator, least: int = 1) -> Case:
    """One accuracy, or the mean of several."""
    ns = levels(random, least)
    p = rates(random, len(ns))
    return Case((0, 1), tuple(ns.tolist()), tuple((1 - one, one) for one in p.tolist()), (1 / len(ns),) * len(ns))


def independent(random: np.random.Generator) -> Case:
    """Second minus first, no fact in common."""
    first, second = macro(random), macro(random)
    weights = (*(-weight for weight in first.weights), *second.weights)
    return Case((0, 1), (*first.ns, *second.ns), (*first.shares, *second.shares), weights)


def paired(random: np.random.Generator) -> Case:
    """Second minus first on the same facts: changes of -1, 0 or 1."""
    return changes(random, (-1, 0, 1))


def paired_twice(random: np.random.Generator) -> Case:
    """A difference of differences on the same facts: -2 to 2."""
    return changes(random, (-2, -1, 0, 1, 2))


def independent_pairs(random: np.random.Generator) -> Case:
    """A difference of differences on two halves."""
    first, second = paired(random), paired(random)
    weights = (*(-weight for weight in first.weights), *second.weights)
    return Case((-1, 0, 1), (*first.ns, *second.ns), (*first.shares, *second.shares), weights)


def changes(random: np.random.Generator, values: tuple[float, ...]) -> Case:
    """Changes of every kind: any, few, hardly any, one way only, symmetric, none."""
    ns = levels(random)
    count, middle = len(values), len(values) // 2
    some = random.dirichlet([1.0] * count, len(ns))
    quiet = np.full(count, float(random.choice([0.3, 0.05, 0.02])))
    quiet[middle] = 3
    few = random.dirichlet(quiet, len(ns))
    one_way = few.copy()
    one_way[:, :middle] = 0
    one_way[:, middle] = 1 - one_way[:, middle + 1 :].sum(axis=1)
    none = np.zeros((len(ns), count))
    none[:, middle] = 1
    shares = (some, few, one_way, one_way[:, ::-1], (few + few[:, ::-1]) / 2, none)[random.integers(6)]
    return Case(values, tuple(ns.tolist()), tuple(map(tuple, shares.tolist())), (1 / len(ns),) * len(ns))


KINDS: dict[str, Make] = {
    "one accuracy, or a macro mean": macro,
    "difference, independent": independent,
    "difference, same facts": paired,
    "difference of differences, same facts": paired_twice,
    "difference of differences, independent": independent_pairs,
}


def exact_coverage(n: int) -> float:
    """The lowest coverage of one accuracy over all rates: it is lowest beside an end of an interval, so look there."""
    right = np.arange(n + 1)
    _, low, high = bounds([Scores(np.stack([n - right, right], axis=-1), (0, 1))], [1])
    ends = np.concatenate([low - 1e-9, low + 1e-9, high - 1e-9, high + 1e-9, np.geomspace(1e-4 / n, 0.5, 50), [0, 1]])
    truth = np.unique(np.clip(ends, 0, 1))
    inside = (low[:, None] <= truth + 1e-12) & (truth - 1e-12 <= high[:, None])
    return float((binom.pmf(right[:, None], n, truth) * inside).sum(axis=0).min())


@pytest.mark.parametrize("ns", [range(1, 31), range(40, 201, 40)])
def test_one_accuracy_is_covered_at_every_rate(ns):
    assert min(exact_coverage(n) for n in ns) >= 0.95 - 1e-6


@pytest.mark.parametrize("name", KINDS)
def test_the_truth_is_covered_whatever_the_levels(name):
    random = np.random.default_rng(1)
    cases = [KINDS[name](random) for _ in range(120)]
    found, second = search(cases, Case.coverage, draws=300, again=3_000, worst=8, seed=2)
    assert all(holds(one) for _, one in second), second[0]
    assert np.mean([one.share for _, one in found]) > 0.95


@pytest.mark.parametrize("ns", [(60, 20, 8, 3, 1), (150, 30, 10, 3, 1), (30, 10, 4, 2, 1), (40,) * 5, (25,)])
@pytest.mark.parametrize("changed", [0.1, 0.4])
def test_no_gain_is_claimed_where_there_is_none(ns, changed):
    shares = (changed / 2, 1 - changed, changed / 2)
    found = Case((-1, 0, 1), ns, (shares,) * len(ns), (1 / len(ns),) * len(ns)).coverage(
        4_000, np.random.default_rng(3)
    )
    assert max(found.above, found.below) <= 0.025 + 3 * np.sqrt(0.025 / 4_000)


def test_the_check_itself_finds_an_interval_that_does_not_hold():
    """Wilson's interval at a small rate, the mistake that this suite is for."""
    from helpers_calibration import Coverage

    right, n, z = np.random.default_rng(4).binomial(200, 0.0008, 4_000), 200, 1.96
    share = right / n
    middle, half = share + z * z / 2 / n, z * np.sqrt(share * (1 - share) / n + z * z / 4 / n / n)
    found = Coverage.of((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n), 0.0008)
    assert not holds(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_long_the_truth_is_covered_whatever_the_levels(name):
    random = np.random.default_rng(11)
    cases = [KINDS[name](random) for _ in range(2_000)]
    searched = search(cases, Case.coverage, draws=1_000, again=40_000, worst=40, seed=12, shake=3)
    print("\n" + row(name, searched))
    assert searched[1][0][1].share >= PROMISED


@pytest.mark.slow
def test_long_one_accuracy_is_covered_at_every_rate():
    found = {n: exact_coverage(n) for n in range(1, 201)}
    print(f"\none accuracy, exact: lowest {100 * min(found.values()):.2f} % of n = 1 to 200")
    assert min(found.values()) >= 0.95 - 1e-6


@pytest.mark.slow
def test_long_false_claims():
    """Two models that are equally good: how often an interval of the difference lies above zero."""
    random = np.random.default_rng(13)
    for ns in ((60, 20, 8, 3, 1), (150, 30, 10, 3, 1), (30, 10, 4, 2, 1), (100, 60, 20, 10, 10), (40,) * 5, (50,)):
        for changed in (0.05, 0.2, 0.4):
            shares = (changed / 2, 1 - changed, changed / 2)
            case = Case((-1, 0, 1), ns, (shares,) * len(ns), (1 / len(ns),) * len(ns))
            found = case.coverage(40_000, random)
            print(f"| {ns} | {changed:.0%} | {100 * found.above:.2f} | {100 * found.share:.1f} | {found.width:.3f} |")
            assert found.above <= 0.025 + 3 * np.sqrt(0.025 / 40_000)
