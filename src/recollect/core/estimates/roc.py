"""How well a score tells two groups apart: the area under the ROC curve, with DeLong's interval (1988).

The area is the chance that a member of the first group has a greater score than one of the second, a tie for a half.
Its variance is that of the members' own such chances (DeLong, DeLong and Clarke-Pearson 1988); the interval is made on
the logit of the area, so that it stays within 0 and 1. Where the groups are apart altogether there is no width to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from recollect.core.estimates.intervals import CONFIDENCE, Estimate
from recollect.errors import InputError


def roc_area(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The chance that one of `first` scores higher than one of `second`. InputError for a group of under two or NaN."""
    from scipy.stats import norm, rankdata

    ones, others = len(first), len(second)
    if min(ones, others) < 2:
        raise InputError(f"each of two groups must have at least 2 members, but got {ones} and {others}.")
    both = np.asarray([*first, *second], dtype=np.float64)
    if np.isnan(both).any():
        raise InputError("every score must be a number, but one is NaN.")
    ranks = rankdata(both)
    above = (ranks[:ones] - rankdata(both[:ones])) / others  # of each of the first: the second it is above
    below = 1 - (ranks[ones:] - rankdata(both[ones:])) / ones
    area = float(above.mean())
    variance = float(above.var(ddof=1) / ones + below.var(ddof=1) / others)
    inside = min(max(area, 0.5 / (ones * others)), 1 - 0.5 / (ones * others))
    half = float(norm.ppf((1 + confidence) / 2)) * math.sqrt(variance) / (inside * (1 - inside))
    low, high = (1 / (1 + math.exp(-(math.log(inside / (1 - inside)) + side))) for side in (-half, half))
    return Estimate(area, min(low, area), max(high, area), ones + others, "DeLong, on the logit", confidence)
