"""Verdicts on simulated data curves of known shape: how often right, wrong, undecided; how often the n_sat interval
covers the truth.

    python benchmarks/curve_verdicts.py [--curves 60] [--seed 0] [--most-trainings 60]

Every kind is simulated `--curves` times with its own shape, amplitude, sizes, seeds, items and noise, all drawn at
random. The simulated shapes are mostly not the fitted families: exponential approaches, hyperbolas, logarithms, ramps,
falls straight in n or in log n, and means of steps that are each learned at their own size. Prints a Markdown table
with 95 % intervals. With `--most-trainings`, undecided curves go on as `--until decided` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recollect.curve import Items, Observations, Verdict, judge_curve
from recollect.curve._verdict import KINDS, classify
from recollect.statistics import proportion

MARGIN = 2.0
GRIDS = (
    (0, 15, 60, 250, 1000),
    (0, 30, 60, 120, 240, 480, 960, 1920),
    (0, 15, 60, 150, 400, 1000),
    (60, 120, 240, 480, 960, 1920),
)
SHORT = ((0, 15, 60, 250), (0, 60, 240, 960), (30, 120, 480, 1920))


@dataclass(frozen=True)
class Case:
    """One kind of simulated curve: what it must turn out as, how many seeds, and how far single runs spread."""

    name: str
    truth: str
    seeds: tuple[int, int]
    spread: tuple[float, float]
    easy: bool = False
    grids: tuple[tuple[int, ...], ...] = GRIDS


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
    Case("saturating, 4 sizes", "saturated", (2, 3), (0.5, 2.5), grids=SHORT),
    Case("rising, 4 sizes", "rising", (2, 3), (0.5, 2.5), grids=SHORT),
    Case("peaked, 4 sizes", "peaked", (2, 3), (0.5, 2.5), grids=SHORT),
    Case("saturating, 1 seed", "saturated", (1, 1), (0.5, 1.5)),
    Case("rising, 1 seed", "rising", (1, 1), (0.5, 1.5)),
    Case("peaked, 1 seed", "peaked", (1, 1), (0.5, 1.5)),
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
    steps = _steps(rng, largest)
    if kind == "rising":
        form = rng.integers(4)
        if form == 3:
            return lambda n: base + gain * steps(n)
        if form == 0:  # logarithm
            start = rng.uniform(5, 60)
            return lambda n: base + gain * np.log1p(n / start) / np.log1p(largest / start)
        if form == 1:  # slow hyperbola
            half = rng.uniform(0.2, 1.0) * largest
            return lambda n: base + gain * n / (n + half)
        middle, width = rng.uniform(0.2, 0.6) * largest, rng.uniform(0.8, 1.5)  # S in log n
        return lambda n: base + gain / (1 + (middle / np.maximum(n, 1e-9)) ** width)
    half = rng.uniform(0.004, 0.06) * largest
    form = rng.integers(4)
    rise: Curve
    if form == 0:
        rise = lambda n: 1 - np.exp(-n / half)  # noqa: E731
    elif form == 1:
        rise = lambda n: 1 / (1 + (half / np.maximum(n, 1e-9)) ** 1.6)  # noqa: E731
    elif form == 2:
        rise = steps
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


def _steps(rng: np.random.Generator, largest: float) -> Curve:
    """The mean of three to eight steps (attributes, levels), each learned at its own size, from 0 to 1."""
    count = int(rng.integers(3, 9))
    latest = largest * np.exp(rng.uniform(np.log(0.05), np.log(1.0)))
    halves = np.exp(rng.uniform(np.log(0.004 * largest), np.log(latest), count))
    powers = rng.uniform(1.5, 5.0, count)
    return lambda n: np.asarray(
        np.mean([1 / (1 + (h / np.maximum(n, 1e-9)) ** q) for h, q in zip(halves, powers, strict=True)], axis=0)
    )


def _as_share(curve: Curve) -> Curve:
    return lambda n: np.clip(curve(n), 0.0, 100.0)


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


class Laboratory:
    """Simulated trainings on one curve: 300 to 1,500 items in five groups, alike in part from run to run."""

    def __init__(self, rng: np.random.Generator, curve: Curve, spread: float) -> None:
        self.rng, self.curve, self.spread = rng, curve, spread
        self.alike, count = rng.uniform(0.5, 0.95), int(rng.integers(300, 1500))
        self.group, self.fixed = rng.integers(0, 5, count).astype(np.int64), rng.random(count)
        self.rows: list[np.ndarray] = []
        self.places: list[tuple[int, int]] = []

    def run(self, size: int, seeds: int) -> None:
        """Add `seeds` trainings at a size; size 0 is asked once."""
        have = sum(place[0] == size for place in self.places)
        for seed in range(have, have + seeds if size else 1):
            level = self.curve(np.asarray([float(size)]))[0] + (self.spread * self.rng.standard_normal() if size else 0)
            noise = self.rng.random(len(self.fixed))
            own = np.where(self.rng.random(len(self.fixed)) < self.alike, self.fixed, noise)
            self.rows.append((own < level / 100).astype(float))
            self.places.append((size, seed))

    def seen(self) -> Observations:
        """All runs so far."""
        order = sorted(range(len(self.places)), key=self.places.__getitem__)
        items = Items(np.asarray([self.rows[at] for at in order]), self.group, np.arange(len(self.group)))
        place = np.asarray([self.places[at] for at in order], dtype=np.int64)
        return Observations(place[:, 0], place[:, 1], 100 * items.scores(), items)


@dataclass
class Count:
    """What became of the curves of one kind."""

    curves: int = 0
    right: int = 0
    undecided: int = 0
    wrong: int = 0
    covered: int = 0
    ahead: int = 0
    ahead_covered: int = 0
    trainings: int = 0

    def row(self, name: str) -> str:
        """One line of the table: shares with their 95 % intervals (Wilson)."""
        counts = [(n, self.curves) for n in (self.right, self.undecided, self.wrong)]
        counts += [(self.wrong, self.right + self.wrong), (self.covered, self.curves), (self.ahead_covered, self.ahead)]
        trainings = f"{self.trainings / self.curves:.0f}"
        return f"| {name} | {self.curves} | {trainings} | " + " | ".join(_share(*one) for one in counts) + " |"


HEAD = (
    "| simulated | n | trainings | right | undecided | wrong | wrong of decided | n_sat in its interval "
    "| gain of doubling in its interval |"
)


def simulate(case: Case, curves: int, seed: int, most_trainings: int = 0) -> Count:
    """Judge `curves` simulated curves of one kind; run what is asked for until decided, up to `most_trainings`."""
    rng = np.random.default_rng([seed, CASES.index(case)])
    count = Count()
    while count.curves < curves:
        sizes = GRIDS[1] if case.easy else case.grids[int(rng.integers(len(case.grids)))]
        most = 8 * sizes[-1]
        curve = _as_share(make_curve(rng, case.name.split(",")[0], float(sizes[-1])))
        truth, _ = truth_of(curve, sizes, MARGIN)
        if truth != case.truth or (case.easy and not clear(curve, sizes, truth, MARGIN)):
            continue
        seeds = int(rng.integers(case.seeds[0], case.seeds[1] + 1))
        runs = Laboratory(rng, curve, rng.uniform(*case.spread))
        for size in sizes:
            runs.run(size, seeds)
        verdict = judge_curve(runs.seen(), MARGIN, most=most)
        while verdict.name == "undecided" and len(runs.places) + len(verdict.next) * seeds <= most_trainings:
            for one in verdict.next:
                runs.run(one.size, seeds)
            verdict = judge_curve(runs.seen(), MARGIN, most=most)
        _add(count, verdict, curve, len(runs.places))
    return count


def _add(count: Count, verdict: Verdict, curve: Curve, trainings: int) -> None:
    """Compare with the truth over the range that was run in the end."""
    largest = verdict.sizes[-1]
    truth, n_sat = truth_of(curve, verdict.sizes, MARGIN)
    count.curves += 1
    count.trainings += trainings
    count.right += verdict.name == truth
    count.undecided += verdict.name == "undecided"
    count.wrong += verdict.name not in (truth, "undecided")
    count.covered += verdict.n_sat.low <= n_sat <= verdict.n_sat.high
    for double in verdict.gains[-1:]:
        if not double.measured:
            gain = float(np.diff(curve(np.asarray([largest, 2.0 * largest])))[0])
            count.ahead += 1
            count.ahead_covered += double.points.low <= gain <= double.points.high


def _share(part: int, n: int) -> str:
    if not n:
        return "–"
    value, low, high = proportion(part, n).percent
    return f"{value:.0f} % ({low:.0f}–{high:.0f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=60, help="simulated curves of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-trainings", type=int, default=0, help="go on until decided, up to so many trainings")
    given = parser.parse_args()
    print(f"{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
    all_of = Count()
    for case in CASES:
        count = simulate(case, given.curves, given.seed, given.most_trainings)
        print(count.row(case.name), flush=True)
        for name in vars(all_of):
            setattr(all_of, name, getattr(all_of, name) + getattr(count, name))
    print(all_of.row("all"))


if __name__ == "__main__":
    main()
