"""How far two models' levels lie apart beyond what two probes of one model show: the one measure of "differs".

The report's chapter on models tells the distance and what the draws show beside each other; the papers' finding is
tested on the distance less that. Both are made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from recollect.core.estimates import CONFIDENCE, Estimate, Source, apart_of, graded_again, levels_apart
from recollect.errors import InputError
from recollect.probe.levels import Floats

SURE = 0.95
"""Share of second probes whose distance is told as the most that their draws make."""


@dataclass(frozen=True)
class Graded:
    """One model's levels of the facts that it was probed on."""

    facts: Sequence[str]
    used: Floats
    """The level of each fact as probabilities, [facts, 5]."""
    fresh: Floats | None = None
    """The same of a second probe of the same model; None where the probe does not state it."""
    judge: object = None
    """What decided which completions are right; levels by two judges mean different things."""
    units: Sequence[str] | None = None
    """What each fact was drawn with, such as its subject; None: each was drawn alone."""

    def of(self, facts: Sequence[str]) -> Graded:
        """Of these facts alone, in this order."""
        place = {fact: at for at, fact in enumerate(self.facts)}
        rows = [place[fact] for fact in facts]
        fresh = None if self.fresh is None else self.fresh[rows]
        units = None if self.units is None else [self.units[row] for row in rows]
        return replace(self, facts=facts, used=self.used[rows], fresh=fresh, units=units)


def repeat_apart(used: Floats, again: Floats) -> float:
    """By how many levels second probes of one model, as `graded_again` draws them, lie apart at most (95 of 100)."""
    return float(np.quantile(apart_of(again, used.mean(axis=0)), SURE))


@dataclass(frozen=True)
class ApartBeyondDraws:
    """The distance of two models in levels, less the most that two probes of one of them show. It is a `Measure`.

    Both must hold the same facts in the same order, and state what a second probe finds: else InputError.
    """

    first: Graded
    second: Graded

    def __post_init__(self) -> None:
        if list(self.first.facts) != list(self.second.facts):
            raise InputError("two models' levels are compared on the same facts in the same order.")
        if self.first.fresh is None or self.second.fresh is None:
            raise InputError("each probe must state what a second one finds, but one does not.")

    @cached_property
    def by_draws(self) -> float:
        """What two probes of one model show, of the model whose probes are less alike."""
        both = [(one.used, one.fresh) for one in (self.first, self.second)]
        return max(repeat_apart(used, graded_again(fresh)) for used, fresh in both)

    @cached_property
    def distance(self) -> Estimate:
        """The distance alone, with its 95 % interval, as the chapter on models shows it."""
        return levels_apart(self.first.used, self.second.used, units=self.first.units)

    @property
    def value(self) -> float:
        """The distance less what the draws show."""
        return self.distance.value - self.by_draws

    @property
    def repeats(self) -> int:
        """Nothing was trained for it."""
        return 2

    def at(self, confidence: float = CONFIDENCE) -> Estimate:
        """With its interval; the facts are resampled."""
        found = levels_apart(self.first.used, self.second.used, confidence, self.first.units)
        low, high = found.low - self.by_draws, found.high - self.by_draws
        return replace(found, value=self.value, low=low, high=high, method="facts resampled, less what the draws show")

    def mostly(self, confidence: float) -> Source:
        """More facts narrow it."""
        return "facts"
