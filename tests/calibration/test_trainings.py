"""Differences between trainings: coverage, and gains claimed where there are none.

The table of docs/statistics.md: pytest -m slow -s tests/calibration/test_trainings.py
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit

from helpers_calibration import PROMISED, Coverage, holds
from recollect.core.estimates import Estimate, NoRepeats, spread_of, trained_difference, training_difference
from recollect.core.estimates.intervals import proportion


@dataclass(frozen=True)
class Trainings:
    """Two cells of several trainings that answer the same questions; a training is as a whole better or worse."""

    repeats: tuple[int, int]
    deviations: tuple[float, float]
    """Between trainings, on the log-odds scale: 0.3 is about 5 points."""
    questions: int
    shift: float = 0.0
    others: int = 0
    """More cells like the first, for the pooled spread."""

    @property
    def truth(self) -> float:
        """Expected difference over all questions and trainings, by numerical integration."""
        points, weights = np.polynomial.hermite_e.hermegauss(60)
        weights = weights / weights.sum()
        sides = [
            float(weights @ expit(middle + np.hypot(1.5, deviation) * points))
            for middle, deviation in zip((0.0, self.shift), self.deviations, strict=True)
        ]
        return sides[1] - sides[0]

    def cell(self, which: int, hard: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Trainings × questions: right or wrong."""
        level = self.shift * which + random.normal(0, self.deviations[which], (self.repeats[which], 1))
        return (random.random((self.repeats[which], self.questions)) < expit(hard + level)).astype(float)

    def coverage(self, draws: int, random: np.random.Generator, *, by_fact: bool = True) -> Coverage:
        """Of the interval of the difference."""
        ends = []
        for _ in range(draws):
            hard = random.normal(0, 1.5, self.questions)
            cells = [self.cell(which, hard, random) for which in (0, 1, *(0,) * self.others)]
            spread = spread_of([one.mean(axis=1).tolist() for one in cells])
            if by_fact:
                found = training_difference(cells[0], cells[1], None, spread)
            else:
                sides = [[proportion(int(run.sum()), len(run)) for run in one] for one in cells[:2]]
                found = trained_difference(sides[0], sides[1], spread)
            assert isinstance(found, Estimate)
            ends.append((found.low, found.high))
        low, high = np.array(ends).T
        return Coverage.of(low, high, self.truth)


CASES = [
    Trainings((2, 2), (0.3, 0.3), 100),
    Trainings((3, 3), (0.3, 0.3), 200, shift=0.5),
    Trainings((2, 2), (0.3, 0.3), 200, others=4),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("by_fact", [True, False])
def test_a_difference_between_trainings_is_covered(case, by_fact):
    assert holds(case.coverage(250, np.random.default_rng(1), by_fact=by_fact))


def test_one_training_each_never_claims_anything():
    random = np.random.default_rng(2)
    case = Trainings((1, 1), (0.3, 0.3), 100, shift=3.0)
    hard = random.normal(0, 1.5, case.questions)
    cells = [case.cell(which, hard, random) for which in (0, 1)]
    assert isinstance(training_difference(cells[0], cells[1]), NoRepeats)


@pytest.mark.slow
def test_long_differences_between_trainings():
    random = np.random.default_rng(11)
    for deviations in ((0.0, 0.0), (0.15, 0.15), (0.3, 0.3), (0.0, 0.3)):
        for repeats in ((2, 2), (3, 3), (2, 5)):
            for others in (0, 6):
                for by_fact in (True, False):
                    case = Trainings(repeats, deviations, 200, others=others)
                    found = case.coverage(1_000, random, by_fact=by_fact)
                    how = "by fact" if by_fact else "by scores"
                    print(
                        f"| {repeats} | {deviations} | {2 + others} | {how} | {100 * found.share:.1f} | "
                        f"{100 * found.above:.1f} | {found.width:.3f} |"
                    )
                    assert holds(found, PROMISED)
