"""Intervals of a macro mean and of a paired macro difference: the product's beside others, tried or used before.

    python benchmarks/interval_methods.py          (about two minutes; prints the tables of docs/statistics.md)

For each minimum of facts per level it draws mixtures of levels and rates, simulates the coverage of every method on the
same samples, and simulates each method's worst mixtures again with fresh draws.

- jeffreys draws: the mean of independent Jeffreys posteriors (the product's before), by 1,000 draws
- bootstrap: percentiles of facts drawn again inside levels (the product's before, for paired differences)
- wilson, square: Wilson limits, squares added up (Newcombe 1998; Zou and Donner 2008)
- exact, square: Clopper-Pearson limits, squares added up
- melded: Clopper-Pearson confidence distributions added up, a whole made-up score per level (Fay and others 2015)
- recollect: recollect.core.estimates
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "calibration"))

from scipy.special import betaincinv
from test_intervals import changes

from helpers_calibration import Case, Coverage, levels, rates
from recollect.core.estimates import intervals as product
from recollect.core.estimates.intervals import Scores, bounds

Ends = tuple[Any, Any]
MIXTURES, DRAWS, AGAIN, WORST = 250, 300, 3_000, 12


def recollect(groups: Sequence[Scores], _: np.random.Generator) -> Ends:
    """The product."""
    return bounds(groups, [1 / len(groups)] * len(groups))[1:]


def melded(groups: Sequence[Scores], random: np.random.Generator) -> Ends:
    """The product with a whole made-up score per level."""
    own, product._OWN = product._OWN, 1.0
    try:
        return recollect(groups, random)
    finally:
        product._OWN = own


def wilson(right: Any, n: int) -> Ends:
    """Limits of one proportion."""
    share, z = right / n, 1.959964
    middle, half = share + z * z / 2 / n, z * np.sqrt(share * (1 - share) / n + z * z / 4 / n / n)
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def exact(right: Any, n: int) -> Ends:
    """Clopper-Pearson limits of one proportion."""
    low = betaincinv(np.maximum(right, 1), n - right + 1, 0.025) * (right > 0)
    return low, 1 - betaincinv(np.maximum(n - right, 1), right + 1, 0.025) * (right < n)


def squared(limits: Callable[[Any, int], Ends]) -> Callable[[Sequence[Scores], np.random.Generator], Ends]:
    """Limits of single proportions combined by adding up squared distances, with the correlation of paired shares."""

    def ends(groups: Sequence[Scores], _: np.random.Generator) -> Ends:
        value: Any = 0.0
        below: Any = 0.0
        above: Any = 0.0
        for group in groups:
            n, counts = int(group.n.flat[0]), np.asarray(group.counts)
            gained, (low, high) = counts[..., -1] / n, limits(counts[..., -1], n)
            value, down, up = value + gained, (gained - low) ** 2, (high - gained) ** 2
            if group.values[0] < 0:
                lost, (least, most) = counts[..., 0] / n, limits(counts[..., 0], n)
                tied = np.sqrt(gained * lost / np.maximum((1 - gained) * (1 - lost), 1e-12))
                value = value - lost
                down = down + (most - lost) ** 2 + 2 * tied * (gained - low) * (most - lost)
                up = up + (lost - least) ** 2 + 2 * tied * (high - gained) * (lost - least)
            below, above = below + down, above + up
        k = len(groups)
        return (value - np.sqrt(below)) / k, (value + np.sqrt(above)) / k

    return ends


def jeffreys(groups: Sequence[Scores], random: np.random.Generator) -> Ends:
    """Draws of the mean of Jeffreys posteriors, widened to contain the value."""
    drawn: Any = 0.0
    for group in groups:
        counts = np.asarray(group.counts)
        drawn = drawn + random.beta(counts[..., 1] + 0.5, counts[..., 0] + 0.5, size=(1_000, len(counts)))
    value = sum(group.mean for group in groups) / len(groups)
    low, high = np.quantile(drawn / len(groups), [0.025, 0.975], axis=0)
    return np.minimum(low, value), np.maximum(high, value)


def bootstrap(groups: Sequence[Scores], random: np.random.Generator) -> Ends:
    """Percentiles of facts drawn again inside each level."""
    drawn: Any = 0.0
    for group in groups:
        shares = np.asarray(group.counts) / group.n[..., None]
        counts = random.multinomial(int(group.n.flat[0]), shares, size=(1_000, len(shares)))
        drawn = drawn + counts @ np.asarray(group.values) / group.n
    low, high = np.quantile(drawn / len(groups), [0.025, 0.975], axis=0)
    return low, high


SHARED = {"wilson, square": squared(wilson), "exact, square": squared(exact), "melded": melded, "recollect": recollect}


def compare(name: str, cases: Sequence[Case], methods: dict[str, Any]) -> None:
    """Print coverage and width of every method on the same cases."""
    print(f"\n{name}: {len(cases)} mixtures × {DRAWS} samples; the worst {WORST} again × {AGAIN}")
    for method, ends in methods.items():

        def simulate(case: Case, draws: int, random: np.random.Generator, ends: Any = ends) -> Coverage:
            return Coverage.of(*ends(case.groups(draws, random), random), case.truth)

        random = np.random.default_rng(5)
        found = [(case, simulate(case, DRAWS, random)) for case in cases]
        worst = sorted(found, key=lambda pair: pair[1].share)[:WORST]
        again = min((simulate(case, AGAIN, random).share for case, _ in worst))
        mean, width = (np.mean([getattr(one, key) for _, one in found]) for key in ("share", "width"))
        print(f"| {method} | {100 * mean:.1f} | {100 * again:.1f} | {width:.3f} |", flush=True)


def scores(random: np.random.Generator, least: int) -> Case:
    """Levels with at least `least` facts."""
    ns = levels(random, least)
    p = rates(random, len(ns))
    return Case((0, 1), tuple(ns.tolist()), tuple((1 - one, one) for one in p.tolist()), (1 / len(ns),) * len(ns))


def paired(random: np.random.Generator, least: int) -> Case:
    """The same for changes of -1, 0 or 1."""
    while min((case := changes(random, (-1, 0, 1))).ns) < least:
        pass
    return case


def smallest_level() -> None:
    """What a small fifth level costs beside four of 40: the width of a macro mean, and what one of its facts moves."""
    random = np.random.default_rng(6)
    print("\nfour levels of 40 facts and one of n; rates 5, 20, 40, 60, 80 %: width with it, one fact moves")
    four = Case((0, 1), (40,) * 4, ((0.95, 0.05), (0.8, 0.2), (0.6, 0.4), (0.4, 0.6)), (0.25,) * 4)
    print(f"| without | {four.coverage(4_000, random).width:.3f} | |")
    for n in (1, 2, 3, 5, 7, 10, 15, 20, 40):
        case = Case((0, 1), (*four.ns, n), (*four.shares, (0.2, 0.8)), (0.2,) * 5)
        print(f"| {n} | {case.coverage(4_000, random).width:.3f} | {20 / n:.1f} points |")


def main() -> None:
    for least in (1, 10):
        random = np.random.default_rng(least)
        cases = [scores(random, least) for _ in range(MIXTURES)]
        compare(f"macro mean, n per level from {least}", cases, {"jeffreys draws": jeffreys, **SHARED})
        cases = [paired(random, least) for _ in range(MIXTURES)]
        compare(f"paired macro difference, n per level from {least}", cases, {"bootstrap": bootstrap, **SHARED})
    smallest_level()


if __name__ == "__main__":
    main()
