"""What is judged: a number with an interval at any confidence, and the smallest or largest of several such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from recollect.core.estimates.intervals import Estimate

Source = Literal["trainings", "facts", "cells", "trials"]
"""What an interval is mostly made of: what more of would narrow it most."""


class Measure(Protocol):
    """A number whose interval can be asked for at any confidence."""

    @property
    def value(self) -> float:
        """The number itself."""

    @property
    def repeats(self) -> int:
        """Trainings of the cell with the fewest: with one, the spread between trainings is unknown."""

    def at(self, confidence: float) -> Estimate:
        """The number with its interval."""

    def mostly(self, confidence: float) -> Source:
        """What its interval is mostly made of."""


@dataclass(frozen=True)
class Extreme:
    """The smallest or the largest of several true numbers: "for every one", "for at least one".

    The smallest is at least some x when all are, so its lower bound is the least lower bound, uncorrected
    (intersection-union); it is at most x when any one is, so its upper bound is the least of upper bounds that hold
    together (Bonferroni). The largest is the mirror image.
    """

    side: Literal["smallest", "largest"]
    of: Sequence[Measure]

    @property
    def value(self) -> float:
        """The smallest or largest seen, which is rather too extreme for the true one; the interval is not."""
        return (min if self.side == "smallest" else max)(one.value for one in self.of)

    @property
    def repeats(self) -> int:
        """The fewest of all."""
        return min(one.repeats for one in self.of)

    def at(self, confidence: float) -> Estimate:
        """With its interval."""
        whole = [one.at(confidence) for one in self.of]
        shared = [one.at(1 - (1 - confidence) / len(self.of)) for one in self.of]
        if self.side == "smallest":
            low, high = min(one.low for one in whole), min(one.high for one in shared)
        else:
            low, high = max(one.low for one in shared), max(one.high for one in whole)
        value, n = self.value, max(one.n for one in whole)
        return Estimate(value, min(low, value), max(high, value), n, f"{self.side} of {len(self.of)}", confidence)

    def mostly(self, confidence: float) -> Source:
        """Of the one with the widest interval."""
        found = [one.at(confidence) for one in self.of]
        widest = max(range(len(found)), key=lambda at: found[at].high - found[at].low)
        return self.of[widest].mostly(confidence)
