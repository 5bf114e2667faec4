"""Weighted sums of accuracies of many cells: gains, slopes over levels, one training level against the others.

Every training of every cell scores the same facts, some of each memory level. A contrast is a sum over cells and levels
of weight x mean score. Its interval joins two errors, as the root of their summed squares (Zou and Donner 2008):

- the facts: each fact's own weighted sum over the cells, so that what the cells share cancels; within levels, from the
  distributions of `intervals` (scores without bounds, such as divergences, by Student's t; values that share pages, and
  questions about one subject, by those of `clusters`);
- the trainings: t sqrt(sum of a^2 s^2 / r), a the weight of a cell, r its trainings and s their standard deviation
  around the mean of their cell, pooled over all trained cells of its size by the same mean over levels (sizes may
  scatter unlike); t has Welch and Satterthwaite's freedom. With one cell a size that is too few; the sizes then share
  a part of their spread, as in a data curve, and t has the freedom of all. One seed's larger training set holds its
  smaller ones, so trainings of one choice at several sizes may move together: terms of one sign are added before they
  are squared, terms of unlike sign are squared one by one, at least as wide as any common correlation from 0 to 1 makes
  it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recollect.core.estimates.clusters import change_bounds, cluster_bounds, table_of
from recollect.core.estimates.differences import scores_of
from recollect.core.estimates.intervals import Estimate, weighted, widened, within
from recollect.core.estimates.measures import Source
from recollect.core.estimates.trainings import Spread, spread_of
from recollect.errors import InputError

Cell = tuple[str, int]
"""What was trained on, and how many examples."""
Weights = Mapping[Cell, Mapping[int, float]]
"""Of every cell, the weight of its mean score on the facts of each level."""
Shape = tuple[tuple[int, float], ...]
"""How one weight is divided over the levels."""


@dataclass(frozen=True)
class Trainings:
    """Scores of the same facts by every training of every cell."""

    scores: Mapping[Cell, Any]
    """Trainings x facts; all cells have the same facts in the same order."""
    levels: Any
    """One integer per fact."""
    untrained: frozenset[Cell] = frozenset()
    """Cells of an untouched model: nothing was drawn for them, so they have no spread."""
    least: float | None = 0.0
    most: float | None = 1.0
    """Bounds of a score; None where it has none."""
    units: Any | None = None
    """What each fact was drawn with, such as the page that a value stands on, or its subject; None: each was drawn
    alone."""
    shared: float = 0.0
    """How many trainings the spread over all sizes counts for against a size's own; 0: each size has its own alone."""

    def count(self, level: int) -> int:
        """Facts of a level."""
        return int((np.asarray(self.levels) == level).sum())

    def mean(self, cell: Cell, weights: Mapping[int, float]) -> float:
        """A cell's weighted sum of the levels' mean scores, over all its trainings."""
        return float(np.mean(self.by_training(cell, weights)))

    def by_training(self, cell: Cell, weights: Mapping[int, float]) -> Any:
        """The same of each training."""
        return sum(weight * self._means(cell, level) for level, weight in weights.items())

    def _means(self, cell: Cell, level: int) -> Any:
        """The mean score of each training on the facts of a level."""
        if (cell, level) not in self._known_means:
            found = np.asarray(self.scores[cell], dtype=float)[:, self.place(level)].mean(axis=1)
            self._known_means[cell, level] = found
        return self._known_means[cell, level]

    @cached_property
    def _known_means(self) -> dict[tuple[Cell, int], Any]:
        return {}

    def place(self, level: int) -> Any:
        """Which facts are of a level; InputError for none."""
        place = np.asarray(self.levels) == level
        if not place.any():
            raise InputError(f"no fact has level {level}, so it can have no weight.")
        return place

    def spread(self, weights: Mapping[int, float], size: int) -> Spread | None:
        """Of the trainings' scores by these weights around the mean of their cell, pooled over the trained cells of a
        size; over all of them where none of that size was trained twice. Both together where sizes share it."""
        trained = [cell for cell in self.scores if cell not in self.untrained]
        own, whole = (
            spread_of([self.by_training(cell, weights).tolist() for cell in cells])
            for cells in ([cell for cell in trained if cell[1] == size], trained)
        )
        if own is None or whole is None or not self.shared:
            return own or whole
        variance = (self.shared * whole.deviation**2 + own.freedom * own.deviation**2) / (self.shared + own.freedom)
        return Spread(math.sqrt(variance), whole.freedom)


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the cells' mean scores on the facts of each level. It is a `Measure`."""

    trainings: Trainings
    weights: Weights
    method: str = "paired by fact, with the spread of trainings"
    over_facts: bool = True
    """False where the scores are of the whole model, with no facts drawn for them."""

    @cached_property
    def value(self) -> float:
        """The sum."""
        return sum(self.trainings.mean(cell, weights) for cell, weights in self.weights.items())

    @cached_property
    def repeats(self) -> int:
        """Trainings of the trained cell with the fewest; 2 where only untouched models are compared."""
        trained = [cell for cell in self.weights if cell not in self.trainings.untrained]
        return min((len(self.trainings.scores[cell]) for cell in trained), default=2)

    def at(self, confidence: float) -> Estimate:
        """With its interval; without repeats that of the facts alone."""
        found = widened(self._of_facts(confidence), self._half(confidence), self.method)
        if self.trainings.least is None:
            return found
        return within(found, *(sum(one[end] for one in self._by_level.values()) for end in (1, 2)))

    def mostly(self, confidence: float) -> Source:
        """The larger of the two errors."""
        facts = self._of_facts(confidence)
        return "trainings" if 2 * self._half(confidence) >= facts.high - facts.low else "facts"

    def _of_facts(self, confidence: float) -> Estimate:
        if not self.over_facts:
            return Estimate(self.value, self.value, self.value, self.repeats, self.method, confidence)
        if self.trainings.units is not None:
            return self._clustered(confidence)
        return self._facts_bounded(confidence) if self.trainings.least is not None else self._facts(confidence)

    @cached_property
    def _by_level(self) -> dict[int, tuple[Any, float, float]]:
        """Each fact's weighted sum over the cells, and the least and most that it can be, by level."""
        found: dict[int, Any] = {}
        lows: dict[int, float] = defaultdict(float)
        highs: dict[int, float] = defaultdict(float)
        least, most = self.trainings.least or 0.0, self.trainings.most or 0.0
        for cell, weights in self.weights.items():
            mean = np.asarray(self.trainings.scores[cell], dtype=float).mean(axis=0)
            for level, weight in weights.items():
                if weight:
                    found[level] = found.get(level, 0.0) + weight * mean[self.trainings.place(level)]
                    lows[level] += min(weight * least, weight * most)
                    highs[level] += max(weight * least, weight * most)
        return {level: (found[level], lows[level], highs[level]) for level in sorted(found)}

    def _facts_bounded(self, confidence: float) -> Estimate:
        groups = [
            scores_of(np.clip(scores, low, high).tolist(), low - 1e-9, high + 1e-9)
            for scores, low, high in self._by_level.values()
        ]
        return weighted(groups, [1.0] * len(groups), self.method, confidence)

    def _clustered(self, confidence: float) -> Estimate:
        """The same where facts share units (pages, subjects), which are resampled.

        Where the weights cancel at every level, each fact has a change, and the made-up unit is that of a difference
        (`clusters.change_bounds`); else each level's sum is a share of what it can be.
        """
        units, levels = np.asarray(self.trainings.units), list(self._by_level)
        of_unit = [unit for level in levels for unit in units[self.trainings.place(level)].tolist()]
        of_level = [level for level, (scores, _, _) in self._by_level.items() for _ in scores]

        def table(of: Callable[[Any, float, float], Any]) -> tuple[Any, Any]:
            scores = [one for level in self._by_level.values() for one in of(*level).tolist()]
            return table_of(scores, of_unit, of_level)

        can_be = [(low, high) for _, low, high in self._by_level.values()]
        if all(math.isclose(-low, high) for low, high in can_be):
            hits, ns = table(lambda scores, low, high: len(levels) * scores)
            _, low, high = change_bounds(hits, ns, confidence, most=[len(levels) * most for _, most in can_be])
        else:
            hits, ns = table(lambda scores, low, high: np.clip((scores - low) / (high - low), 0.0, 1.0))
            times = [len(levels) * (high - low) for low, high in can_be]
            least = sum(low for low, _ in can_be)
            low, high = (least + end for end in cluster_bounds(hits, ns, confidence, times)[1:])
        ends = min(float(low), self.value), max(float(high), self.value)
        return Estimate(self.value, *ends, len(of_unit), self.method, confidence)

    def _facts(self, confidence: float) -> Estimate:
        from scipy import stats

        scores = [one for one, _, _ in self._by_level.values()]
        n = sum(len(one) for one in scores)
        freedom = min(len(one) for one in scores) - 1
        if freedom < 1:
            raise InputError("a mean of scores without bounds needs at least two facts of each level.")
        error = math.sqrt(sum(float(np.var(one, ddof=1)) / len(one) for one in scores))
        half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
        return Estimate(self.value, self.value - half, self.value + half, n, self.method, confidence)

    def _half(self, confidence: float) -> float:
        """Half-width for the trainings."""
        from scipy import stats

        variance, freedom = self._of_trainings
        return float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(variance) if freedom else 0.0

    @cached_property
    def _of_trainings(self) -> tuple[float, float]:
        """The variance for the trainings, and its freedom by Welch and Satterthwaite; 0 and 0 without repeats."""
        sums: dict[tuple[str, Shape], list[float]] = defaultdict(lambda: [0.0, 0.0])
        parts: dict[tuple[int, Shape], tuple[float, int]] = {}
        for cell, weights in self.weights.items():
            signed, shape = _shape_of(weights)
            if cell in self.trainings.untrained or not signed:
                continue
            key = cell[1], shape
            spread = self._spreads.setdefault(key, self.trainings.spread(dict(shape), cell[1]))
            if spread is None:
                continue
            error = abs(signed) * spread.deviation / math.sqrt(len(self.trainings.scores[cell]))
            sums[cell[0], shape][signed < 0] += error
            parts[key] = parts.get(key, (0.0, 0))[0] + error**2, spread.freedom
        if not parts:
            return 0.0, 0.0
        below = sum(part**2 / freedom for part, freedom in parts.values())
        whole = sum(part for part, _ in parts.values())
        least = min(freedom for _, freedom in parts.values())
        variance = sum(up**2 + down**2 for up, down in sums.values())
        return variance, whole**2 / below if below and not self.trainings.shared else least

    @cached_property
    def _spreads(self) -> dict[tuple[int, Shape], Spread | None]:
        return {}


def _shape_of(weights: Mapping[int, float]) -> tuple[float, Shape]:
    """A cell's weight with its sign, and how it is divided over the levels; 0 for no weight."""
    size = sum(abs(weight) for weight in weights.values())
    if not size:
        return 0.0, ()
    signed = math.copysign(size, next(weight for _, weight in sorted(weights.items()) if weight))
    return signed, tuple((level, round(weight / signed, 9)) for level, weight in sorted(weights.items()) if weight)


def macro(levels: tuple[int, ...], weight: float = 1.0) -> dict[int, float]:
    """Equal weights of the levels, `weight` in all."""
    return dict.fromkeys(levels, weight / len(levels))
