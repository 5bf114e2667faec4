"""The luck of a training: how far the winner's settings lie apart by seed, as part of every difference that is stated.

Notable choices
- Two models can be told apart by questions. That one way to train is better than another is a claim about other seeds,
  too. So the variance of the winner's seeds is added to that of the questions, over as many trainings as either model
  is made of (`core.estimates.over_trainings`).
- The variance is taken as it is seen on validation, with the noise of those questions in it. Taken out of two or three
  seeds' variance it leaves nothing in many fits, and the interval then holds the truth too rarely.
- Two or three seeds hardly know a variance: at a corrected level the interval would reach over all scores. So theirs is
  shrunk towards a prior, as if it had four more degrees of freedom at 3 points. That is a belief, and is said. Where
  seeds differ by twice as much the interval is too narrow, which is said, too (coverage: benchmarks/fit_luck.py).
- Plain fine-tuning and the random draw are taken to scatter as the winner's settings do, and a mean of weights as the
  mean of its scores would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from recollect.core.estimates import Spread, spread_of
from recollect.core.workspace.fit import NAMES
from recollect.experiments.fit.answers import Gap
from recollect.experiments.fit.first import UNTOUCHED

PRIOR, PRIOR_FREEDOM = 0.03, 4
"""How far trainings of the same settings are believed to lie apart (their standard deviation, a fraction), and of how
many degrees of freedom that belief counts. Where it comes from: docs/statistics.md."""
FAR = 2
"""Times the prior from which seeds lie so far apart that the interval is too narrow."""


@dataclass(frozen=True)
class Luck:
    """How far apart trainings of the winner's settings lie, as fractions; None where there were not two seeds."""

    score: Spread | None = None
    forgetting: Spread | None = None
    averaged: int = 1
    """Of how many trainings ours is the mean."""

    @classmethod
    def of(cls, scores: Sequence[float], forgotten: Sequence[float], averaged: int) -> Luck:
        """From what the seeds had on validation, in percent."""
        one, other = (spread_of([[value / 100 for value in seeds]]) for seeds in (scores, forgotten))
        return cls(shrunk(one), shrunk(other), averaged)

    def trainings(self, *names: str) -> tuple[int, ...]:
        """Of how many trainings those are made that were trained."""
        trained = [name for name in names if name in NAMES and name not in UNTOUCHED]
        return tuple(self.averaged if name == "ours" else 1 for name in trained)

    def on(self, gap: Gap, *names: str) -> Gap:
        """The difference in score between these two, with the luck of their trainings."""
        return replace(gap, luck=self.score, trainings=self.trainings(*names))

    def on_forgetting(self, gap: Gap, *names: str) -> Gap:
        """The difference in forgetting between these two."""
        return replace(gap, luck=self.forgetting, trainings=self.trainings(*names))


def shrunk(seen: Spread | None) -> Spread | None:
    """The spread of a few seeds, drawn towards the prior; None where there were not two."""
    if seen is None:
        return None
    freedom = PRIOR_FREEDOM + seen.freedom
    variance = (PRIOR_FREEDOM * PRIOR**2 + seen.freedom * seen.deviation**2) / freedom
    return Spread(math.sqrt(variance), freedom)


def far_apart(scores: Sequence[float]) -> bool:
    """Whether the seeds' scores (percent) lie so far apart that the prior makes their luck too small."""
    seen = spread_of([[value / 100 for value in scores]])
    return seen is not None and seen.deviation > FAR * PRIOR
