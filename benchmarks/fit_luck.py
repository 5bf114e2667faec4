"""How often an interval over questions holds what a way to train gains, when trainings are lucky.

    python benchmarks/fit_luck.py [--fits 1500]

Two ways to train differ by 5 points. Each training has a luck of its own, a normal draw with the given standard
deviation (the second way is the mean of three, with less). Both are asked the same questions, and the second way's
three seeds the same validation questions. Prints, by the luck, how often each 95 % interval holds the 5 points and its
mean half width: over questions alone; with the seeds' variance less what the validation questions make of it; with the
seeds' variance as it is, which is what a fit says.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

GAIN, ALIKE, SEEDS, WITHIN = 0.05, 0.6, 3, 1.96
"""Gain, how alike the models find a question hard, seeds, standard errors in a 95 % interval."""
CASES = (
    ("facts", 0.45, 250, 120, (0.0, 0.01, 0.02, 0.03, 0.04)),
    ("chats", 0.45, 48, 34, (0.06,)),
    ("pages", 0.75, 600, 150, (0.04,)),
)
"""Name, share right, independent questions of the test and of validation, standard deviations of the luck."""
WAYS = ("questions alone", "seeds less noise", "seeds as seen")


def fits(right: float, asked: int, validated: int, luck: float, count: int) -> list[tuple[float, float]]:
    """By way, the share of intervals that hold the gain, and their mean half width in points."""
    rng = np.random.default_rng(0)
    found = np.zeros((len(WAYS), 2))

    def answers(share: float, hard: NDArray[np.float64]) -> NDArray[np.float64]:
        ease = math.sqrt(ALIKE) * hard + math.sqrt(1 - ALIKE) * rng.normal(size=len(hard))
        return np.asarray(ease < special.ndtri(np.clip(share, 0.01, 0.99)), dtype=float)

    for _ in range(count):
        hard, other = rng.normal(size=asked), rng.normal(size=validated)
        plain = answers(right + rng.normal(0, luck), hard)
        mean = answers(right + GAIN + rng.normal(0, luck / math.sqrt(SEEDS)), hard)
        seeds = np.stack([answers(right + GAIN + rng.normal(0, luck), other) for _ in range(SEEDS)])
        gap = mean - plain
        pairs = [(seeds[i] - seeds[j]).var() / validated / 2 for i in range(SEEDS) for j in range(i)]
        spread = float(seeds.mean(axis=1).var(ddof=1))
        for at, more in enumerate((0.0, max(0.0, spread - float(np.mean(pairs))), spread)):
            half = WITHIN * math.sqrt(gap.var() / asked + more * (1 + 1 / SEEDS))
            found[at] += abs(gap.mean() - GAIN) <= half, 100 * half
    return [(float(held) / count, float(half) / count) for held, half in found]


def main() -> None:
    """Simulate, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fits", type=int, default=1500)
    given = parser.parse_args()
    print("| luck, points | " + " | ".join(WAYS) + " |\n|" + "---|" * (1 + len(WAYS)))
    for name, right, asked, validated, lucks in CASES:
        for luck in lucks:
            held = fits(right, asked, validated, luck, given.fits)
            cells = " | ".join(f"{100 * share:.1f} % (± {half:.1f})" for share, half in held)
            print(f"| {name}, {100 * luck:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
