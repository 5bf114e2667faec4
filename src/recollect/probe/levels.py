"""From counts to scores, intervals, levels and how sure a level is.

Definitions (docs/studies.md §2): R = hits / (templates * samples); level 0 when R = 0, level i when (i-1)/4 < R <= i/4.
Our choices [open]
- An estimate that is not a count (closed form, hybrid) is level 0 when R < 0.5 / draws (draws = templates * samples):
  closer to "no hit in 210" than to "one hit".
- `level_probability` is the probability that a fresh probe of `draws` draws reports the same level: beta-binomial, with
  a Beta prior fitted to all facts of the run by maximum likelihood (empirical Bayes), Jeffreys' prior under 50 facts.
- A fact is *borderline* when that probability is under 0.9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

BORDERLINE = 0.9
_FEW_FACTS = 50


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


def fit_prior(hits: Floats, draws: Floats) -> tuple[float, float]:
    """Beta(a, b) prior of the hit rate over facts, by maximum beta-binomial likelihood; Jeffreys' for few facts."""
    from scipy.optimize import minimize
    from scipy.special import betaln

    if len(hits) < _FEW_FACTS:
        return 0.5, 0.5

    def loss(log_ab: Floats) -> float:
        a, b = np.exp(log_ab)
        return float(-(betaln(hits + a, draws - hits + b) - betaln(a, b)).sum())

    bounds = [(np.log(1e-3), np.log(1e4))] * 2
    found = minimize(loss, x0=np.log([0.5, 0.5]), bounds=bounds, method="L-BFGS-B")
    a, b = np.exp(found.x)
    return float(a), float(b)


def score_interval(hits: Floats, draws: Floats, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Jeffreys interval of a rate (low is 0 without hits, high is 1 without misses)."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = np.where(hits <= 0, 0.0, beta.ppf(tail, hits + 0.5, draws - hits + 0.5))
    high = np.where(hits >= draws, 1.0, beta.ppf(1 - tail, hits + 0.5, draws - hits + 0.5))
    return low, high


def repeat_probability(level: Ints, a: Floats, b: Floats, draws: int, fixed: Floats, weight: Floats) -> Floats:
    """Probability that a fresh probe reports `level`, when the true score is fixed + weight * Beta(a, b).

    The Beta is taken at 64 equally likely quantiles; given the score, hits are binomial. Shapes [facts].
    """
    from scipy.special import bdtr
    from scipy.stats import beta

    nodes = (np.arange(64) + 0.5) / 64
    rates = beta.ppf(nodes[None, :], a[:, None], b[:, None])
    scores = np.clip(fixed[:, None] + weight[:, None] * rates, 0.0, 1.0)
    bounds = level_bounds(draws)
    found = np.zeros(len(level))
    for value, (first, last) in enumerate(bounds):
        rows = level == value
        if not rows.any() or last < first:
            continue
        inside = bdtr(last, draws, scores[rows])
        if first > 0:
            inside = inside - bdtr(first - 1, draws, scores[rows])
        found[rows] = inside.mean(axis=1)
    return np.clip(found, 0.0, 1.0)
