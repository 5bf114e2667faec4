"""Drift cells of the same training choice and size, averaged over seeds.

The interval of a mean divergence joins, as in `_groups.py`, the mean error of the single runs (1.96 standard errors
over their facts or tokens) and the spread between seeds. Tokens of one text depend on each other, so over tokens the
first part is rather too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from recollect.report.chapters.drift.record import DriftCell
from recollect.report.results.common import CHOICES, Accuracy, Choice
from recollect.report.results.groups import Estimate, Triple, choice_name, estimates


@dataclass(frozen=True)
class DriftGroup:
    """All seeds of one training choice at one size; None where nothing was measured."""

    levels: Choice
    size: int
    seeds: tuple[int, ...]
    kl_paper: Estimate | None
    kl_paper_n: int
    kl_full: Estimate | None
    kl_full_n: int
    kl_backward: float | None
    kl_general: Estimate | None
    kl_general_n: int
    base_loss: float | None
    tuned_loss: float | None
    known_base: Estimate | None
    known_tuned: Estimate | None
    known_n: int

    @property
    def name(self) -> str:
        """For sentences: "60 examples of level 2"."""
        return f"{self.size:,} {'example' if self.size == 1 else 'examples'} {choice_name(self.levels)}"


def drift_groups(cells: Sequence[DriftCell]) -> tuple[DriftGroup, ...]:
    """The cells averaged over seeds, by size and then by training choice."""
    keys = sorted({(cell.size, CHOICES.index(cell.levels)) for cell in cells})
    sets = [
        sorted((c for c in cells if (c.size, CHOICES.index(c.levels)) == key), key=lambda cell: cell.seed)
        for key in keys
    ]

    def over(pick: Callable[[DriftCell], Triple], most: float = math.inf) -> list[Estimate | None]:
        return estimates([[pick(cell) for cell in one] for one in sets], most)

    paper = over(lambda cell: _normal(cell.kl_paper, cell.kl_paper_se))
    full = over(lambda cell: _normal(cell.kl_full, cell.kl_full_se))
    general = over(lambda cell: _normal(cell.kl_general, cell.kl_general_se))
    known_base = over(lambda cell: _known(cell.known_base), 100.0)
    known_tuned = over(lambda cell: _known(cell.known_tuned), 100.0)
    return tuple(
        DriftGroup(
            levels=one[0].levels,
            size=one[0].size,
            seeds=tuple(cell.seed for cell in one),
            kl_paper=paper[i],
            kl_paper_n=max(cell.kl_paper_n for cell in one),
            kl_full=full[i],
            kl_full_n=max(cell.kl_full_n for cell in one),
            kl_backward=_mean([cell.kl_backward for cell in one]),
            kl_general=general[i],
            kl_general_n=max(cell.kl_general_n for cell in one),
            base_loss=_mean([cell.general_base_loss for cell in one]),
            tuned_loss=_mean([cell.general_tuned_loss for cell in one]),
            known_base=known_base[i],
            known_tuned=known_tuned[i],
            known_n=max((cell.known_tuned.n for cell in one if cell.known_tuned), default=0),
        )
        for i, one in enumerate(sets)
    )


def floor(cells: Sequence[DriftCell]) -> float | None:
    """The largest floor of all cells: what stands below it is rounding."""
    return max((cell.kl_floor for cell in cells if cell.kl_floor is not None), default=None)


def _normal(value: float | None, error: float | None) -> Triple:
    if value is None or error is None:
        return (None, None, None)
    return (value, max(value - 1.96 * error, 0.0), value + 1.96 * error)


def _known(found: Accuracy | None) -> Triple:
    return (found.accuracy, found.low, found.high) if found else (None, None, None)


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
