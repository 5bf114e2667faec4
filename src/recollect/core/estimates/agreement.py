"""How far two who judge the same things agree: the share of the same verdicts, and Cohen's kappa (1960).

Kappa is the agreement beyond that of two who agree by chance: 1 always, 0 as by chance. Its interval is that of the
distribution of kappa when the shares of the cells of the table have the Jeffreys distribution Dirichlet(n + 1/2), from
a fixed number of draws with a fixed seed: the usual normal interval (Fleiss, Cohen and Everitt 1969) has no width where
all agree. tests/core/test_agreement.py measures its coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recollect.core.estimates.intervals import CONFIDENCE, Estimate, proportion
from recollect.errors import InputError

_DRAWS = 20_000
_PRIOR = 0.5


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
    value = float(_kappa(counts / counts.sum()))
    random = np.random.default_rng(0)
    shares = random.dirichlet(counts.ravel() + _PRIOR, _DRAWS).reshape(_DRAWS, *counts.shape)
    outside = (1 - confidence) / 2
    low, high = (float(bound) for bound in np.quantile(_kappa(shares), [outside, 1 - outside]))
    n = len(first)
    return Estimate(value, min(low, value), max(high, value), n, "kappa, Jeffreys", confidence)


def _kappa(shares: Any) -> Any:
    """Of tables of shares, (…, first, second)."""
    same = np.trace(shares, axis1=-2, axis2=-1)
    chance = (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)
    return (same - chance) / np.maximum(1 - chance, 1e-12)
