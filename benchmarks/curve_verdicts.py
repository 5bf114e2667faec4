"""Verdicts on simulated data curves of known shape: how often right, wrong, undecided; how often intervals hold.

    python benchmarks/curve_verdicts.py [--curves 100] [--seed 0] [--most-trainings 60] [--only flat,peak]

Every shape is simulated `--curves` times with its own amplitude, sizes, seeds, items and noise, all drawn at random,
and judged against the definitions on the true curve at all sizes, measured or not. "Edge" shapes lie 0.2 points to
either side of the margin. "Clear" ones have low noise, eight sizes, and a truth that also holds at half and at twice
the margin: they show how often a verdict is given. Prints a Markdown table with 95 % intervals. With
`--most-trainings`, undecided curves go on as `--until decided` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from recollect.core.estimates import proportion
from recollect.experiments.curve import Items, Observations, Verdict, judge_curve

MARGIN = 2.0
GRIDS = (
    (0, 15, 60, 250, 500, 1000),
    (0, 15, 60, 250, 1000),
    (0, 30, 60, 120, 240, 480, 960, 1920),
    (0, 15, 60, 150, 400, 1000),
    (60, 120, 240, 480, 960, 1920),
    (0, 15, 60, 250),
    (0, 60, 240, 960),
    (10, 14, 20, 28, 40, 57, 80, 113, 160, 226, 320, 453, 640),
)
FINE = GRIDS[2]
Curve = Callable[[np.ndarray], np.ndarray]
Shape = Callable[[np.random.Generator, float], Curve]


def _log2(n: np.ndarray, place: float) -> np.ndarray:
    """Doublings from `place` to n; far below it at 0."""
    return np.log2(np.maximum(n, 1e-6) / place)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A place between two shares of the largest size, evenly on the log axis."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _base(rng: np.random.Generator) -> float:
    return float(rng.uniform(15, 45))


def _steep(rng: np.random.Generator, largest: float) -> Curve:
    """From 0 to its level within the smallest sizes, as stored knowledge is activated."""
    top, half = rng.uniform(20, 60), _between(rng, 0.005, 0.03) * largest
    return lambda n: top * (1 - np.exp(-n / half))


# -- shapes ------------------------------------------------------------------------------------------------------


def flat(rng: np.random.Generator, largest: float) -> Curve:
    """Level within 0.6 points."""
    base, slope = _base(rng), rng.uniform(-0.3, 0.3)
    return lambda n: base + slope * np.log1p(n / largest)


def saturating(rng: np.random.Generator, largest: float) -> Curve:
    """An exponential, a sigmoid in log n or a ramp in log n to a level."""
    base, gain, half, form = _base(rng), rng.uniform(5, 40), _between(rng, 0.004, 0.1) * largest, rng.integers(3)
    if form == 0:
        return lambda n: base + gain * (1 - np.exp(-n / half))
    if form == 1:
        return lambda n: base + gain / (1 + (half / np.maximum(n, 1e-9)) ** 1.6)
    return lambda n: base + gain * np.minimum(1.0, np.log1p(n / 5) / np.log1p(3 * half / 5))


def log(rng: np.random.Generator, largest: float) -> Curve:
    """A logarithm: the same gain at every doubling."""
    base, gain, start = _base(rng), rng.uniform(5, 40), rng.uniform(5, 60)
    return lambda n: base + gain * np.log1p(n / start) / np.log1p(largest / start)


def power(rng: np.random.Generator, largest: float) -> Curve:
    """A slow power law or hyperbola."""
    base, gain, half, slow = _base(rng), rng.uniform(10, 50), _between(rng, 0.02, 1.0) * largest, rng.uniform(0.2, 1)
    return lambda n: base + gain * (1 - (1 + n / half) ** -slow)


def straight(rng: np.random.Generator, largest: float) -> Curve:
    """Straight in n, up or down."""
    base, gain = _base(rng), rng.uniform(-12, 25)
    return lambda n: base + gain * n / largest


def late_step(rng: np.random.Generator, largest: float) -> Curve:
    """A steep rise, a level, and a second steep step anywhere on the upper half of the log axis."""
    first, gain, at = _steep(rng, largest), rng.uniform(3, 20), _between(rng, 0.08, 0.95) * largest
    return lambda n: first(n) + gain / (1 + (at / np.maximum(n, 1e-6)) ** 20)


def staircase(rng: np.random.Generator, largest: float) -> Curve:
    """The mean of three to eight steps (attributes, levels), each learned at its own size."""
    base, gain, count = _base(rng), rng.uniform(10, 50), int(rng.integers(3, 9))
    latest = largest * _between(rng, 0.05, 1.0)
    halves = np.exp(rng.uniform(np.log(0.004 * largest), np.log(latest), count))
    powers = rng.uniform(1.5, 8.0, count)

    def steps(n: np.ndarray) -> np.ndarray:
        each = [1 / (1 + (h / np.maximum(n, 1e-9)) ** q) for h, q in zip(halves, powers, strict=True)]
        return np.asarray(base + gain * np.mean(each, axis=0))

    return steps


def falling(rng: np.random.Generator, largest: float) -> Curve:
    """Down from the first example on, in n or in log n."""
    base, fall, start, in_log = rng.uniform(25, 70), rng.uniform(1, 20), rng.uniform(5, 100), rng.random() < 0.5
    if in_log:
        return lambda n: base - fall * np.log1p(n / start) / np.log1p(largest / start)
    return lambda n: base - fall * n / largest


def steep_fall(rng: np.random.Generator, largest: float) -> Curve:
    """A steep rise, then a fall of 1 to 12 points from anywhere on, straight in n or in log n."""
    rise, fall, top = _steep(rng, largest), rng.uniform(1, 12), _between(rng, 0.03, 0.9) * largest
    in_log = rng.random() < 0.5

    def curve(n: np.ndarray) -> np.ndarray:
        past = np.maximum(0, _log2(n, top)) / np.log2(largest / top)
        return np.asarray(rise(n) - fall * (past if in_log else np.maximum(0, n - top) / (largest - top)))

    return curve


def late_fall(rng: np.random.Generator, largest: float) -> Curve:
    """A steep rise, level, and a drop within the last doublings, as of a training that breaks."""
    rise, fall, at = _steep(rng, largest), rng.uniform(2.5, 15), _between(rng, 0.3, 0.9) * largest
    return lambda n: rise(n) - fall / (1 + (at / np.maximum(n, 1e-6)) ** 20)


def peak(rng: np.random.Generator, largest: float) -> Curve:
    """Up and down in log n with the peak at any place, a factor of 4 to 60 wide at half its height."""
    base, height, top, width = _base(rng), rng.uniform(3, 25), _between(rng, 0.02, 1.5) * largest, rng.uniform(2, 6)
    return lambda n: base + height * np.exp(-np.log(2) * (2 * _log2(n, top) / width) ** 2)


def dip(rng: np.random.Generator, largest: float) -> Curve:
    """Down and up again in log n, the lowest point at any place."""
    base, depth, at, width = (
        rng.uniform(30, 60),
        rng.uniform(2, 15),
        _between(rng, 0.02, 1) * largest,
        rng.uniform(2, 6),
    )
    return lambda n: base - depth * np.exp(-np.log(2) * (2 * _log2(n, at) / width) ** 2)


def edge_rise(rng: np.random.Generator, largest: float) -> Curve:
    """Level, then a last doubling that brings the margin, more or less 0.2."""
    rise, gain = _steep(rng, largest), MARGIN + 0.2 * rng.choice([-1, 1])
    return lambda n: rise(n) + gain * np.clip(_log2(n, largest / 2), 0, 1)


def edge_fall(rng: np.random.Generator, largest: float) -> Curve:
    """Level, then a last doubling that costs the margin, more or less 0.2."""
    rise, fall = _steep(rng, largest), MARGIN + 0.2 * rng.choice([-1, 1])
    return lambda n: rise(n) - fall * np.clip(_log2(n, largest / 2), 0, 1)


def edge_slope(rng: np.random.Generator, largest: float) -> Curve:
    """The margin at every doubling, more or less 0.2, up or down."""
    base, slope = rng.uniform(30, 50), (MARGIN + 0.2 * rng.choice([-1, 1])) * rng.choice([-1, 1])
    return lambda n: base + slope * np.log2(np.maximum(n, largest / 60) / largest)


def edge_hump(rng: np.random.Generator, largest: float) -> Curve:
    """Level but for a hump that lies the margin, more or less 0.2, above the end; a factor of 4 to 16 wide."""
    rise, height, width = _steep(rng, largest), MARGIN + 0.2 * rng.choice([-1, 1]), rng.uniform(2, 4)
    top = _between(rng, 0.1, 0.35) * largest
    return lambda n: rise(n) + height * (np.abs(_log2(n, top)) < width / 2)


SHAPES: dict[str, Shape] = {
    "flat": flat,
    "saturating": saturating,
    "logarithm": log,
    "slow power": power,
    "straight": straight,
    "late step": late_step,
    "staircase": staircase,
    "falling": falling,
    "steep, then falling": steep_fall,
    "steep, late fall": late_fall,
    "peak at any place": peak,
    "dip at any place": dip,
    "edge: last doubling": edge_rise,
    "edge: late fall": edge_fall,
    "edge: slope": edge_slope,
    "edge: hump": edge_hump,
}


# -- truth -------------------------------------------------------------------------------------------------------


def classify(places: np.ndarray, curve: np.ndarray, margin: float) -> tuple[str, float]:
    """Kind and n_sat of a known curve at `places` (ascending to N), by the definitions of `curve.verdict`."""
    later = np.maximum.accumulate(curve[::-1])[::-1]
    n_sat = float(places[int((later - curve <= margin).argmax())])
    if curve.max() - curve[-1] > margin:
        return "peaked", n_sat
    return ("rising" if n_sat > max(places[-1] / 2, places[0]) else "saturated"), n_sat


def truth_of(curve: Curve, sizes: tuple[int, ...], margin: float) -> tuple[str, float]:
    """The verdict and n_sat of the true curve, at all sizes in the range."""
    even, log_even = np.linspace(sizes[0], sizes[-1], 4000), np.geomspace(max(sizes[0], 0.5), sizes[-1], 4000)
    places = np.unique(np.concatenate([even, log_even]))
    return classify(places, curve(places), margin)


def clear(curve: Curve, sizes: tuple[int, ...]) -> bool:
    """Whether the verdict also holds at half and at twice the margin."""
    return len({truth_of(curve, sizes, factor * MARGIN)[0] for factor in (0.5, 1.0, 2.0)}) == 1


# -- simulated trainings -----------------------------------------------------------------------------------------


class Laboratory:
    """Simulated trainings on one curve: `count` items in five groups, alike in part from run to run; 0: scores only."""

    def __init__(self, rng: np.random.Generator, curve: Curve, spread: float, count: int) -> None:
        self.rng, self.spread = rng, spread
        self.curve: Curve = lambda n: np.clip(curve(n), 0.0, 100.0)
        self.alike = rng.uniform(0.5, 0.95)
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
            self.rows.append((own < level / 100).astype(float) if len(own) else np.asarray(level))
            self.places.append((size, seed))

    def seen(self) -> Observations:
        """All runs so far."""
        order = sorted(range(len(self.places)), key=self.places.__getitem__)
        place, rows = np.asarray([self.places[at] for at in order]), [self.rows[at] for at in order]
        if not len(self.fixed):
            return Observations.of(place[:, 0].tolist(), place[:, 1].tolist(), [float(row) for row in rows])
        items = Items(np.asarray(rows), self.group, np.arange(len(self.group)))
        return Observations(place[:, 0], place[:, 1], 100 * items.scores(), items)


@dataclass
class Count:
    """What became of the curves of one shape."""

    curves: int = 0
    trainings: int = 0
    right: int = 0
    undecided: int = 0
    wrong: int = 0
    sat: int = 0
    half: int = 0
    half_held: int = 0
    double: int = 0
    double_held: int = 0

    def add(self, other: Count) -> None:
        """Add another's numbers."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def row(self, name: str) -> str:
        """One line of the table: shares with their exact 95 % intervals."""
        counts = [(n, self.curves) for n in (self.right, self.undecided, self.wrong, self.sat)]
        counts += [(self.half_held, self.half), (self.double_held, self.double)]
        cells = [name, str(self.curves), f"{self.trainings / self.curves:.0f}", *(_share(*one) for one in counts)]
        return f"| {' | '.join(cells)} |"


HEAD = "| shape | n | trainings | right | undecided | wrong | n_sat held | last doubling held | next doubling held |"


@dataclass(frozen=True)
class Bench:
    """Under which conditions curves are simulated; every range is drawn from anew for each curve."""

    seeds: tuple[int, int] = (2, 5)
    spread: tuple[float, float] = (0.3, 4.0)
    grids: tuple[tuple[int, ...], ...] = GRIDS
    items: tuple[int, int] | None = (300, 1500)
    """None: scores alone are known."""
    clear: bool = False
    most_trainings: int = 0


CLEAR = Bench(seeds=(3, 5), spread=(0.3, 0.8), grids=(FINE, GRIDS[0]), clear=True)


def simulate(shape: str, bench: Bench, curves: int, seed: int) -> Count:
    """Judge `curves` simulated curves of one shape."""
    rng, count = np.random.default_rng([seed, list(SHAPES).index(shape)]), Count()
    while count.curves < curves:
        sizes = bench.grids[int(rng.integers(len(bench.grids)))]
        curve = SHAPES[shape](rng, float(sizes[-1]))
        if bench.clear and not clear(curve, sizes):
            continue
        seeds = int(rng.integers(bench.seeds[0], bench.seeds[1] + 1))
        items = int(rng.integers(*bench.items)) if bench.items else 0
        runs = Laboratory(rng, curve, float(np.exp(rng.uniform(*np.log(bench.spread)))), items)
        for size in sizes:
            runs.run(size, seeds)
        count.add(judged(runs, seeds, bench.most_trainings))
    return count


def judged(runs: Laboratory, seeds: int, most_trainings: int) -> Count:
    """Judge, go on where asked to, and compare with the truth over the range that was run in the end."""
    most = 8 * max(size for size, _ in runs.places)
    verdict = judge_curve(runs.seen(), MARGIN, most=most)
    while verdict.name == "undecided" and len(runs.places) + len(verdict.next) * seeds <= most_trainings:
        for one in verdict.next:
            runs.run(one.size, seeds)
        verdict = judge_curve(runs.seen(), MARGIN, most=most)
    return compare(verdict, runs.curve, len(runs.places))


def compare(verdict: Verdict, curve: Curve, trainings: int) -> Count:
    """One curve's verdict and intervals against its truth."""
    truth, n_sat = truth_of(curve, verdict.sizes, MARGIN)
    found = Count(curves=1, trainings=trainings)
    found.right = int(verdict.name == truth)
    found.undecided = int(verdict.name == "undecided")
    found.wrong = 1 - found.right - found.undecided
    found.sat = int(verdict.n_sat.low <= n_sat <= verdict.n_sat.high)
    for gain in (verdict.last_doubling, verdict.gains[-1]):
        if gain is None or gain.measured != (gain is verdict.last_doubling):
            continue
        change = float(np.diff(curve(np.asarray([float(gain.start), float(gain.end)])))[0])
        held = int(gain.points.low <= change <= gain.points.high)
        if gain.measured:
            found.half, found.half_held = 1, held
        else:
            found.double, found.double_held = 1, held
    return found


def _share(part: int, n: int) -> str:
    if not n:
        return "–"
    value, low, high = proportion(part, n).percent
    return f"{value:.0f} % ({low:.0f}–{high:.0f})"


def main() -> None:
    """Print the table of all shapes, then that of clear curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=100, help="simulated curves of each shape")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-trainings", type=int, default=0, help="go on until decided, up to so many trainings")
    parser.add_argument("--only", default="", help="shapes, separated by commas; default: all")
    given = parser.parse_args()
    names = [name for name in SHAPES if not given.only or name in given.only.split(",")]
    print(f"{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
    for title, bench in (("", Bench(most_trainings=given.most_trainings)), ("clear: ", CLEAR)):
        total = Count()
        for name in names:
            if bench.clear and name.startswith("edge"):
                continue
            count = simulate(name, bench, given.curves, given.seed)
            print(count.row(title + name), flush=True)
            total.add(count)
        print(total.row(f"{title}all"), flush=True)


if __name__ == "__main__":
    main()
