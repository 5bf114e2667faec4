"""How often an interval over questions holds what a way to train gains, when trainings are lucky.

    python benchmarks/fit_luck.py [--fits 1000]

Two ways to train differ by 5 points. Each training has a luck of its own, a normal draw with the given standard
deviation. The second way is the mean of its seeds, with less, or one training. Both are asked the same questions, and
the second way's seeds the same validation questions. Prints, by the luck, how often each 95 % interval holds the 5
points and its mean half width: over questions alone; with the seeds' variance less what the validation questions make
of it; with the seeds' variance as it is; with that shrunk towards three points, which is what a fit says
(`core.estimates.over_trainings`, `experiments.fit.luck`). Some cases are at the level of one of two or six comparisons.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from recollect.core.estimates import Pairs, Spread, over_trainings, paired
from recollect.experiments.fit.luck import shrunk

GAIN, ALIKE = 0.05, 0.6
"""Gain, and how alike the models find a question hard."""
LUCK = (0.0, 0.02, 0.03, 0.04, 0.06)
CASES = (
    ("facts, 3 seeds, mean of 3 over one", (0.45, 250, 120, 3, 3, 0.95)),
    ("facts, 3 seeds, one over one", (0.45, 250, 120, 3, 1, 0.95)),
    ("facts, 2 seeds, mean of 2 over one", (0.45, 250, 120, 2, 2, 0.95)),
    ("facts, 5 seeds, mean of 5 over one", (0.45, 250, 120, 5, 5, 0.95)),
    ("chats, 3 seeds, mean of 3 over one", (0.45, 48, 34, 3, 3, 0.95)),
    ("pages, 3 seeds, mean of 3 over one", (0.75, 600, 150, 3, 3, 0.95)),
    ("facts, 2 seeds, mean of 2 over one, at 97.5 %", (0.45, 250, 120, 2, 2, 0.975)),
    ("facts, 3 seeds, mean of 3 over one, at 97.5 %", (0.45, 250, 120, 3, 3, 0.975)),
    ("facts, 2 seeds, mean of 2 over one, at 99.2 %", (0.45, 250, 120, 2, 2, 1 - 0.05 / 6)),
    ("facts, 3 seeds, mean of 3 over one, at 99.2 %", (0.45, 250, 120, 3, 3, 1 - 0.05 / 6)),
)
"""Name; share right, questions of the test and of validation, seeds, trainings of the second way, confidence."""
WAYS = ("questions alone", "seeds less noise", "seeds as seen", "seeds shrunk")

Case = tuple[float, int, int, int, int, float]


def fits(case: Case, luck: float, count: int) -> list[tuple[float, float]]:
    """By way, the share of intervals that hold the gain, and their mean half width in points."""
    right, asked, validated, repeats, averaged, confidence = case
    rng = np.random.default_rng(0)
    found = np.zeros((len(WAYS), 2))

    def answers(share: float, hard: NDArray[np.float64]) -> NDArray[np.bool_]:
        ease = math.sqrt(ALIKE) * hard + math.sqrt(1 - ALIKE) * rng.normal(size=len(hard))
        return np.asarray(ease < special.ndtri(np.clip(share, 0.01, 0.99)))

    for _ in range(count):
        hard, other = rng.normal(size=asked), rng.normal(size=validated)
        plain = answers(right + rng.normal(0, luck), hard)
        mean = answers(right + GAIN + rng.normal(0, luck / math.sqrt(averaged)), hard)
        seeds = [answers(right + GAIN + rng.normal(0, luck), other).astype(float) for _ in range(repeats)]
        alone = paired([Pairs.of(plain.tolist(), mean.tolist())], confidence)
        pairs = [(seeds[i] - seeds[j]).var() / validated / 2 for i in range(repeats) for j in range(i)]
        seen = float(np.var([one.mean() for one in seeds], ddof=1))
        variances = (0.0, max(0.0, seen - float(np.mean(pairs))), seen)
        spreads = [Spread(math.sqrt(one), repeats - 1) for one in variances]
        for at, spread in enumerate((*spreads, shrunk(spreads[-1]))):
            assert spread is not None
            wide = over_trainings(alone, spread, 1, averaged)
            found[at] += wide.low <= GAIN <= wide.high, 50 * (wide.high - wide.low)
    return [(float(held) / count, float(half) / count) for held, half in found]


def main() -> None:
    """Simulate, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fits", type=int, default=1000)
    given = parser.parse_args()
    print("| | luck, points | " + " | ".join(WAYS) + " |\n|" + "---|" * (2 + len(WAYS)))
    for name, case in CASES:
        for luck in LUCK:
            held = fits(case, luck, given.fits)
            cells = " | ".join(f"{100 * share:.1f} % (± {half:.1f})" for share, half in held)
            print(f"| {name} | {100 * luck:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
