"""How often a fit says falsely that a model has more than the commonest answer in some relation, when trainings vary.

    python benchmarks/fit_relations.py [--fits 1000]

In truth, over the trainings that there could be, the model has as much as the rule in every relation. A training's luck
has a standard deviation of 3 points: the same luck in all relations; or 3 points in each relation, each its own, which
is what trainings of the pocket have (and less over all questions); or 3 points over all, of which each relation has its
own, more. The model is one training or the mean of three, and three seeds were asked 120 validation questions. Prints
how many fits have any false verdict (5 % promised, by Holm's steps over the relations), and, with one relation truly 20
points ahead, how many say so: over the questions alone, and with the luck of the whole (`experiments.fit.luck`). The
table is in docs/statistics.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from recollect.experiments.fit.answers import Gap, decided
from recollect.experiments.fit.luck import Luck

LUCK, RIGHT, ALIKE, AHEAD = 0.03, 0.35, 0.5, 0.2
"""Of a training's score; the share that the rule has right; how alike the two find a question; a lead to be seen."""
VALIDATED, SEEDS = 120, 3
KINDS = ("3 points, the same in all", "3 points in each, its own", "3 points over all, each its own")


@dataclass(frozen=True)
class Case:
    """Relations, test questions of each, the kind of luck, and of how many trainings the model is made."""

    relations: int
    questions: int
    kind: str
    averaged: int

    def lucky(self, rng: np.random.Generator, averaged: int = 1) -> NDArray[np.float64]:
        """One draw of it, by relation."""
        own = LUCK / math.sqrt(averaged)
        if self.kind == KINDS[0]:
            return np.full(self.relations, own * rng.normal())
        found: NDArray[np.float64] = own * rng.normal(size=self.relations)
        return found * (math.sqrt(self.relations) if self.kind == KINDS[2] else 1.0)


def one_fit(case: Case, rng: np.random.Generator, ahead: float) -> tuple[dict[str, Gap], Luck]:
    """The difference from the rule in each relation, and what is known of the luck."""
    seeds = [
        rng.binomial(np.full(case.relations, VALIDATED // case.relations), np.clip(RIGHT + case.lucky(rng), 0, 1)).sum()
        for _ in range(SEEDS)
    ]
    asked = VALIDATED // case.relations * case.relations
    luck = Luck.of([100 * one / asked for one in seeds], [], case.averaged)
    moved = case.lucky(rng, case.averaged)
    gaps = {}
    for at in range(case.relations):
        hard = rng.normal(size=case.questions)
        share = RIGHT + moved[at] + (ahead if at == 0 else 0.0)
        right = [
            math.sqrt(ALIKE) * hard + math.sqrt(1 - ALIKE) * rng.normal(size=case.questions) < special.ndtri(one)
            for one in (RIGHT, min(max(share, 0.01), 0.99))
        ]
        gaps[str(at)] = Gap(*right)
    return gaps, luck


def shares(case: Case, fits: int, seed: int, ahead: float) -> tuple[float, float]:
    """Alone and with luck: fits with any false verdict; or, with a lead, fits that say so."""
    rng, counts = np.random.default_rng(seed), np.zeros(2)
    for _ in range(fits):
        gaps, luck = one_fit(case, rng, ahead)
        for at, told in enumerate((gaps, {name: luck.on(gap, "ours") for name, gap in gaps.items()})):
            found = decided(told)
            counts[at] += found["0"].sign > 0 if ahead else any(one.sign for one in found.values())
    alone, wide = 100 * counts / fits
    return float(alone), float(wide)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=1_000)
    fits = parser.parse_args(arguments).fits
    heads = (
        "relations × questions",
        "luck",
        "of",
        "any false, alone",
        "with luck",
        "20 points seen, alone",
        "with luck",
    )
    sys.stdout.write(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n")
    seed = 0
    for relations, questions in ((6, 40), (12, 20), (6, 200), (6, 1000)):
        for name in KINDS:
            for averaged in (3, 1):
                seed += 1
                case = Case(relations, questions, name, averaged)
                alone, wide = shares(case, fits, seed, 0.0)
                seen = shares(case, fits, seed, AHEAD)
                made = f"{averaged} trainings" if averaged > 1 else "one training"
                row = f"{alone:.1f} % | {wide:.1f} % | {seen[0]:.0f} % | {seen[1]:.0f} %"
                sys.stdout.write(f"| {relations} × {questions} | {name} | {made} | {row} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
