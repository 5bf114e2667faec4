"""Tests of "no difference": McNemar's, exact, for two runs on the same facts; and Holm's correction for several."""

from __future__ import annotations

from collections.abc import Sequence

from recollect.core.estimates.differences import Pairs


def mcnemar(pairs: Pairs) -> float:
    """The two-sided p-value of "both runs are right equally often", from the facts that only one has right.

    Under that hypothesis each such fact is as likely the first run's as the second's, so their counts are binomial with
    one half, and the test is exact for any number of facts (McNemar 1947; the exact form is the sign test). Without a
    fact that changed, p is 1.
    """
    from scipy.stats import binomtest

    changed = pairs.only_first + pairs.only_second
    return float(binomtest(pairs.only_first, changed).pvalue) if changed else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979): the chance of one false claim among them stays the stated
    one, however they hang together. One alone is as it was."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, largest = [1.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected
