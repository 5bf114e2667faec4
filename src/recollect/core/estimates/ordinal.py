"""How far two distributions over ordered levels lie apart, where the same things were graded twice.

Two distances: the total variation (the share that would have to move, 0 to 1) and the earth mover's (how many levels it
would move on average, Σ |F₁ − F₂| of the cumulated shares; 0 to levels − 1).

Notable choices
- Each grade is a probability over the levels, so that a grade that is not certain counts as what it is; a certain one
  has all on one level.
- Things that were drawn together (questions about one subject) are resampled together.
- Both distances are the greatest of a few plain means: over every choice of signs s, of Σ s_k (p_k − q_k) / 2, and of
  Σ s_k (F_k − G_k). So an interval is one of means. Below: resampled things (grades of one thing stay together), at the
  quantile that holds for all choices of signs at once, since the greatest was picked; above the one that each mean has
  alone. Where a resampling sees no spread the interval of a bounded mean (`mean_score`) bounds it.
- An estimated distance of two equal distributions is above 0 by noise alone. `graded_again` says how far: it
  draws second gradings of the same things, from what each thing's second grade would be.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from recollect.core.estimates.clusters import by_cluster
from recollect.core.estimates.differences import mean_score
from recollect.core.estimates.intervals import CONFIDENCE, Estimate
from recollect.core.random import FIXED_SEED
from recollect.errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]
_DRAWS = 2_000
_CELLS = 5_000_000  # of a block of resamplings
_SUM = 1e-6  # of probabilities that were rounded


def total_variation(
    first: Any, second: Any, confidence: float = CONFIDENCE, units: Sequence[Hashable] | None = None
) -> Estimate:
    """½ Σ |p − q| of the mean grades, 0 to 1. Both [things, levels] of probabilities, row by row of the same thing.

    units: what each thing was drawn with, such as a subject; alone by default. Raises InputError for none, for two
    of unlike shape, and for rows that are no probabilities.
    """
    one, other = _both(first, second)
    signs = np.array(list(itertools.product((-0.5, 0.5), repeat=one.shape[1])))
    return _greatest((one - other) @ signs.T, 1.0, confidence, units)


def levels_apart(
    first: Any, second: Any, confidence: float = CONFIDENCE, units: Sequence[Hashable] | None = None
) -> Estimate:
    """The earth mover's distance of the mean grades in levels, 0 to levels − 1; otherwise as `total_variation`."""
    one, other = _both(first, second)
    gaps = np.cumsum(one - other, axis=1)[:, :-1]
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=gaps.shape[1])))
    return _greatest(gaps @ signs.T, float(gaps.shape[1]), confidence, units)


def graded_again(second: Any, draws: int = _DRAWS) -> Floats:
    """Level distributions of second gradings of the same things, [draws, levels].

    second: [things, levels] of probabilities, of what a second grading gives each thing.
    """
    other, _ = _both(second, second)
    random, upto = np.random.default_rng(FIXED_SEED), other.cumsum(axis=1)[:, :-1]
    found = [
        np.bincount((random.random((len(other), 1)) > upto).sum(axis=1), minlength=other.shape[1]) for _ in range(draws)
    ]
    return np.array(found) / len(other)


def variation_of(first: Any, second: Any) -> Floats:
    """The total variation of level distributions, (…, levels); the numbers alone."""
    found: Floats = np.abs(np.asarray(first) - second).sum(axis=-1) / 2
    return found


def apart_of(first: Any, second: Any) -> Floats:
    """The earth mover's distance of level distributions, (…, levels); the numbers alone."""
    found: Floats = np.abs(np.cumsum(np.asarray(first) - second, axis=-1)[..., :-1]).sum(axis=-1)
    return found


def _both(first: Any, second: Any) -> tuple[Floats, Floats]:
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.ndim != 2 or one.shape != other.shape or not len(one) or one.shape[1] < 2:
        raise InputError(f"both must grade the same things, [things, levels], but got {one.shape} and {other.shape}.")
    for grades in (one, other):
        if not ((grades >= -_SUM) & (np.abs(grades.sum(axis=1, keepdims=True) - 1) <= _SUM)).all():
            raise InputError("every grade must be probabilities over the levels that sum to 1, but one is not.")
    return one, other


def _greatest(scores: Floats, most: float, confidence: float, units: Sequence[Hashable] | None) -> Estimate:
    """The greatest of the means of the columns [things, signs], which lie within ±most."""
    means = scores.mean(axis=0)
    value, outside = float(means.max()), (1 - confidence) / 2
    largest = scores[:, int(means.argmax())].clip(-most, most).tolist()
    alone = mean_score([largest], -most, most, confidence)
    if units is not None and len(set(units)) < len(scores):
        alone = by_cluster(alone, largest, units, least=-most, most=most)
        sums, sizes = _by_unit(scores, units)
    else:
        sums, sizes = scores, np.ones(len(scores))
    low, high, n = alone.low, alone.high, len(sums)
    if n > 1:
        away = (_resampled(sums, sizes) - means) * np.sqrt(n / (n - 1))
        low = min(low, value - float(np.quantile(away.max(axis=1), 1 - outside)))
        high = max(high, float((means + np.quantile(-away, 1 - outside, axis=0)).max()))
    ends = min(max(low, 0.0), value), max(min(high, most), value)
    return Estimate(value, *ends, len(scores), "facts resampled", confidence)


def _by_unit(scores: Floats, units: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Sums of the columns over the things of each unit, [units, signs], and how many things it has."""
    number = {unit: at for at, unit in enumerate(dict.fromkeys(units))}
    place = [number[unit] for unit in units]
    sums = np.zeros((len(number), scores.shape[1]))
    np.add.at(sums, place, scores)
    return sums, np.bincount(place).astype(float)


def _resampled(sums: Floats, sizes: Floats) -> Floats:
    """Means of the columns over units drawn with replacement, [draws, signs]; equal units are drawn together."""
    random = np.random.default_rng(FIXED_SEED)
    kinds, counts = np.unique(np.round(np.column_stack([sums, sizes]), 12), axis=0, return_counts=True)
    block = max(1, _CELLS // len(kinds))
    blocks = [min(block, _DRAWS - at) for at in range(0, _DRAWS, block)]
    shares = counts / counts.sum()
    summed, counted = np.ascontiguousarray(kinds[:, :-1]), kinds[:, -1]
    found = [random.multinomial(counts.sum(), shares, size) for size in blocks]
    means: Floats = np.concatenate([(one @ summed) / (one @ counted)[:, None] for one in found])
    return means
