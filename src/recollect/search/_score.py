"""Scores from the outcomes by item: the same for facts (by memory level) and pages (by attribute), and paired.

Notable choices
- A score is the unweighted mean over groups of the share of right items, as everywhere in Recollect: groups are memory
  levels or attributes; without groups all items are one.
- Two models are compared on the same items by a bootstrap over units (a fact; a page with all its values). It holds the
  noise of the items, not that of training again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.curve import from_items, item_table
from recollect.errors import InputError

_DRAWS, _SEED, _CHUNK = 4_000, 20_240_713, 200

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number in points with its 95 % bounds and the number of items behind it."""

    value: float
    low: float
    high: float
    n: int

    def json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True)
class Scored:
    """Several models on the same items of one part."""

    names: tuple[int, ...]
    score: Floats
    """Points, one per model."""
    draws: Floats
    """Draws × models: the scores under resampled items."""
    items: int

    def of(self, name: int) -> Estimate:
        """One model's score."""
        at = self.names.index(name)
        return _estimate(float(self.score[at]), self.draws[:, at], self.items)

    def gain(self, name: int, over: int) -> Estimate:
        """One model's score less another's, paired."""
        at, other = self.names.index(name), self.names.index(over)
        value = float(self.score[at] - self.score[other])
        return _estimate(value, self.draws[:, at] - self.draws[:, other], self.items)


def score_of(evaluation: Path, part: str = "test") -> float:
    """The score of one evaluate step in points; InputError when the part has no item."""
    found = from_items({(0, 0): item_table(evaluation)}, part)
    if found is None:
        raise InputError(f"{evaluation} has no item to score in the part {part}.")
    return float(found.score[0])


def compare(evaluations: Mapping[int, Path], part: str) -> Scored | None:
    """Score several evaluate steps of the same questions together; None when the part has no item."""
    tables: dict[tuple[int, int], pl.DataFrame] = {(name, 0): item_table(path) for name, path in evaluations.items()}
    found = from_items(tables, part)
    if found is None or found.items is None:
        return None
    items = found.items
    units = int(items.unit.max()) + 1
    random = np.random.default_rng(_SEED)
    draws = []
    for _ in range(0, _DRAWS, _CHUNK):
        counts = random.multinomial(units, np.full(units, 1 / units), size=_CHUNK).astype(np.float64)
        draws.append(100 * items.scores(counts[:, items.unit]))
    return Scored(tuple(int(name) for name in found.size), found.score, np.concatenate(draws), len(items.group))


def _estimate(value: float, draws: Floats, n: int) -> Estimate:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value, min(float(low), value), max(float(high), value), n)
