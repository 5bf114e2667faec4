"""Single scores: one proportion, and the macro mean over levels that have enough facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from recollect.core.estimates.distributions import Scores, weighted
from recollect.core.estimates.estimate import CONFIDENCE, Estimate
from recollect.errors import InputError

LEAST_PER_LEVEL = 10
"""A level with fewer facts is shown and does not enter a macro: at 10, one fact moves a macro over five levels by 2
points and an interval's width by no more than the levels with many facts do (docs/statistics.md)."""

Level = TypeVar("Level", int, str)


def proportion(right: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """`right` successes in `n` independent trials, with the interval of Clopper and Pearson (1934).

    Raises InputError when n is 0 or right is not within 0 and n.
    """
    check_counts(right, n)
    return weighted([Scores([n - right, right], (0.0, 1.0))], [1.0], "Clopper-Pearson", confidence)


def macro_mean(rights: Sequence[int], ns: Sequence[int], confidence: float = CONFIDENCE) -> Estimate:
    """The unweighted mean of several accuracies (docs/studies.md §3), each of `rights` in `ns`; for one it is
    `proportion`. Raises InputError for no accuracy, or one without facts."""
    if not ns or len(rights) != len(ns):
        raise InputError(f"rights and ns must be equally long and not empty, but got {rights=} and {ns=}.")
    for right, n in zip(rights, ns, strict=True):
        check_counts(right, n)
    groups = [Scores([n - right, right], (0.0, 1.0)) for right, n in zip(rights, ns, strict=True)]
    return weighted(groups, [1 / len(ns)] * len(ns), "levels melded", confidence)


@dataclass(frozen=True)
class Macro(Generic[Level]):
    """A macro mean and what entered it."""

    estimate: Estimate | None
    """None when no level has enough facts."""
    entered: tuple[Level, ...]
    left_out: tuple[Level, ...]
    """Levels with at least one fact, but fewer than the minimum."""


def macro_over(
    counts: Mapping[Level, tuple[int, int]], least: int = LEAST_PER_LEVEL, confidence: float = CONFIDENCE
) -> Macro[Level]:
    """The macro mean over those levels of `counts` (level: right, n) that have at least `least` facts."""
    entered, left_out = enough({level: n for level, (_, n) in counts.items()}, least)
    rights, ns = [counts[level][0] for level in entered], [counts[level][1] for level in entered]
    return Macro(macro_mean(rights, ns, confidence) if entered else None, entered, left_out)


def enough(ns: Mapping[Level, int], least: int = LEAST_PER_LEVEL) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """The levels with at least `least` facts, and those with some but fewer; the order is kept."""
    entered = tuple(level for level, n in ns.items() if n >= max(least, 1))
    return entered, tuple(level for level, n in ns.items() if 0 < n < least)


def check_counts(right: int, n: int) -> None:
    """Raises InputError for counts that no sample can have."""
    if n < 1:
        raise InputError(f"an accuracy needs n of at least 1, but got {n=}. Leave it out.")
    if not 0 <= right <= n:
        raise InputError(f"right must be between 0 and n, but got {right=} and {n=}.")
