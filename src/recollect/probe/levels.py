"""From counts to scores, intervals and levels.

Definitions (docs/studies.md §2): R = hits / (templates * samples); level 0 when R = 0, level i when (i-1)/4 < R <= i/4.
Our choices [open]
- An estimate that is not a count (closed form, hybrid) is level 0 when R < 0.5 / draws (draws = templates * samples):
  closer to "no hit in 210" than to "one hit".
- A fact is *borderline* when the probability of its level in a fresh probe (see `agreement`) is under 0.9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

BORDERLINE = 0.9


def level_of(score: Floats, draws: int) -> Ints:
    """Memory level 0..4 of each score; for whole counts (score = hits / draws) exactly the studies' rule."""
    # 1e-12 keeps k/draws that equals a boundary (such as 105/210) on its lower side in spite of rounding
    levels = np.ceil(np.asarray(score, dtype=np.float64) * 4 - 1e-12).astype(np.int64)
    levels = np.clip(levels, 1, 4)
    levels[np.asarray(score) < 0.5 / draws] = 0
    return levels


def level_bounds(draws: int) -> list[tuple[int, int]]:
    """The smallest and largest number of hits (of `draws`) of each level 0..4; (1, 0) for an empty level."""
    levels = level_of(np.arange(draws + 1) / draws, draws)
    bounds = []
    for level in range(5):
        hits = np.flatnonzero(levels == level)
        bounds.append((int(hits[0]), int(hits[-1])) if len(hits) else (1, 0))
    return bounds


def score_interval(hits: Floats, draws: Floats, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Jeffreys interval of a rate (low is 0 without hits, high is 1 without misses)."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = np.where(hits <= 0, 0.0, beta.ppf(tail, hits + 0.5, draws - hits + 0.5))
    high = np.where(hits >= draws, 1.0, beta.ppf(1 - tail, hits + 0.5, draws - hits + 0.5))
    return low, high
