"""Coverage of the intervals of values that share pages.

The table of docs/statistics.md: pytest -m slow -s tests/calibration/test_clusters.py
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from helpers_calibration import PROMISED, Coverage, holds, row, search
from recollect.core.estimates.clusters import cluster_bounds


@dataclass(frozen=True)
class Pages:
    """Pages × attributes: how many values each page has; pages are good or bad, all attributes alike."""

    ns: np.ndarray
    rates: tuple[float, ...]
    shared: float
    """Correlation between the values of one page on the underlying normal scale: 0 is none, 1 all or nothing."""

    def __str__(self) -> str:
        return f"{len(self.ns)} pages, rates {np.round(self.rates, 3).tolist()}, shared {self.shared}"

    def hits(self, draws: int, random: np.random.Generator) -> np.ndarray:
        """Right values, draws × pages × attributes."""
        page = np.sqrt(self.shared) * random.normal(size=(draws, len(self.ns), 1))
        chance = norm.cdf((norm.ppf(self.rates) - page) / np.sqrt(1 - self.shared))
        return random.binomial(self.ns[None], chance).astype(float)


def pages(random: np.random.Generator) -> Pages:
    """3 to 120 pages, 1 to 8 attributes, some absent, one to five values each; rates of every kind."""
    shape = int(np.exp(random.uniform(np.log(3), np.log(121)))), int(random.integers(1, 9))
    ns = (random.random(shape) < random.choice([0.3, 0.8, 1])) * random.integers(1, random.choice([2, 3, 6]), shape)
    ns[0] = np.maximum(ns[0], 1)
    count = shape[1]
    kinds = (
        random.random(count),
        random.exponential(0.03, count),
        1 - random.exponential(0.03, count),
        np.full(count, random.random()),
        random.beta(0.3, 0.3, count),
    )
    rates = np.clip(kinds[random.integers(len(kinds))], 1e-4, 1 - 1e-4)
    return Pages(ns, tuple(rates.tolist()), float(random.choice([0, 0.3, 0.6, 0.9, 0.999])))


def macro(case: Pages, draws: int, random: np.random.Generator) -> Coverage:
    """Of the mean over attributes."""
    hits = case.hits(draws, random)
    _, low, high = cluster_bounds(hits, np.broadcast_to(case.ns, hits.shape))
    return Coverage.of(low, high, float(np.mean(case.rates)))


def micro(case: Pages, draws: int, random: np.random.Generator) -> Coverage:
    """Of the share of all values."""
    hits = case.hits(draws, random).sum(axis=-1, keepdims=True)
    ns = np.broadcast_to(case.ns.sum(axis=-1, keepdims=True), hits.shape)
    keep = ns[0, :, 0] > 0
    _, low, high = cluster_bounds(hits[:, keep], ns[:, keep])
    return Coverage.of(low, high, float(case.ns.sum(axis=0) @ np.asarray(case.rates) / case.ns.sum()))


MEANS = {"pages, macro over attributes": macro, "pages, micro and one attribute": micro}


@pytest.mark.parametrize("name", MEANS)
def test_the_truth_is_covered_however_much_values_share_their_page(name):
    random = np.random.default_rng(1)
    cases = [pages(random) for _ in range(60)]
    found, second = search(cases, MEANS[name], draws=150, again=1_500, worst=6, seed=2)
    assert all(holds(one) for _, one in second), str(second[0][0])
    assert np.mean([one.share for _, one in found]) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", MEANS)
def test_long_the_truth_is_covered_however_much_values_share_their_page(name):
    random = np.random.default_rng(11)
    cases = [pages(random) for _ in range(800)]
    searched = search(cases, MEANS[name], draws=500, again=10_000, worst=25, seed=12)
    print("\n" + row(name, searched))
    assert searched[1][0][1].share >= PROMISED


@pytest.mark.slow
def test_long_how_wide_beside_independent_values():
    """100 pages, 8 attributes, rates 30 to 90 %: what it costs to take the page for the unit."""
    random = np.random.default_rng(13)
    for shared in (0.0, 0.5, 0.9):
        case = Pages(np.ones((100, 8), dtype=int), tuple(np.linspace(0.3, 0.9, 8).tolist()), shared)
        for name, simulate in MEANS.items():
            found = simulate(case, 4_000, random)
            print(f"| {name} | {shared} | {100 * found.share:.1f} | {found.width:.3f} |")
            assert found.share >= PROMISED
