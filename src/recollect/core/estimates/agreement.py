"""How far two who judge the same things agree: the share of the same verdicts, and Cohen's kappa (1960, 1968).

Kappa is the agreement beyond that of two who agree by chance: 1 always, 0 as by chance. Its interval is that of the
distribution of kappa when the shares of the cells of the table have the Jeffreys distribution Dirichlet(n + 1/2), from
a fixed number of draws with a fixed seed: the usual normal interval (Fleiss, Cohen and Everitt 1969) has no width where
all agree. tests/core/test_agreement.py measures its coverage.

Over ordered levels kappa is weighted: a disagreement counts by how many levels it spans. With half a thing in each of
25 cells the interval of strong agreement would miss it (33 of 100 samples of 20 things held a kappa of 0.8), so beyond
two verdicts all cells together get 2 things, as those of two verdicts do, and also a quarter of that; the interval
spans both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recollect.core.estimates.intervals import CONFIDENCE, Estimate, proportion
from recollect.errors import InputError

_DRAWS = 20_000
_WHOLES = (2.0, 0.5)
"""Things that all cells of a table get together; 2 is half a thing in each of four."""


def agreement(first: Sequence[object], second: Sequence[object], confidence: float = CONFIDENCE) -> Estimate:
    """The share of things of which both say the same. InputError for none, or for two of unlike length."""
    if len(first) != len(second):
        raise InputError(f"both must judge the same things, but got {len(first)} and {len(second)} verdicts.")
    return proportion(sum(one == other for one, other in zip(first, second, strict=True)), len(first), confidence)


def kappa(first: Sequence[object], second: Sequence[object], confidence: float = CONFIDENCE) -> Estimate | None:
    """Cohen's kappa of two who judge the same things; None where both say one and the same of all."""
    agreement(first, second)
    names = {name: at for at, name in enumerate(dict.fromkeys([*first, *second]))}
    if len(names) < 2:
        return None
    counts = np.zeros((len(names), len(names)))
    for one, other in zip(first, second, strict=True):
        counts[names[one], names[other]] += 1
    return _estimated(counts, 1 - np.eye(len(counts)), "kappa, Jeffreys", confidence)


def weighted_kappa(table: Any, confidence: float = CONFIDENCE) -> Estimate | None:
    """Cohen's kappa over ordered levels, a disagreement weighted by the levels that it spans (linear weights).

    table: how many things got level i by the first and j by the second; expected counts where grades are probabilities.
    For two levels it is `kappa`. None where both say one and the same of all. InputError for no table of counts.
    """
    counts, apart = _levels_table(table)
    return _estimated(counts, apart, "kappa, weighted by levels", confidence) if _varies(counts) else None


def weighted_kappa_of(table: Any) -> float | None:
    """The number of `weighted_kappa` alone."""
    counts, apart = _levels_table(table)
    return float(_kappa(counts / counts.sum(), apart)) if _varies(counts) else None


def _levels_table(table: Any) -> tuple[Any, Any]:
    """The counts, and how much the disagreement of each cell counts."""
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not (counts >= 0).all() or counts.sum() < 1:
        raise InputError(f"the table must hold counts, levels × levels, but got {counts.tolist()}.")
    levels = np.arange(len(counts))
    return counts, np.abs(np.subtract.outer(levels, levels)) / max(len(levels) - 1, 1)


def _varies(counts: Any) -> bool:
    return bool((counts.sum(axis=0) + counts.sum(axis=1) > 1e-9).sum() > 1)


def _estimated(counts: Any, apart: Any, method: str, confidence: float) -> Estimate:
    value, outside = float(_kappa(counts / counts.sum(), apart)), (1 - confidence) / 2
    ends = [value]
    for whole in _WHOLES if len(counts) > 2 else _WHOLES[:1]:
        random = np.random.default_rng(0)
        shares = random.dirichlet(counts.ravel() + whole / counts.size, _DRAWS).reshape(_DRAWS, *counts.shape)
        ends += np.quantile(_kappa(shares, apart), [outside, 1 - outside]).tolist()
    return Estimate(value, min(ends), max(ends), round(counts.sum()), method, confidence)


def _kappa(shares: Any, apart: Any) -> Any:
    """Of tables of shares, (…, first, second); `apart` is how much the disagreement of each cell counts."""
    seen = (shares * apart).sum(axis=(-2, -1))
    chance = ((shares.sum(axis=-1) @ apart) * shares.sum(axis=-2)).sum(axis=-1)
    return 1 - seen / np.maximum(chance, 1e-12)
