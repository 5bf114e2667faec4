"""Intervals and comparisons of accuracies. Every value here is a fraction in 0..1, not a percentage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from recollect.errors import InputError

_DRAWS = 50_000
_SEED = 20_240_915  # any fixed number: equal inputs must give equal intervals


@dataclass(frozen=True)
class Difference:
    """Accuracy of the second run minus that of the first, with its interval; `facts` is the number
    compared."""

    difference: float
    low: float
    high: float
    facts: int


def wilson(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of `right` successes in `n` trials; (0, 1) when n is 0. Raises InputError."""
    _check_counts(right, n)
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def macro_interval(rights: Sequence[int], ns: Sequence[int], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the unweighted mean of several accuracies (the studies' Acc over the memory levels, METHODS
    §3).

    Each accuracy gets an independent Jeffreys posterior, Beta(right + 1/2, wrong + 1/2); their mean is drawn
    50,000 times with a fixed seed and its central quantiles are returned, widened where needed to hold the
    point estimate (at 0 or at 1 the quantiles alone would miss it). Raises InputError for no accuracy, or one
    with n = 0.
    """
    if not ns or len(rights) != len(ns):
        raise InputError(f"rights and ns must be equally long and not empty, but got {rights=} and {ns=}.")
    for right, n in zip(rights, ns, strict=True):
        _check_counts(right, n)
        if n == 0:
            raise InputError("every accuracy of a macro mean needs n of at least 1, but got n=0. Leave it out.")
    hits, totals = np.asarray(rights, dtype=float), np.asarray(ns, dtype=float)
    draws = np.random.default_rng(_SEED).beta(hits + 0.5, totals - hits + 0.5, size=(_DRAWS, len(ns))).mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    estimate = float((hits / totals).mean())
    return min(float(low), estimate), max(float(high), estimate)


def paired_difference(
    first: pl.DataFrame,
    second: pl.DataFrame,
    *,
    part: str = "test",
    matcher: Literal["contains", "word"] = "contains",
    mean: Literal["macro", "micro"] = "macro",
    confidence: float = 0.95,
) -> Difference:
    """How much better the second run is than the first, on the same facts, by a paired bootstrap over facts.

    `first` and `second` are `outputs.parquet` tables (columns fact_id, part, level, and the matcher's).
    "macro" resamples inside each memory level and averages the levels; "micro" pools all facts. Resampling
    facts whose difference is -1, 0 or 1 is a multinomial draw, so no fact is copied. Raises InputError when
    the facts differ.
    """
    a, b = (table.filter(pl.col("part") == part).sort("fact_id") for table in (first, second))
    if a["fact_id"].to_list() != b["fact_id"].to_list():
        only = set(a["fact_id"]) ^ set(b["fact_id"])
        raise InputError(
            f"the two runs must hold the same facts of part {part!r}, but {len(only):,} stand in one of them "
            f"only ({a.height:,} and {b.height:,} facts). Evaluate both with the same facts and limit."
        )
    change = b[matcher].cast(pl.Int64) - a[matcher].cast(pl.Int64)
    groups = [change] if mean == "micro" else [change.filter(a["level"] == level) for level in range(5)]
    groups = [group for group in groups if len(group)]
    if not groups:
        raise InputError(f"no fact of part {part!r} to compare{' has a level' if mean == 'macro' else ''}.")
    rng = np.random.default_rng(_SEED)
    means = np.zeros(_DRAWS)
    for group in groups:
        shares = [int((group == value).sum()) / len(group) for value in (-1, 0, 1)]
        counts = rng.multinomial(len(group), shares, size=_DRAWS)
        means += (counts[:, 2] - counts[:, 0]) / len(group) / len(groups)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    estimate = sum(float(group.sum()) / len(group) for group in groups) / len(groups)
    return Difference(estimate, float(low), float(high), sum(len(group) for group in groups))


def _check_counts(right: int, n: int) -> None:
    if not 0 <= right <= n:
        raise InputError(f"right must be between 0 and n, but got {right=} and {n=}.")
