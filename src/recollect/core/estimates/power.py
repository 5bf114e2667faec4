"""How many questions would tell two models apart, from those that only one of them had right."""

from __future__ import annotations

import math

from recollect.core.estimates.differences import Pairs
from recollect.core.estimates.intervals import Estimate

POWER = 0.8


def questions_needed(pairs: Pairs, power: float = POWER, confidence: float = 0.95) -> int | None:
    """Questions with which McNemar's test would see the observed difference with this power; None without one.

    With a the share that only one model has right, b the other's, d = |a − b| and s = a + b (Connor 1987):

        n = (z(confidence) √s + z(power) √(s − d²))² / d²

    It is a plan, not a promise: the observed shares are estimates themselves.

    Examples:
        >>> questions_needed(Pairs(only_second=20, only_first=10, both=50, neither=20))
        234
    """
    from scipy.stats import norm

    more, less = pairs.only_second / pairs.n, pairs.only_first / pairs.n
    gap, spread = abs(more - less), more + less
    if not gap:
        return None
    sure, seen = float(norm.ppf((1 + confidence) / 2)), float(norm.ppf(power))
    return math.ceil((sure * math.sqrt(spread) + seen * math.sqrt(max(spread - gap**2, 0.0))) ** 2 / gap**2)


def units_needed(difference: Estimate, units: int, power: float = POWER) -> int | None:
    """Of what an interval was made over (`units` pages, conversations), how many would show it, at its confidence.

    With half the interval h = z(confidence) s / √units: units · ((1 + z(power) / z(confidence)) · h / |difference|)².
    None of no difference.

    Examples:
        >>> units_needed(Estimate(0.05, -0.05, 0.15, 800, "paired by page"), 100)
        818
    """
    from scipy.stats import norm

    if not difference.value:
        return None
    times = 1 + float(norm.ppf(power)) / float(norm.ppf((1 + difference.confidence) / 2))
    return math.ceil(units * (times * (difference.high - difference.low) / 2 / abs(difference.value)) ** 2)
