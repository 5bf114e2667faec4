"""How long the cells of an experiment will still take, by what the parts of the finished ones took.

Notable choices
- A part's cost is counted in its own units: training in examples read, asking and comparing once a model, the ladder in
  rungs. So a cell of 150 examples is not forecast by one of 15.
- Before a part was measured, asking, comparing and a rung are each taken to cost what asking the base did; a training
  has no such stand-in, so nothing is said until some of its updates were made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recollect.core.progress import Detail, duration
from recollect.experiments.under_way import Told, read_told

TRAINING, ASKING, COMPARING, CLIMBING = "training", "asking", "comparing with the base", "climbing the ladder"
"""The parts of a cell's work."""
_SHOWN = 3


@dataclass(frozen=True)
class Planned:
    """One cell's work: units of each of its parts."""

    name: str
    units: dict[str, float]


@dataclass(frozen=True)
class Remaining:
    """The cells that a run has to do, watched through what they tell."""

    cells: Sequence[Planned]
    folder: Path
    slots: int | Callable[[], int] = 1
    """Cells at once, or who knows how many just now."""
    asking_seconds: float | None = None
    """What asking the base took; None when that is not known."""

    def detail(self) -> Detail:
        """What is at work, and how long the rest may take."""
        told = read_told(self.folder)
        return Detail(_at_work(told), self.seconds_left(told))

    def left(self) -> tuple[int, float | None]:
        """How many cells are to come or at work, and how long they may take."""
        told = read_told(self.folder)
        ended = {one.name for one in told if one.ended}
        return sum(cell.name not in ended for cell in self.cells), self.seconds_left(told)

    def at_work(self) -> Detail:
        """What is at work alone, where the cells to come are not known."""
        return Detail(_at_work(read_told(self.folder)))

    def seconds_left(self, told: Sequence[Told]) -> float | None:
        """By the parts' measured costs; None while a part that is still to come has none."""
        by_name = {one.name: one for one in told}
        costs = self._costs(told)
        total, longest = 0.0, 0.0
        for cell in self.cells:
            here = by_name.get(cell.name, Told(cell.name))
            if here.ended:
                continue
            left = 0.0
            for part, units in cell.units.items():
                if part in here.spent:
                    continue
                if (cost := costs.get(part)) is None:
                    return None
                done = here.done / here.total if part == here.part and here.total else 0.0
                left += cost * units * (1 - done)
            total, longest = total + left, max(longest, left)
        slots = self.slots() if callable(self.slots) else self.slots
        return max(total / max(1, slots), longest)

    def _costs(self, told: Sequence[Told]) -> dict[str, float]:
        """Seconds for one unit of each part that is measured, or has a stand-in."""
        found = {}
        for part in (TRAINING, ASKING, COMPARING, CLIMBING):
            seconds = units = 0.0
            for cell in self.cells:
                here = next((one for one in told if one.name == cell.name), None)
                if here is None or part not in cell.units:
                    continue
                if part in here.spent:
                    seconds, units = seconds + here.spent[part], units + cell.units[part]
                elif here.part == part and here.done and here.total:
                    seconds, units = seconds + here.seconds, units + cell.units[part] * here.done / here.total
            if units:
                found[part] = seconds / units
            elif part != TRAINING and self.asking_seconds is not None:
                found[part] = self.asking_seconds
        return found

    def plan(self) -> str:
        """Before the start: how much there is to do, and what the ladder will take, by what asking the base took; ""
        where all is done."""
        if not self.cells:
            return ""
        trainings = f"{len(self.cells)} training{'s' if len(self.cells) != 1 else ''}"
        text = f"{trainings} to come; the time left follows with the first updates"
        rungs = sum(cell.units.get(CLIMBING, 0.0) for cell in self.cells)
        if rungs and self.asking_seconds is not None:
            climbs = sum(CLIMBING in cell.units for cell in self.cells)
            each = f"of {climbs} models" if climbs > 1 else "of one model"
            text += (
                f". The restoration ladder {each} has {rungs:.0f} rungs, each asked like the base "
                f"({duration(self.asking_seconds)}): about {duration(rungs * self.asking_seconds)}; "
                "--repair none leaves it out"
            )
        return text


def _at_work(told: Sequence[Told]) -> str:
    lines = [one.line() for one in told if not one.ended]
    more = f"; {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more
