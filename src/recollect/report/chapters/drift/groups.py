"""Drift cells of the same training choice and size, averaged over seeds.

The interval of a mean divergence joins, as in `scores.groups`, the mean error of the single runs (1.96 standard errors
over their facts or tokens) and the spread between seeds. Tokens of one text depend on each other, so over tokens the
first part is rather too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from recollect.core.estimates import Estimate
from recollect.report.chapters.drift.record import DriftCell
from recollect.report.scores.groups import Averaged, averaged, by_choice
from recollect.report.scores.record import Choice


@dataclass(frozen=True)
class DriftGroup:
    """All seeds of one training choice at one size; None where nothing was measured."""

    levels: Choice
    size: int
    seeds: tuple[int, ...]
    kl_paper: Averaged | None
    kl_full: Averaged | None
    kl_backward: float | None
    kl_general: Averaged | None
    base_loss: float | None
    tuned_loss: float | None
    known_base: Averaged | None
    known_tuned: Averaged | None


def drift_groups(cells: Sequence[DriftCell]) -> tuple[DriftGroup, ...]:
    """The cells averaged over seeds, by size and then by training choice."""
    sets = by_choice(cells)

    def over(pick: Callable[[DriftCell], Estimate | None], most: float = math.inf) -> list[Averaged | None]:
        return averaged([[pick(cell) for cell in one] for one in sets], most)

    paper, full = over(lambda cell: cell.kl_paper), over(lambda cell: cell.kl_full)
    general = over(lambda cell: cell.kl_general)
    known_base, known_tuned = over(lambda cell: cell.known_base, 1.0), over(lambda cell: cell.known_tuned, 1.0)
    return tuple(
        DriftGroup(
            levels=one[0].levels,
            size=one[0].size,
            seeds=tuple(cell.seed for cell in one),
            kl_paper=paper[i],
            kl_full=full[i],
            kl_backward=_mean([cell.kl_backward for cell in one]),
            kl_general=general[i],
            base_loss=_mean([cell.general_base_loss for cell in one]),
            tuned_loss=_mean([cell.general_tuned_loss for cell in one]),
            known_base=known_base[i],
            known_tuned=known_tuned[i],
        )
        for i, one in enumerate(sets)
    )


def floor(cells: Sequence[DriftCell]) -> float | None:
    """The largest floor of all cells: what stands below it is rounding."""
    return max((cell.kl_floor for cell in cells if cell.kl_floor is not None), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
