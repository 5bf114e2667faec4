"""Tests of "no difference": McNemar's, exact, for two runs on the same facts; and two corrections for many tests,
Holm's for no false claim at all, and that of Benjamini and Hochberg for few among the claims."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recollect.core.estimates.differences import Pairs


def mcnemar(pairs: Pairs, effect: float = 1.0) -> float:
    """The two-sided p-value of "both runs are right equally often", from the facts that only one has right.

    Under that hypothesis each such fact is as likely the first run's as the second's, so their counts are binomial with
    one half, and the test is exact for any number of facts (McNemar 1947; the exact form is the sign test). Without a
    fact that changed, p is 1. effect: where facts share subjects, their design effect, by which the squared normal
    score of p is divided (Rao and Scott 1981).
    """
    from scipy.stats import binomtest, norm

    changed = pairs.only_first + pairs.only_second
    if not changed:
        return 1.0
    exact = float(binomtest(pairs.only_first, changed).pvalue)
    return exact if effect == 1.0 else float(2 * norm.sf(norm.isf(exact / 2) / math.sqrt(effect)))


def holm(values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979): the chance of one false claim among them stays the stated
    one, however they hang together. One alone is as it was."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, largest = [1.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """The p-values corrected for a false discovery rate (Benjamini and Hochberg 1995): of those claimed up to a rate,
    at most that share is expected to be false, if they are independent or hang together positively.

    Examples:
        >>> benjamini_hochberg([0.01, 0.5, 0.04])
        [0.03, 0.5, 0.06]
    """
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    corrected, smallest = [1.0] * len(values), 1.0
    for before, place in enumerate(order):
        smallest = min(smallest, values[place] * len(values) / (len(values) - before))
        corrected[place] = smallest
    return corrected
