"""What a study's data curve and its search measured, as the tests of the findings need it: numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recollect.core.estimates import LEAST_PER_LEVEL, Cell, Estimate, Trainings
from recollect.report.chapters.findings.checks.studied import BASE

NO_CURVE = "no data curve was made: add a section curve"
NO_SEARCH = "no search for settings was made: add a section search"


@dataclass(frozen=True)
class Curved:
    """A data curve: every training at every size, and the untouched base where size 0 is in it."""

    asked: Trainings
    """Right or wrong on the in-domain test values; levels are attributes of pages, or memory levels of facts."""
    names: Mapping[int, str] = field(default_factory=dict)
    """The attributes; empty for facts."""
    shares: Mapping[int, float] = field(default_factory=dict)
    """Of the test pages the share that has each attribute; empty for facts."""

    @property
    def entering(self) -> tuple[int, ...]:
        """The attributes, or levels, with enough values for a verdict."""
        every = sorted({int(level) for level in self.asked.levels if level >= 0})
        return tuple(level for level in every if self.asked.count(level) >= LEAST_PER_LEVEL)

    @property
    def cells(self) -> list[Cell]:
        """What was trained, by size."""
        return sorted((cell for cell in self.asked.scores if cell != BASE), key=lambda cell: cell[1])

    def near(self, target: int, least: int, most: int) -> Cell | None:
        """The cell whose size is next to a target within bounds."""
        inside = [cell for cell in self.cells if least <= cell[1] <= most]
        return min(inside, key=lambda cell: abs(cell[1] - target), default=None)

    def after(self, cell: Cell) -> list[Cell]:
        """The cells of larger sizes."""
        return [other for other in self.cells if other[1] > cell[1]]


@dataclass(frozen=True)
class Tried:
    """One trial of a search that did not fail for another reason than its settings."""

    settings: Mapping[str, float | str]
    early: float | None
    """Validation score at the first rung, in points; None where it broke before."""
    final: float | None = None
    broken: bool = False
    """Whether it diverged, or its answers were empty, repeated or unparsable."""


@dataclass(frozen=True)
class Searched:
    """A search for settings, or several that differ in their seed."""

    share: float
    """Of its training after which a trial is first judged; 1 where it is judged at its end alone."""
    trials: Sequence[Tried]
    """Of the first of several searches."""
    gains: Sequence[Estimate]
    """Of each search: the best by validation over the baseline, on questions that it never saw."""


@dataclass(frozen=True)
class Extracted:
    """One study on pages, or one with a data curve or a search."""

    name: str
    curve: Curved | None = None
    search: Searched | None = None
