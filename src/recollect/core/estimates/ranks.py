"""Do two models rank the same trainings alike? Spearman's correlation (1904) over cells that were each trained again.

The interval joins two errors, as the root of their summed squares on Fisher's scale (artanh):
- the cells: the variance (1 + ρ²/2) / (n − 3) of Bonett and Wright (2000) with Student's t, for cells as a sample of
  their kind, as of `correlations.RankCorrelation`;
- the trainings: how far ρ moves when each cell's mean moves by the spread between its trainings (pooled over the cells
  of a model, Student's t). It can only be measured by training again, so without repeats there is no interval.

Noise hides agreement: two sets of trainings of one and the same model do not rank alike either. `ceiling` is about what
two models that agree fully would show under it, so a correlation near it is as good as full agreement.
tests/core/test_ranks.py measures the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recollect.core.estimates.intervals import CONFIDENCE, Estimate
from recollect.core.estimates.trainings import NO_REPEATS, Spread, spread_of
from recollect.core.random import FIXED_SEED
from recollect.errors import InputError

LEAST_CELLS = 6
"""With five cells an interval reaches from strong agreement to strong disagreement whatever was measured."""
_DRAWS = 2_000
_METHOD = "cells and trainings"


@dataclass(frozen=True)
class RankAgreement:
    """How alike two models rank the same cells."""

    n: int
    """Cells."""
    value: float | None
    """Spearman's ρ, −1 to 1; None where all cells of a model are alike, or there are under three."""
    interval: Estimate | None
    """None where nothing can be said."""
    ceiling: float | None
    """About what two models that agree fully would show under this noise of trainings."""
    reason: str = ""
    """Why there is no interval."""


def rank_agreement(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    groups: Sequence[object] | None = None,
    confidence: float = CONFIDENCE,
) -> RankAgreement:
    """Spearman's correlation of the cells' means; cell by cell the scores of its trainings, of each model.

    groups: with one for each cell (such as its size) each model's mean of the group is taken off first, so that it is
    told how alike they rank inside a group. InputError for models with unlike cells, and for a cell without a training.
    """
    if len(first) != len(second) or not all(len(cell) for cell in (*first, *second)):
        raise InputError(f"both models need the same cells, each trained, but got {len(first)} and {len(second)}.")
    n, keys = len(first), [0] * len(first) if groups is None else list(groups)
    lost = len(set(keys)) - 1 if groups is not None else 0
    sides = [_means(side) for side in (first, second)]
    value = float(rank_correlation(*(_centred(side, keys) for side in sides))) if n > 2 else math.nan
    if n - lost < LEAST_CELLS:
        inside = ", those that are compared inside a group" if lost > 0 else ""
        known = None if math.isnan(value) else value
        return RankAgreement(
            n, known, None, None, f"{max(n - lost, 0)} cells are too few (from {LEAST_CELLS} on){inside}"
        )
    if math.isnan(value):
        return RankAgreement(n, None, None, None, "all cells of a model have the same score")
    spreads = [spread_of(side) for side in (first, second)]
    if spreads[0] is None or spreads[1] is None:
        return RankAgreement(n, value, None, None, NO_REPEATS)
    random = np.random.default_rng(FIXED_SEED)
    counts = [np.array([len(cell) for cell in side]) for side in (first, second)]
    moved = [_moved(side, count, spread, random) for side, count, spread in _zip(sides, counts, spreads)]
    shaken = rank_correlation(*(_centred(side, keys) for side in moved))
    trainings = float(np.nanstd(_fisher(shaken, n)))
    half = math.hypot(math.sqrt((1 + value**2 / 2) / (n - lost - 3)), trainings) * _student(n - lost - 2, confidence)
    low, high = (math.tanh(float(_fisher(value, n)) + end) for end in (-half, half))
    interval = Estimate(value, min(low, value), max(high, value), n, _METHOD, confidence)
    return RankAgreement(n, value, interval, _ceiling(sides, counts, spreads, keys))


def _zip(sides: Sequence[Any], cells: Sequence[Any], spreads: Sequence[Spread | None]) -> list[tuple[Any, Any, Spread]]:
    return [(side, own, spread) for side, own, spread in zip(sides, cells, spreads, strict=True) if spread is not None]


def _means(cells: Sequence[Sequence[float]]) -> Any:
    return np.array([np.mean(cell) for cell in cells])


def _centred(means: Any, keys: Sequence[object]) -> Any:
    """(…, cells) less the mean of each group; numbers that differ by rounding alone are equal again."""
    found = np.array(means, dtype=float)
    for key in dict.fromkeys(keys):
        places = [at for at, one in enumerate(keys) if one == key]
        found[..., places] -= found[..., places].mean(axis=-1, keepdims=True)
    return np.round(found, 10)


def _moved(means: Any, trainings: Any, spread: Spread, random: np.random.Generator) -> Any:
    """Means of other trainings of the same cells, [draws, cells]."""
    noise = random.standard_t(spread.freedom, (_DRAWS, len(means)))
    return means + noise * spread.deviation / np.sqrt(trainings)


def _ceiling(
    sides: Sequence[Any], trainings: Sequence[Any], spreads: Sequence[Spread | None], keys: Sequence[object]
) -> float:
    """√(r₁ r₂), with r the share of the variance between cells that is not the trainings' (Spearman 1904)."""
    found = 1.0
    for means, counts, spread in _zip(sides, trainings, spreads):
        between = float((_centred(means, keys) ** 2).sum()) / (len(keys) - len(set(keys)))
        found *= max(0.0, 1 - spread.deviation**2 * float(np.mean(1 / counts)) / between)
    return math.sqrt(found)


def rank_correlation(first: Any, second: Any) -> Any:
    """Spearman's of (…, cells); NaN where one of them does not vary."""
    from scipy.stats import rankdata

    one, other = (rankdata(side, axis=-1) - (side.shape[-1] + 1) / 2 for side in (first, second))
    size = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    product = (one * other).sum(axis=-1)
    return np.divide(product, size, out=np.full(np.shape(size), math.nan), where=size > 0)[()]


def _fisher(rho: Any, n: int) -> Any:
    """artanh, of full agreement half a step of ρ below 1: a swap of two neighbours is the least that n cells show."""
    most = 1 - 6 / (n * (n * n - 1))
    return np.arctanh(np.clip(rho, -most, most))


def _student(freedom: int, confidence: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, freedom))
