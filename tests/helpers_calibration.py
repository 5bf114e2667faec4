"""Does an interval hold what it promises? Simulation of many truths, many samples each, and the worst of them again.

Pattern of a file in tests/calibration: draw truths of every kind (`numpy.random.Generator` with a fixed seed), simulate
samples of each side by side (arrays), count with `Coverage.of`, and check with `holds`. A fast version runs in the
suite; the long one is marked slow and prints a row of docs/statistics.md with `row`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recollect.core.estimates.intervals import Scores, bounds

PROMISED = 0.93
"""An interval that says 95 % must cover at least this often, for every truth."""


@dataclass(frozen=True)
class Coverage:
    """What many intervals of one truth did."""

    share: float
    """Intervals that hold the truth."""
    above: float
    """Intervals wholly above the truth; where the truth is no difference, false claims of a gain."""
    below: float
    width: float
    draws: int

    @classmethod
    def of(cls, low: Any, high: Any, truth: float) -> Coverage:
        """Count; an interval that ends at the truth, but for rounding, holds it."""
        above, below = (low > truth + 1e-9).mean(), (high < truth - 1e-9).mean()
        return cls(float(1 - above - below), float(above), float(below), float((high - low).mean()), len(low))


def noise(draws: int, promised: float = PROMISED) -> float:
    """Standard error of a simulated share that is truly `promised`."""
    return float(np.sqrt(promised * (1 - promised) / draws))


def holds(found: Coverage, promised: float = PROMISED, errors: float = 3.0) -> bool:
    """Whether the share is at least `promised`, up to so many standard errors of the simulation."""
    return found.share >= promised - errors * noise(found.draws, promised)


@dataclass(frozen=True)
class Case:
    """Independent groups, each a multinomial sample of bounded scores, and the weights of their means."""

    values: tuple[float, ...]
    ns: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]
    """Per group the probability of each value."""
    weights: tuple[float, ...]

    @property
    def truth(self) -> float:
        """The weighted sum of the true means."""
        means = np.asarray(self.shares) @ np.asarray(self.values)
        return float(means @ np.asarray(self.weights))

    def groups(self, draws: int, random: np.random.Generator) -> list[Scores]:
        """So many samples of every group, side by side."""
        return [
            Scores(random.multinomial(n, shares, size=draws), self.values)
            for n, shares in zip(self.ns, self.shares, strict=True)
        ]

    def coverage(self, draws: int, random: np.random.Generator) -> Coverage:
        """Of the product's interval."""
        _, low, high = bounds(self.groups(draws, random), self.weights)
        return Coverage.of(low, high, self.truth)

    def shaken(self, random: np.random.Generator) -> Case:
        """A truth nearby."""
        moved = [np.asarray(one) * np.exp(random.normal(0, 0.3, len(one))) for one in self.shares]
        shares = tuple(tuple((one / one.sum()).tolist()) for one in moved)
        return Case(self.values, self.ns, shares, self.weights)


Search = tuple[list[tuple[Any, Coverage]], list[tuple[Any, Coverage]]]


def search(
    cases: Iterable[Any],
    simulate: Callable[[Any, int, np.random.Generator], Coverage],
    *,
    draws: int,
    again: int,
    worst: int,
    seed: int,
    shake: int = 0,
) -> Search:
    """Simulate every case, and the worst again with `again` fresh draws: (all, the worst, lowest coverage first).

    The second look is needed, for the lowest of many noisy shares is too low by chance. `shake` rounds look for still
    worse truths near the worst.
    """
    random = np.random.default_rng(seed)
    found = [(case, simulate(case, draws, random)) for case in cases]
    pool = sorted(found, key=lambda pair: pair[1].share)[:worst]
    for _ in range(shake):
        near = [case.shaken(random) for case, _ in pool for _ in range(3)]
        pool = sorted([*pool, *((case, simulate(case, draws, random)) for case in near)], key=lambda p: p[1].share)
        pool = pool[:worst]
    second = [(case, simulate(case, again, random)) for case, _ in pool]
    return found, sorted(second, key=lambda pair: pair[1].share)


def levels(random: np.random.Generator, least: int = 1, most: int = 200) -> np.ndarray:
    """Facts per level: one to five levels, each n between `least` and `most` (evenly by logarithm), often all equal."""
    ns = np.exp(random.uniform(np.log(least), np.log(most + 1), random.integers(1, 6))).astype(int)
    return np.full_like(ns, ns[0]) if random.random() < 0.3 else ns


def rates(random: np.random.Generator, count: int) -> np.ndarray:
    """Rates of every kind: any, tiny, near 1, all equal, ends and middle mixed, one alone not 0, all 0, all 1."""
    one_alone = np.zeros(count)
    one_alone[random.integers(count)] = random.random()
    kinds: Sequence[np.ndarray] = (
        random.random(count),
        np.clip(random.exponential(0.02, count), 0, 1),
        1 - np.clip(random.exponential(0.02, count), 0, 1),
        np.full(count, random.random()),
        random.choice([0, 0.01, 0.5, 0.99, 1], count),
        one_alone,
        1 - one_alone,
        random.beta(0.3, 0.3, count),
        np.full(count, float(random.integers(2))),
    )
    return kinds[random.integers(len(kinds))]


def row(name: str, searched: Search) -> str:
    """One line of the table of docs/statistics.md."""
    found, second = searched
    mean, width = (float(np.mean([getattr(one, key) for _, one in found])) for key in ("share", "width"))
    case, lowest = second[0]
    return (
        f"| {name} | {len(found):,} × {found[0][1].draws:,} | {100 * mean:.1f} | {100 * lowest.share:.1f} "
        f"({lowest.draws:,} draws) | {width:.3f} | {case} |"
    )
