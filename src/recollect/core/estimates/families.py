"""Many claims at once: which hold when the chance of one false verdict among all of them stays small.

Holm's steps (1979) on intervals: with m claims undecided, each interval has the confidence 1 - a / m; those that decide
their claim are taken out, and the rest is looked at again with the smaller m, until none is decided any more. A verdict
rests on the interval shown with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recollect.core.estimates.intervals import CONFIDENCE, Estimate
from recollect.core.estimates.measures import Measure

Verdict = Literal["confirmed", "refuted", "not decided here"]


@dataclass(frozen=True)
class Claimed:
    """That a number is above a boundary, or below it."""

    measure: Measure
    side: Literal["above", "below"]
    boundary: float = 0.0

    def verdict(self, found: Estimate) -> Verdict:
        """What an interval says: confirmed or refuted where it lies wholly on one side of the boundary."""
        above, below = found.low > self.boundary, found.high < self.boundary
        if not above and not below:
            return "not decided here"
        return "confirmed" if above == (self.side == "above") else "refuted"


def decide(claims: Sequence[Claimed], confidence: float = CONFIDENCE) -> list[tuple[Estimate, Verdict]]:
    """The interval and the verdict of each claim, corrected for their number; see above."""
    found: dict[int, tuple[Estimate, Verdict]] = {}
    open_ = list(range(len(claims)))
    while open_:
        each = 1 - (1 - confidence) / len(open_)
        looked = {}
        for at in open_:
            estimate = claims[at].measure.at(each)
            looked[at] = estimate, claims[at].verdict(estimate)
        decided = {at: one for at, one in looked.items() if one[1] != "not decided here"}
        found |= decided or looked
        open_ = [at for at in open_ if at not in found]
    return [found[at] for at in range(len(claims))]
