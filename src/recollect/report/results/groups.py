"""Cells of the same training choice and size, averaged over seeds, with one interval over facts and seeds.

The interval of a mean over k seeds joins two independent errors, as the root of their summed squares:
- the test facts: the mean of the seeds' own 95 % intervals. It does not shrink with k, for every seed answers
  the same facts;
- the training sets: t · s / √k, with s the standard deviation between seeds pooled over all cells of the same
  part and measure (s² = Σ (k-1) s_cell² / Σ (k-1)) and t the 97.5 % point of Student's t with Σ (k-1) degrees
  of freedom.
With one seed everywhere the second part cannot be measured and is left out; the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from recollect.report.results.common import CHOICES, LEVELS, Choice
from recollect.report.results.memory import Cell, Scores
from recollect.report.results.results import Results


@dataclass(frozen=True)
class Estimate:
    """A percentage with its 95 % interval, and the lowest and highest single seed."""

    value: float
    low: float
    high: float
    lowest: float
    highest: float
    trainings: int = 1
    """How many trainings were averaged; 1 also for an untouched model."""

    def above(self, other: Estimate) -> bool:
        """Whether this is clearly higher: the intervals do not overlap. For scores of one and the same model, or of
        models that differ in nothing but weights set back."""
        return self.low > other.high

    def minus(self, other: Estimate) -> tuple[float, float] | None:
        """Low and high of this less another training choice, the spread between trainings in it (squares added, Zou and
        Donner 2008); None where either was trained once, so that the spread is unknown."""
        if min(self.trainings, other.trainings) < 2:
            return None
        value = self.value - other.value
        low = value - math.hypot(self.value - self.low, other.high - other.value)
        return low, value + math.hypot(self.high - self.value, other.value - other.low)

    def gains(self, other: Estimate) -> bool:
        """Whether this training choice is clearly better than the other."""
        found = self.minus(other)
        return found is not None and found[0] > 0


@dataclass(frozen=True)
class Measured:
    """The estimates of one group on one part; None where nothing was measured."""

    macro: Estimate | None
    micro: Estimate | None
    by_level: tuple[Estimate | None, ...]
    """Test levels 0 to 4."""
    word_macro: float | None


@dataclass(frozen=True)
class Group:
    """All seeds of one training choice at one size."""

    levels: Choice
    size: int
    seeds: tuple[int, ...]
    test: Measured
    ood: Measured | None
    train_seconds: float | None

    @property
    def name(self) -> str:
        """For sentences: "60 examples of level 2"."""
        return f"{self.size:,} {'example' if self.size == 1 else 'examples'} {choice_name(self.levels)}"

    def on(self, part: str) -> Measured | None:
        """The estimates on "test" or "ood"."""
        return self.test if part == "test" else self.ood


Triple = tuple[float | None, float | None, float | None]


def choice_name(levels: Choice) -> str:
    """A training choice in words that follow "examples"."""
    return {"mixed": "of mixed levels", "random": "drawn at random"}.get(levels, f"of level {levels}")


def groups(results: Results) -> tuple[Group, ...]:
    """The cells averaged over seeds, by size and then by training choice."""
    keys = sorted({(cell.size, CHOICES.index(cell.levels)) for cell in results.cells})
    sets = [
        sorted(
            (cell for cell in results.cells if cell.size == size and cell.levels == CHOICES[choice]),
            key=lambda cell: cell.seed,
        )
        for size, choice in keys
    ]
    test = _measured([[cell.test for cell in cells] for cells in sets])
    ood = _measured([[cell.ood for cell in cells if cell.ood is not None] for cells in sets])
    return tuple(
        Group(
            levels=cells[0].levels,
            size=cells[0].size,
            seeds=tuple(cell.seed for cell in cells),
            test=test[i],
            ood=ood[i] if any(cell.ood is not None for cell in cells) else None,
            train_seconds=_mean_seconds(cells),
        )
        for i, cells in enumerate(sets)
    )


def base_measured(results: Results) -> tuple[Measured | None, Measured | None]:
    """The untouched base on "test" and "ood"; None where it was not asked."""
    base = results.base
    return (measured(base.test), measured(base.ood) if base.ood else None) if base else (None, None)


def measured(scores: Scores) -> Measured:
    """The scores of a single model, such as the base."""
    return _measured([[scores]])[0]


def _measured(sets: Sequence[Sequence[Scores]]) -> list[Measured]:
    def over(pick: Callable[[Scores], Triple]) -> list[Estimate | None]:
        return estimates([[pick(scores) for scores in one] for one in sets])

    macro = over(lambda scores: (scores.macro, scores.macro_low, scores.macro_high))
    micro = over(lambda scores: (scores.micro, scores.micro_low, scores.micro_high))
    by_level = [over(lambda scores, level=level: _of_level(scores, level)) for level in LEVELS]  # type: ignore[misc]
    word = [[scores.word_macro for scores in one if scores.word_macro is not None] for one in sets]
    return [
        Measured(macro[i], micro[i], tuple(row[i] for row in by_level), fmean(word[i]) if word[i] else None)
        for i in range(len(sets))
    ]


def _of_level(scores: Scores, level: int) -> Triple:
    found = next((value for key, value in scores.by_level.items() if key == str(level)), None)
    return (found.accuracy, found.low, found.high) if found else (None, None, None)


def estimates(sets: Sequence[Sequence[Triple]], most: float = 100.0) -> list[Estimate | None]:
    """One estimate per set of seeds, from (value, low, high) triples from 0 to `most`; they share one seed spread."""
    from scipy import stats

    whole = [[(v, a, b) for v, a, b in one if v is not None and a is not None and b is not None] for one in sets]
    freedom = sum(len(one) - 1 for one in whole if one)
    squares = sum((v - fmean(w for w, _, _ in one)) ** 2 for one in whole for v, _, _ in one)
    spread = float(stats.t.ppf(0.975, freedom)) * math.sqrt(squares / freedom) if freedom else 0.0
    found: list[Estimate | None] = []
    for one in whole:
        if not one:
            found.append(None)
            continue
        value = fmean(v for v, _, _ in one)
        seeds = spread / math.sqrt(len(one))
        below = math.hypot(fmean(v - a for v, a, _ in one), seeds)
        over = math.hypot(fmean(b - v for v, _, b in one), seeds)
        found.append(
            Estimate(
                value=value,
                low=max(value - below, 0.0),
                high=min(value + over, most),
                lowest=min(v for v, _, _ in one),
                highest=max(v for v, _, _ in one),
                trainings=len(one),
            )
        )
    return found


def _mean_seconds(cells: Sequence[Cell]) -> float | None:
    seconds = [cell.train_seconds for cell in cells if cell.train_seconds is not None]
    return fmean(seconds) if seconds else None
