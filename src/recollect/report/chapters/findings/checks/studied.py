"""What one study measured, as the tests of the findings need it: numbers alone, no folder and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recollect.compare import Graded
from recollect.core.estimates import LEAST_PER_LEVEL, Cell, Trainings

BASE: Cell = ("base", 0)
FEW_SHOT: Cell = ("base with examples in its prompt", 0)
UNTRAINED = frozenset({BASE, FEW_SHOT})
SINGLE = ("0", "1", "2", "3", "4")
"""Training choices of one memory level."""


@dataclass(frozen=True)
class Drifted:
    """What was measured of one trained model beside its answers; None: not measured."""

    kl_task: float | None = None
    """Mean KL(tuned || base) on the answers to the task's own questions, in nats."""
    change: float | None = None
    """Length of the change of the weights, as a share of the base's."""
    known: float | None = None
    """Accuracy on the facts that the base knows (level 3 and 4)."""
    share_top: float | None = None
    """Share of the summed relative change that the top 20 % of the weights hold."""


@dataclass(frozen=True)
class Climbed:
    """The ladders of one cell: verdicts by rung (order, percent), ladders x facts."""

    rungs: Mapping[tuple[str, float], Any]

    def near(self, order: str, percent: float, most: float = 5.0) -> tuple[str, float] | None:
        """The rung of an order next to a percentage, at most `most` away."""
        found = [rung for rung in self.rungs if rung[0] == order and abs(rung[1] - percent) <= most]
        return min(found, key=lambda rung: abs(rung[1] - percent), default=None)


@dataclass(frozen=True)
class Ladders:
    """All ladders of a study; every rung was asked the same facts."""

    cells: Mapping[Cell, Climbed]
    levels: Any
    choosing: Any
    """Which facts may choose a rung; the others judge it."""
    main: str = "relative"
    """The order that the study is about."""
    units: Any | None = None
    """What each fact was drawn with, where subjects repeat; None: each was drawn alone."""


@dataclass(frozen=True)
class Studied:
    """One study: a model, its data and a way to train."""

    name: str
    model: str
    data: str
    test: Trainings
    """Right or wrong on in-domain test facts; `BASE` and, where asked, `FEW_SHOT` among the cells."""
    ood: Trainings | None = None
    kl: Trainings | None = None
    """KL of the first token of level-4 test facts, by training, as in Token and Parameter Levels."""
    drifted: Mapping[Cell, Sequence[Drifted]] = field(default_factory=dict)
    ladders: Ladders | None = None
    graded: Graded | None = None
    """Memory levels of every fact probed; None where that is gone."""

    @property
    def cells(self) -> list[Cell]:
        """What was trained."""
        return [cell for cell in self.test.scores if cell not in UNTRAINED]

    @property
    def sizes(self) -> list[int]:
        """Sizes of the training sets, rising."""
        return sorted({size for _, size in self.cells})

    def choices(self, size: int) -> list[str]:
        """Training choices of a size."""
        return [choice for choice, own in self.cells if own == size]

    def near(self, target: int, least: int, most: int) -> int | None:
        """The size next to a target within bounds."""
        inside = [size for size in self.sizes if least <= size <= most]
        return min(inside, key=lambda size: abs(size - target), default=None)


def entering(trainings: Trainings, least: int = LEAST_PER_LEVEL) -> tuple[int, ...]:
    """The levels with enough facts for a verdict."""
    return tuple(level for level in range(5) if trainings.count(level) >= least)
