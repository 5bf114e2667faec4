"""Verdicts on simulated data curves of known shape: how often right, wrong, undecided; how often the n_sat interval
covers the truth.

    python benchmarks/curve_verdicts.py [--curves 60] [--seed 0]

Every kind is simulated `--curves` times with its own shape, amplitude, sizes, seeds, items and noise, all drawn at
random. The simulated shapes are not the fitted families: exponential approaches, hyperbolas, logarithms, bells, ramps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recollect.curve import Items, Observations, judge_curve
from recollect.curve._verdict import KINDS, classify

MARGIN = 2.0
WIDTHS = (8, 11, 7, 15, 20)
GRIDS = (
    (0, 15, 60, 240, 960),
    (0, 30, 60, 120, 240, 480, 960, 1920),
    (0, 15, 60, 150, 400, 1000),
    (60, 120, 240, 480, 960, 1920),
)


@dataclass(frozen=True)
class Case:
    """One kind of simulated curve: what it must turn out as, how many seeds, and how far single runs spread."""

    name: str
    truth: str
    seeds: tuple[int, int]
    spread: tuple[float, float]
    easy: bool = False


CASES = (
    Case("saturating", "saturated", (3, 5), (0.5, 1.5)),
    Case("rising", "rising", (3, 5), (0.5, 1.5)),
    Case("peaked", "peaked", (3, 5), (0.5, 1.5)),
    Case("flat", "saturated", (3, 5), (0.5, 1.5)),
    Case("saturating, noisy", "saturated", (3, 5), (2.0, 4.0)),
    Case("rising, noisy", "rising", (3, 5), (2.0, 4.0)),
    Case("peaked, noisy", "peaked", (3, 5), (2.0, 4.0)),
    Case("saturating, 2 seeds", "saturated", (2, 2), (0.5, 2.0)),
    Case("rising, 2 seeds", "rising", (2, 2), (0.5, 2.0)),
    Case("peaked, 2 seeds", "peaked", (2, 2), (0.5, 2.0)),
    Case("saturating, easy", "saturated", (3, 5), (0.3, 0.8), easy=True),
    Case("rising, easy", "rising", (3, 5), (0.3, 0.8), easy=True),
    Case("peaked, easy", "peaked", (3, 5), (0.3, 0.8), easy=True),
)
Curve = Callable[[np.ndarray], np.ndarray]


def make_curve(rng: np.random.Generator, kind: str, largest: float) -> Curve:
    """A random curve (in points) that looks like `kind`; whether it is one is decided by the definitions."""
    base, gain = rng.uniform(5, 40), rng.uniform(10, 40)
    if kind == "flat":
        slope = rng.uniform(-0.3, 0.3)
        return lambda n: base + gain + slope * np.log1p(n / largest)
    if kind == "rising":
        form = rng.integers(3)
        if form == 0:  # logarithm
            start = rng.uniform(5, 60)
            return lambda n: base + gain * np.log1p(n / start) / np.log1p(largest / start)
        if form == 1:  # slow hyperbola
            half = rng.uniform(0.2, 1.0) * largest
            return lambda n: base + gain * n / (n + half)
        middle, width = rng.uniform(0.2, 0.6) * largest, rng.uniform(0.8, 1.5)  # S in log n
        return lambda n: base + gain / (1 + (middle / np.maximum(n, 1e-9)) ** width)
    half = rng.uniform(0.004, 0.06) * largest
    form = rng.integers(3)
    rise: Curve
    if form == 0:
        rise = lambda n: 1 - np.exp(-n / half)  # noqa: E731
    elif form == 1:
        rise = lambda n: 1 / (1 + (half / np.maximum(n, 1e-9)) ** 1.6)  # noqa: E731
    else:
        rise = lambda n: np.minimum(1.0, np.log1p(n / 5) / np.log1p(3 * half / 5))  # noqa: E731
    if kind == "saturating":
        return lambda n: base + gain * rise(n)
    top, fall = rng.uniform(0.05, 0.4) * largest, rng.uniform(4, 20)
    in_log = rng.random() < 0.5

    def peaked(n: np.ndarray) -> np.ndarray:
        """Rise, then a fall, straight in log n or in n."""
        past = np.maximum(0, np.log(np.maximum(n, 1e-9) / top)) / np.log(largest / top)
        if not in_log:
            past = np.maximum(0, n - top) / (largest - top)
        return np.asarray(base + gain * rise(n) - fall * past)

    return peaked


def truth_of(curve: Curve, sizes: tuple[int, ...], margin: float) -> tuple[str, float]:
    """The verdict and n_sat of the true curve, by the definitions."""
    places = np.unique(
        np.concatenate([np.linspace(sizes[0], sizes[-1], 20_000), np.geomspace(max(sizes[0], 0.5), sizes[-1], 5000)])
    )
    kind, n_sat, _, _ = classify(places, curve(places)[None, :], margin)
    return KINDS[int(kind[0])], float(n_sat[0])


def clear(curve: Curve, sizes: tuple[int, ...], truth: str, margin: float) -> bool:
    """Whether the verdict also holds at half and at twice the margin."""
    return all(truth_of(curve, sizes, factor * margin)[0] == truth for factor in (0.5, 2.0))


def observe(rng: np.random.Generator, curve: Curve, sizes: tuple[int, ...], seeds: int, spread: float) -> Observations:
    """Runs on simulated items: 300 to 1,500 items in five groups, alike in part from run to run."""
    count, alike = int(rng.integers(300, 1500)), rng.uniform(0.5, 0.95)
    group, fixed = rng.integers(0, 5, count), rng.random(count)
    rows, keys = [], []
    for size in sizes:
        for seed in range(seeds if size else 1):
            level = curve(np.asarray([float(size)]))[0] + (spread * rng.standard_normal() if size else 0.0)
            own = np.where(rng.random(count) < alike, fixed, rng.random(count))
            rows.append(own < level / 100)
            keys.append((size, seed))
    items = Items(np.asarray(rows, dtype=float), group.astype(np.int64), np.arange(count))
    at = np.asarray(keys, dtype=np.int64)
    return Observations(at[:, 0], at[:, 1], 100 * items.scores(), items)


@dataclass
class Count:
    """What became of the curves of one kind."""

    curves: int = 0
    right: int = 0
    wrong: int = 0
    undecided: int = 0
    covered: int = 0
    ahead: int = 0
    ahead_covered: int = 0


def simulate(case: Case, curves: int, seed: int) -> Count:
    """Judge `curves` simulated curves of one kind."""
    rng = np.random.default_rng([seed, CASES.index(case)])
    count = Count()
    while count.curves < curves:
        sizes = GRIDS[1] if case.easy else GRIDS[int(rng.integers(len(GRIDS)))]
        curve = make_curve(rng, case.name.split(",")[0], float(sizes[-1]))
        truth, n_sat = truth_of(curve, sizes, MARGIN)
        if truth != case.truth or (case.easy and not clear(curve, sizes, truth, MARGIN)):
            continue
        seeds, spread = int(rng.integers(case.seeds[0], case.seeds[1] + 1)), rng.uniform(*case.spread)
        verdict = judge_curve(observe(rng, curve, sizes, seeds, spread), MARGIN)
        count.curves += 1
        count.right += verdict.name == truth
        count.undecided += verdict.name == "undecided"
        count.wrong += verdict.name not in (truth, "undecided")
        double = next((gain for gain in verdict.gains if not gain.measured), None)
        if double is not None:
            gain = float(np.diff(curve(np.asarray([sizes[-1], 2.0 * sizes[-1]])))[0])
            count.ahead += 1
            count.ahead_covered += double.points.low <= gain <= double.points.high
        count.covered += verdict.n_sat.low <= n_sat <= verdict.n_sat.high
    return count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = ("right", "undecided", "wrong", "n_sat covered", "gain of 2N covered")
    print(f"{'simulated':<22}{'curves':>7}" + "".join(f"{name:>{w}}" for name, w in zip(names, WIDTHS, strict=True)))
    all_of = Count()
    for case in CASES:
        count = simulate(case, arguments.curves, arguments.seed)
        _row(case.name, count)
        for name in vars(all_of):
            setattr(all_of, name, getattr(all_of, name) + getattr(count, name))
    _row("all", all_of)


def _row(name: str, count: Count) -> None:
    pairs = [(part, count.curves) for part in (count.right, count.undecided, count.wrong, count.covered)]
    shown = [f"{100 * part / n:.0f} %" if n else "–" for part, n in [*pairs, (count.ahead_covered, count.ahead)]]
    cells = "".join(f"{text:>{width}}" for text, width in zip(shown, WIDTHS, strict=True))
    print(f"{name:<22}{count.curves:>7}{cells}", flush=True)


if __name__ == "__main__":
    main()
