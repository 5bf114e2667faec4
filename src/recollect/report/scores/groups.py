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
from typing import TypeVar

from recollect.core.estimates import Estimate
from recollect.report.page.results import Results
from recollect.report.scores.record import CHOICES, LEVELS, Cell, CellName, Choice, Scores, Trained, examples_of

One = TypeVar("One", bound=CellName)


@dataclass(frozen=True)
class Averaged(Estimate):
    """The mean of several trainings, with the lowest and highest single one."""

    lowest: float = math.nan
    highest: float = math.nan
    trainings: int = 1
    """How many were averaged; 1 also for an untouched model."""

    def above(self, other: Averaged) -> bool:
        """Whether this is clearly higher: the intervals do not overlap. For scores of one and the same model, or of
        models that differ in nothing but weights set back."""
        return self.low > other.high

    def minus(self, other: Averaged) -> tuple[float, float] | None:
        """Low and high of this less another training choice, the spread between trainings in it (squares added, Zou and
        Donner 2008); None where either was trained once, so that the spread is unknown."""
        if min(self.trainings, other.trainings) < 2:
            return None
        value = self.value - other.value
        low = value - math.hypot(self.value - self.low, other.high - other.value)
        return low, value + math.hypot(self.high - self.value, other.value - other.low)

    def gains(self, other: Averaged) -> bool:
        """Whether this training choice is clearly better than the other."""
        found = self.minus(other)
        return found is not None and found[0] > 0


@dataclass(frozen=True)
class Measured:
    """The estimates of one group on one part; None where nothing was measured."""

    macro: Averaged | None
    micro: Averaged | None
    by_level: tuple[Averaged | None, ...]
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
        return examples_of(self.levels, self.size)

    def on(self, part: str) -> Measured | None:
        """The estimates on "test" or "ood"."""
        return self.test if part == "test" else self.ood


def by_choice(cells: Sequence[One]) -> list[list[One]]:
    """The cells of each size and training choice, by rising size; within one, by seed."""
    keys = sorted({(cell.size, CHOICES.index(cell.levels)) for cell in cells})
    return [
        sorted((c for c in cells if (c.size, CHOICES.index(c.levels)) == key), key=lambda cell: cell.seed)
        for key in keys
    ]


def groups(results: Results) -> tuple[Group, ...]:
    """The cells averaged over seeds, by size and then by training choice."""
    trained = results.of(Trained)
    sets = by_choice(trained.cells) if trained else []
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
    trained = results.of(Trained)
    base = trained.base if trained else None
    return (measured(base.test), measured(base.ood) if base.ood else None) if base else (None, None)


def measured(scores: Scores) -> Measured:
    """The scores of a single model, such as the base."""
    return _measured([[scores]])[0]


def _measured(sets: Sequence[Sequence[Scores]]) -> list[Measured]:
    def over(pick: Callable[[Scores], Estimate | None]) -> list[Averaged | None]:
        return averaged([[pick(scores) for scores in one] for one in sets])

    macro, micro = over(lambda scores: scores.macro), over(lambda scores: scores.micro)
    by_level = [over(lambda scores, level=level: scores.level(level)) for level in LEVELS]  # type: ignore[misc]
    word = [[scores.word_macro for scores in one if scores.word_macro is not None] for one in sets]
    return [
        Measured(macro[i], micro[i], tuple(row[i] for row in by_level), fmean(word[i]) if word[i] else None)
        for i in range(len(sets))
    ]


def averaged(sets: Sequence[Sequence[Estimate | None]], most: float = 1.0) -> list[Averaged | None]:
    """The mean of each set of seeds' estimates, which lie from 0 to `most`; all sets share one seed spread."""
    from scipy import stats

    whole = [[one for one in found if one is not None] for found in sets]
    freedom = sum(len(one) - 1 for one in whole if one)
    squares = sum((e.value - fmean(other.value for other in one)) ** 2 for one in whole for e in one)
    spread = float(stats.t.ppf(0.975, freedom)) * math.sqrt(squares / freedom) if freedom else 0.0
    return [_mean(one, spread, most) if one else None for one in whole]


def alone(found: Estimate | None) -> Averaged | None:
    """The estimate of a model that was trained once, or not at all."""
    return averaged([[found]], math.inf)[0]


def _mean(found: Sequence[Estimate], spread: float, most: float) -> Averaged:
    value, seeds = fmean(one.value for one in found), spread / math.sqrt(len(found))
    below = math.hypot(fmean(one.value - one.low for one in found), seeds)
    over = math.hypot(fmean(one.high - one.value for one in found), seeds)
    return Averaged(
        value=value,
        low=max(value - below, 0.0),
        high=min(value + over, most),
        n=max(one.n for one in found),
        method="questions and trainings" if len(found) > 1 else found[0].method,
        lowest=min(one.value for one in found),
        highest=max(one.value for one in found),
        trainings=len(found),
    )


def _mean_seconds(cells: Sequence[Cell]) -> float | None:
    seconds = [cell.train_seconds for cell in cells if cell.train_seconds is not None]
    return fmean(seconds) if seconds else None


def interval_text(found: Sequence[Group]) -> str:
    """How the intervals were made, in words that fit this study."""
    if not found:
        return "95 % intervals over the test facts."
    most = max(len(group.seeds) for group in found)
    if most == 1:
        return (
            "95 % intervals over the test facts. Each point is one training run (one seed), so how much "
            "another draw of training examples would change it is not measured: run several seeds to see."
        )
    return (
        f"Points are means over up to {most} seeds (other examples, other order). The 95 % intervals "
        "join two errors: the mean interval of the single runs over the test facts, and the spread between "
        "seeds (Student's t with a standard deviation pooled over all training choices and sizes)."
    )
