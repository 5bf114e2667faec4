"""How much a score flatters what was chosen by it: of many candidates on validation, and of a choice made by the test.

    python benchmarks/fit_winners.py [--fits 4000]

Validation: 12 candidates that are right for 42 % of 120 questions, more or less, and alike in which they find hard. The
one with the highest score is taken; printed is how far its score lies above what it is worth. Test: the model that
validation chose, right for 40 % of 250 questions; another that is truly ahead by so many points, and a third that is 2
behind. The other is taken where its corrected interval (of two comparisons) leaves out zero; printed is how often, and
how far its score and its lead lie above the truth then. Two ways: the questions alone (one seed), and with the luck of
trainings in the interval (three seeds that differ by 2 points).
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from recollect.core.estimates import Estimate, Pairs, over_trainings, paired
from recollect.experiments.fit.luck import Luck

CANDIDATES, VALIDATED, RIGHT = 12, 120, 0.42
ASKED, OURS, SEEDS, LUCK, KNOWN = 250, 0.4, 3, 0.02, 120
ALIKE = 0.75
"""Of models in which questions they find hard."""


def answers(rng: np.random.Generator, shares: NDArray[np.float64], asked: int, alike: float) -> NDArray[np.bool_]:
    """Verdicts, models x questions."""
    hard = math.sqrt(alike) * rng.normal(size=asked)
    ease = hard + math.sqrt(1 - alike) * rng.normal(size=(len(shares), asked))
    return np.asarray(ease < special.ndtri(np.clip(shares, 0.01, 0.99))[:, None])


def by_validation(fits: int) -> None:
    """Print how much the winner's score flatters it."""
    rng = np.random.default_rng(0)
    print("| models alike | true spread of the candidates, points | score above its worth, points |\n|---|---|---|")
    for alike in (0.6, 0.85):
        for spread in (0.0, 0.02, 0.04):
            above = []
            for _ in range(fits):
                shares = RIGHT + rng.normal(0, spread, CANDIDATES)
                scores = answers(rng, shares, VALIDATED, alike).mean(axis=1)
                best = int(scores.argmax())
                above.append(scores[best] - shares[best])
            print(f"| {alike:g} | {100 * spread:g} | {100 * np.mean(above):+.1f} |", flush=True)


def taken_by_test(rng: np.random.Generator, lead: float, with_luck: bool) -> tuple[float, float] | None:
    """How far score and lead lie above the truth where the other model is taken."""
    right = answers(rng, np.asarray([OURS, OURS + lead, OURS - 0.02]), ASKED, ALIKE)
    spread = None
    if with_luck:
        seeds = OURS + rng.normal(0, LUCK, SEEDS) + rng.normal(0, math.sqrt(0.06 / KNOWN), SEEDS)
        spread = Luck.of((100 * seeds).tolist(), (), SEEDS).score

    def at(other: int, confidence: float) -> Estimate:
        found = paired([Pairs.of(right[0].tolist(), right[other].tolist())], confidence)
        return found if spread is None else over_trainings(found, spread, 1, SEEDS)

    first, third = (at(other, 0.975) for other in (1, 2))
    if first.low <= 0 and not (third.sign and at(1, 0.95).low > 0):
        return None
    score = right[1].mean()
    return float(score - OURS - lead), float(score - right[0].mean() - lead)


def by_test(fits: int) -> None:
    """Print how often another one is taken, and how much that flatters it."""
    head = ("interval", "true lead, points", "taken", "score above the truth", "lead above the truth")
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for with_luck in (False, True):
        for lead in (0.0, 0.02, 0.04, 0.08, 0.12):
            rng = np.random.default_rng(1)
            found = [one for _ in range(fits) if (one := taken_by_test(rng, lead, with_luck)) is not None]
            name = "with luck" if with_luck else "questions alone"
            told = "– | –" if len(found) < 10 else " | ".join(f"{100 * one:+.1f}" for one in np.mean(found, axis=0))
            print(f"| {name} | {100 * lead:g} | {100 * len(found) / fits:.1f} % | {told} |", flush=True)


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fits", type=int, default=4000)
    given = parser.parse_args()
    by_validation(given.fits)
    by_test(given.fits)


if __name__ == "__main__":
    main()
