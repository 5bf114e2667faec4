"""How often intervals hold the truth where values share pages and questions share subjects, and what they are wide.

    python benchmarks/interval_clusters.py [--samples 2000]

Two models on the same pages: as it is made (`clustered_difference`), as it was made before (a made-up page that always
changes in all its values), and Student's t over the pages' residuals. Questions about one subject: without and with the
design effect, and as it is made (`by_cluster`, `clustered_difference`). The tables are those of docs/statistics.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from recollect.core.estimates import Estimate, Pairs, design_effect, mean_score, paired
from recollect.core.estimates.clusters import change_bounds

Floats = NDArray[np.float64]
VALUES, THERE = 8, 0.8
"""Attributes of a page, and the share of pages that has each."""
ALIKE = {
    "right 70 and 75 %": (0.7, 0.75, 0.3, 0.6, 0.0),
    "right 70 and 70 %, models alike": (0.7, 0.7, 0.3, 0.9, 0.0),
    "right 90 and 95 %, pages alike": (0.9, 0.95, 0.6, 0.8, 0.0),
    "right 98 and 98 %": (0.98, 0.98, 0.3, 0.5, 0.0),
    "right 90 and 90 %, 3 broken": (0.9, 0.9, 0.3, 0.9, 0.03),
    "right 97 and 97 %, hardly a change, 1 broken": (0.97, 0.97, 0.0, 0.999, 0.01),
}
"""Rates of both, how much the values of a page share, how much the models share, and the share of pages that the second
loses whole."""


def page_changes(
    rng: np.random.Generator, samples: int, pages: int, case: tuple[float, ...]
) -> tuple[Floats, Floats, float]:
    """Changes (samples x pages x values), which values there are, and the true difference."""
    one, other, shared, both, broken = case
    there = (rng.random((pages, VALUES)) < THERE).astype(float)
    there[0] = 1

    def normal(*shape: int) -> Floats:
        return rng.normal(size=(samples, *shape))

    page, value = np.sqrt(shared / 2) * normal(pages, 1), np.sqrt((1 - shared) * both) * normal(pages, VALUES)

    def model(rate: float) -> NDArray[np.bool_]:
        own = np.sqrt(shared / 2) * normal(pages, 1) + np.sqrt((1 - shared) * (1 - both)) * normal(pages, VALUES)
        found: NDArray[np.bool_] = page + value + own < norm.ppf(rate)
        return found

    first, second = model(one), model(other)
    second &= ~(rng.random((samples, pages, 1)) < broken)
    return (second.astype(float) - first) * there, there, (1 - broken) * other - one


def before(changes: Floats, there: Floats) -> tuple[float, float]:
    """The interval of one sample as it was made until 2026-11-27."""
    weight = len(there) / there.sum(axis=0) / VALUES
    most = float((there * weight).sum(axis=1).max())
    found = mean_score([(changes * weight).sum(axis=1).tolist()], -most, most)
    return found.low, found.high


def over_pages(changes: Floats, there: Floats) -> tuple[Floats, Floats]:
    """Student's t over the residuals, all samples."""
    pages, totals = len(there), there.sum(axis=0)
    means = changes.sum(axis=1) / totals
    left = ((changes - means[:, None] * there) / totals).mean(axis=-1)
    half = t.ppf(0.975, pages - 1) * np.sqrt(pages / (pages - 1) * (left**2).sum(axis=1))
    value = means.mean(axis=-1)
    return value - half, value + half


def by_design_effect(
    alone: Estimate, scores: Sequence[float], units: Sequence[Hashable], groups: Sequence[Hashable] | None = None
) -> Estimate:
    """Either side longer by the root of the design effect (Kish 1965): `by_cluster` as it was until 2026-11-28."""
    times = math.sqrt(design_effect(scores, units, groups))
    low, high = alone.value - times * (alone.value - alone.low), alone.value + times * (alone.high - alone.value)
    return replace(alone, low=max(low, -1.0), high=min(high, 1.0))


def told(low: Floats, high: Floats, truth: float) -> str:
    """Coverage and half-width."""
    return f"{100 * np.mean((low <= truth) & (truth <= high)):.1f} (±{50 * np.mean(high - low):.1f})"


def pages_table(samples: int) -> None:
    """Print it."""
    rng = np.random.default_rng(5)
    sys.stdout.write("| pages | | now | before | t over pages |\n|---|---|---|---|---|\n")
    for pages in (20, 60, 240):
        for name, case in ALIKE.items():
            changes, there, truth = page_changes(rng, samples, pages, case)
            _, low, high = change_bounds(changes, there)
            old = np.asarray([before(one, there) for one in changes[: samples // 4]])
            row = (told(low, high, truth), told(old[:, 0], old[:, 1], truth), told(*over_pages(changes, there), truth))
            sys.stdout.write(f"| {pages} | {name} | {' | '.join(row)} |\n")
            sys.stdout.flush()


def subjects_table(samples: int) -> None:
    """Print it."""
    rng, subjects, truth = np.random.default_rng(6), 125, 0.08
    units = [at // 2 for at in range(2 * subjects)]
    sys.stdout.write("\n| ρ | by question | by design effect | by subject as a page |\n|---|---|---|---|\n")
    for alike in (0.0, 0.3, 0.6, 1.0):
        ends, drawn = [], []
        for _ in range(samples):
            change = rng.choice([-1, 0, 1], (subjects, 2), p=[0.06, 0.8, 0.14])
            change[:, 1] = np.where(rng.random(subjects) < alike, change[:, 0], change[:, 1])
            flat = change.ravel()
            drawn.append(change.sum(axis=1)[:, None].astype(float))
            alone = paired([Pairs.of((flat < 0).tolist(), (flat > 0).tolist())])
            both = by_design_effect(alone, flat.tolist(), units)
            ends.append((alone.low, alone.high, both.low, both.high))
        low, high, wide_low, wide_high = np.asarray(ends).T
        _, page_low, page_high = change_bounds(np.asarray(drawn), np.full((subjects, 1), 2.0))
        cells = (told(low, high, truth), told(wide_low, wide_high, truth), told(page_low, page_high, truth))
        sys.stdout.write(f"| {alike:g} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=2_000)
    given = parser.parse_args()
    pages_table(given.samples)
    subjects_table(given.samples)


if __name__ == "__main__":
    main()
