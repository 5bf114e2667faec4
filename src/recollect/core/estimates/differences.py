"""Differences: of two runs on the same facts, of independent samples, and differences of differences.

Each takes one entry per level and gives the macro difference; a micro difference is that of a single entry that holds
all facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recollect.core.estimates.distributions import Scores, weighted
from recollect.core.estimates.estimate import CONFIDENCE, Estimate
from recollect.core.estimates.single import check_counts
from recollect.errors import InputError


@dataclass(frozen=True)
class Pairs:
    """The same facts answered by two runs, counted: who was right."""

    only_second: int
    """n01: the first run was wrong, the second right."""
    only_first: int
    """n10: the first was right, the second wrong."""
    both: int
    """n11."""
    neither: int
    """n00."""

    @property
    def n(self) -> int:
        """Facts."""
        return self.only_second + self.only_first + self.both + self.neither

    def scores(self) -> Scores:
        """The change of each fact: -1, 0 or 1."""
        return Scores([self.only_first, self.both + self.neither, self.only_second], (-1.0, 0.0, 1.0))

    @classmethod
    def of(cls, first: Sequence[bool], second: Sequence[bool]) -> Pairs:
        """From the verdicts of two runs, fact by fact."""
        a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
        if a.shape != b.shape:
            raise InputError(f"both runs must have the same facts, but got {len(a)} and {len(b)}.")
        return cls(int((~a & b).sum()), int((a & ~b).sum()), int((a & b).sum()), int((~a & ~b).sum()))


def paired(levels: Sequence[Pairs], confidence: float = CONFIDENCE) -> Estimate:
    """Second run minus first, on the same facts: the mean over the levels; for micro give one entry with all facts."""
    return weighted([one.scores() for one in levels], _equal(len(levels)), "paired by fact", confidence)


def unpaired(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]], confidence: float = CONFIDENCE
) -> Estimate:
    """Second minus first where the two have no fact in common; (right, n) by level, each side its own levels."""
    groups = [_zero_one(right, n) for right, n in (*first, *second)]
    weights = [-weight for weight in _equal(len(first))] + _equal(len(second))
    return weighted(groups, weights, "two independent samples", confidence)


def difference_of_paired(first: Sequence[Pairs], second: Sequence[Pairs], confidence: float = CONFIDENCE) -> Estimate:
    """The second paired difference minus the first, where the two have no fact in common (two halves, two parts)."""
    groups = [one.scores() for one in (*first, *second)]
    weights = [-weight for weight in _equal(len(first))] + _equal(len(second))
    return weighted(groups, weights, "two independent paired differences", confidence)


def mean_score(
    levels: Sequence[Sequence[float]], least: float, most: float, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean over levels of mean scores, one score per fact, each between `least` and `most`.

    For paired differences of differences a fact's score is (d - c) - (b - a), -2 to 2, of four runs on the same facts;
    for several trainings it is the mean over the trainings, -1 to 1.
    """
    groups = [_of_scores(scores, least, most) for scores in levels]
    return weighted(groups, _equal(len(groups)), "paired by fact", confidence)


def by_level(scores: Sequence[float], levels: Sequence[int | None]) -> Mapping[int, list[float]]:
    """Scores of the facts of each level, levels in rising order; facts without a level are left out."""
    found: dict[int, list[float]] = {}
    for score, level in zip(scores, levels, strict=True):
        if level is not None:
            found.setdefault(level, []).append(score)
    return dict(sorted(found.items()))


def _of_scores(scores: Sequence[float], least: float, most: float) -> Scores:
    found, times = np.unique(np.round(np.asarray(scores, dtype=float), 12), return_counts=True)
    if not len(found) or found[0] < least or found[-1] > most:
        raise InputError(f"scores must lie in {least:g} to {most:g} and not be empty, but got {list(scores)[:5]}.")
    values = dict.fromkeys((least, most), 0) | dict(zip(found.tolist(), times.tolist(), strict=True))
    rising = sorted(values)
    return Scores([values[value] for value in rising], tuple(rising))


def _zero_one(right: int, n: int) -> Scores:
    check_counts(right, n)
    return Scores([n - right, right], (0.0, 1.0))


def _equal(count: int) -> list[float]:
    if not count:
        raise InputError("a difference needs at least one level with facts on either side.")
    return [1 / count] * count
