"""How often the intervals of a study's findings hold the truth where values share pages, or questions share subjects.

    python benchmarks/interval_contrasts.py [--samples 500]

A weighted sum of cells (`core.estimates.Contrast`), of its questions alone: counted value by value; with a made-up page
that changes in all its values (as it was made until 2026-11-28); and as it is made. Pages have six attributes, two of
them rare; subjects have three questions, at any of five memory levels. The tables are those of docs/statistics.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from recollect.core.estimates import Cell, Contrast, Trainings, macro
from recollect.core.estimates.clusters import cluster_bounds, table_of

Floats = NDArray[np.float64]
FIRST, SECOND, THIRD = ("trained", 0), ("trained", 200), ("trained", 1000)
HAS = (1.0, 1.0, 1.0, 1.0, 0.5, 0.25)
"""The share of the pages that have each attribute."""


@dataclass(frozen=True)
class Asked:
    """Pages or subjects, and how three models do on them."""

    units: int
    rates: Mapping[Cell, float]
    alike: float
    """Spread (log-odds) of a unit's own rate, in what all models share; half of it besides in each model's own."""
    pages: bool = True

    def trainings(self, rng: np.random.Generator) -> Trainings:
        """One draw."""
        if self.pages:
            has = rng.random((self.units, len(HAS))) < HAS
            has[:12, -2:] = True
            units, levels = np.nonzero(has)
        else:
            units = np.repeat(np.arange(self.units), 3)
            levels = rng.integers(0, 5, len(units))
        shared, own = rng.normal(0, self.alike, self.units)[units], rng.normal(0, 1, len(units))
        scores = {}
        for cell, rate in self.rates.items():
            moved = shared + rng.normal(0, self.alike / 2, self.units)[units] + own
            spread = np.sqrt(1.25 * self.alike**2 + 1)
            chance = expit(_centre(rate, spread) + moved)
            scores[cell] = (rng.random((1, len(units))) < chance).astype(float)
        return Trainings(scores, levels, frozenset(self.rates), units=units)


def _centre(rate: float, spread: float) -> float:
    """The log-odds whose mean chance is `rate` when a normal error of that spread is added to it."""
    at, weights = np.polynomial.hermite_e.hermegauss(41)
    weights = weights / weights.sum()
    low, high = -40.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if weights @ expit(middle + spread * at) < rate else (low, middle)
    return low


def before(contrast: Contrast) -> tuple[float, float]:
    """The interval as it was made until 2026-11-28: each level's sum as a share of what it can be."""
    asked, rows = contrast.trainings, []
    units, parts = np.asarray(asked.units), []
    levels = sorted({level for weights in contrast.weights.values() for level in weights})
    for level in levels:
        place = asked.place(level)
        weights = {cell: of[level] for cell, of in contrast.weights.items() if of.get(level)}
        scores = sum(weight * asked.scores[cell][0, place] for cell, weight in weights.items())
        low, high = sum(min(one, 0) for one in weights.values()), sum(max(one, 0) for one in weights.values())
        rows += [(one, unit, level) for one, unit in zip((scores - low) / (high - low), units[place], strict=True)]
        parts.append((low, high))
    hits, ns = table_of(*zip(*rows, strict=True))
    times = [len(levels) * (high - low) for low, high in parts]
    _, low, high = cluster_bounds(hits, ns, times=times)
    least = sum(one for one, _ in parts)
    return least + float(low), least + float(high)


def simulate(asked: Asked, weights: Mapping[Cell, Mapping[int, float]], truth: float, samples: int, seed: int) -> str:
    """A row of the table: coverage and half-width of the three."""
    rng, ends = np.random.default_rng(seed), []
    for _ in range(samples):
        drawn = asked.trainings(rng)
        now, alone = Contrast(drawn, weights), Contrast(replace(drawn, units=None), weights)
        ends.append([(one.low, one.high) for one in (alone.at(0.95), now.at(0.95))] + [before(now)])
    found = np.asarray(ends)
    cells = []
    for at in (0, 2, 1):
        low, high = found[:, at].T
        held = 100 * np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high))
        cells.append(f"{held:.1f} (±{50 * np.mean(high - low):.1f})")
    return " | ".join(cells)


GAIN = {SECOND: macro(tuple(range(6))), FIRST: macro(tuple(range(6)), -1)}
RARE = {cell: {**macro((4, 5), sign), **macro((0, 1, 2, 3), -sign)} for cell, sign in ((SECOND, 1.0), (FIRST, -1.0))}
MOST = {
    SECOND: macro(tuple(range(6))),
    FIRST: macro(tuple(range(6)), -0.5),
    THIRD: macro(tuple(range(6)), -0.5),
}
BY_LEVEL = {SECOND: macro(tuple(range(5))), FIRST: macro(tuple(range(5)), -1)}
TOP = {SECOND: {4: 1.0, 3: -1.0}}
RATES = {
    "50 and 55 %": {FIRST: 0.5, SECOND: 0.55, THIRD: 0.55},
    "90 and 92 %": {FIRST: 0.9, SECOND: 0.92, THIRD: 0.92},
    "3 and 3 %": {FIRST: 0.03, SECOND: 0.03, THIRD: 0.03},
}


SUMS = {"a gain": GAIN, "a gain less half of a larger": MOST, "rare less others": RARE}
CASES = (
    ("50 and 55 %", 0.0, "a gain"),
    ("50 and 55 %", 1.0, "a gain"),
    ("50 and 55 %", 3.0, "a gain"),
    ("50 and 55 %", 3.0, "a gain less half of a larger"),
    ("50 and 55 %", 3.0, "rare less others"),
    ("90 and 92 %", 1.0, "a gain"),
    ("3 and 3 %", 1.0, "a gain"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    samples = parser.parse_args(arguments).samples
    out = sys.stdout
    out.write("| units | rates | alike | sum | value by value | before | now |\n|---|---|---|---|---|---|---|\n")
    seed = 20
    for pages in (40, 120):
        for name, alike, what in CASES:
            seed += 1
            rates = RATES[name]
            gained = rates[SECOND] - rates[FIRST]
            truth = {"a gain": gained, "rare less others": 0.0}.get(what, gained / 2)
            row = simulate(Asked(pages, rates, alike), SUMS[what], truth, samples, seed)
            out.write(f"| {pages} pages | {name} | {alike:g} | {what} | {row} |\n")
            out.flush()
    for alike in (0.0, 1.0, 3.0):
        for what, weights, gain in (("a gain", BY_LEVEL, 0.05), ("level 4 less level 3", TOP, 0.0)):
            seed += 1
            row = simulate(Asked(80, RATES["50 and 55 %"], alike, False), weights, gain, samples, seed)
            out.write(f"| 80 subjects | 50 and 55 % | {alike:g} | {what} | {row} |\n")
            out.flush()


if __name__ == "__main__":
    main()
