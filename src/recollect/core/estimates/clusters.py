"""Values that share pages (or any other cluster): the cluster is the unit, not the value.

A page that is odd is odd in all its attributes, and one page may be asked about several times. So the weights of
`_distributions` go to pages: each page seen, and one made-up page on which every value is right (upper) or wrong
(lower), get Dirichlet(1, ..., 1) weights; variances are those of the linearised ratio of sums. With one value a page
it is the interval of Clopper and Pearson.

Of a difference the page's own change has the weight, less what the groups' mean changes make of its values (the
linearised ratio again), so that what two models share of a page cancels.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recollect.core.estimates.intervals import CONFIDENCE, Estimate, Tail, within
from recollect.errors import InputError

_METHOD = "clustered by page"


def clustered(right: Sequence[bool], clusters: Sequence[Hashable], confidence: float = CONFIDENCE) -> Estimate:
    """The share of right values (micro, or one attribute's accuracy), where values of one cluster belong together.

    One entry of `right` and of `clusters` (page ids) per value; n counts values. Raises InputError for none.
    """
    return clustered_macro(right, clusters, ["all"] * len(right), confidence=confidence)


def clustered_macro(
    right: Sequence[bool],
    clusters: Sequence[Hashable],
    groups: Sequence[Hashable],
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The unweighted mean over groups (attributes) of the share of right values; the groups share clusters (pages)."""
    if not len(right) or not len(right) == len(clusters) == len(groups):
        raise InputError(
            "right, clusters and groups must be equally long and not empty, but got "
            f"{len(right)}, {len(clusters)} and {len(groups)}."
        )
    hits, ns = table_of(right, clusters, groups)
    return clustered_ratio(hits, ns, confidence)


def clustered_ratio(hits: Any, ns: Any, confidence: float = CONFIDENCE) -> Estimate:
    """The same from counts, clusters × groups: the mean over groups of Σ hits / Σ ns, with 0 ≤ hits ≤ ns.

    F1 is such a ratio, of twice the right values to the true and the given ones; precision that of right to given
    values.
    """
    hits, ns = np.asarray(hits, dtype=float), np.asarray(ns, dtype=float)
    if hits.shape != ns.shape or hits.ndim != 2 or (hits < 0).any() or (hits > ns).any():
        raise InputError(f"hits must lie within 0 and ns, clusters × groups, but got {hits.shape} and {ns.shape}.")
    value, low, high = (float(found) for found in cluster_bounds(hits, ns, confidence))
    return Estimate(value, low, high, int(ns.sum()), _METHOD, confidence)


def table_of(right: Sequence[float], clusters: Sequence[Hashable], groups: Sequence[Hashable]) -> tuple[Any, Any]:
    """Clusters × groups: how many values are right, and how many there are."""
    rows, columns = ({name: at for at, name in enumerate(dict.fromkeys(names))} for names in (clusters, groups))
    hits, ns = np.zeros((2, len(rows), len(columns)))
    at = [rows[name] for name in clusters], [columns[name] for name in groups]
    np.add.at(ns, at, 1)
    np.add.at(hits, at, np.asarray(right, dtype=float))
    return hits, ns


def cluster_bounds(
    hits: Any, ns: Any, confidence: float = CONFIDENCE, times: Any | None = None
) -> tuple[Any, Any, Any]:
    """Value, low and high of the mean over groups; arrays (..., clusters, groups), every group with a value.

    Further axes in front are many samples side by side. `times`: a factor for each group's share, before the mean.
    """
    totals = ns.sum(axis=-2)
    if (totals <= 0).any():
        raise InputError("every group needs at least one value. Leave it out.")
    times = np.ones(ns.shape[-1]) if times is None else np.asarray(times, dtype=float)
    value = (hits.sum(axis=-2) / totals * times).mean(axis=-1)
    outside = (1 - confidence) / 2
    low = times.mean() - _upper(ns - hits, ns, times).quantile(1 - outside)
    high = _upper(hits, ns, times).quantile(1 - outside)
    return value, np.minimum(low, value), np.maximum(high, value)


def _upper(hits: Any, ns: Any, times: Any) -> Tail:
    totals, groups = ns.sum(axis=-2), ns.shape[-1]
    size = (ns**2).sum(axis=-2) / totals  # of the made-up page: as many values as a value's page has on average
    share = (hits.sum(axis=-2) + size) / (totals + size)
    weight = times / (totals + size) / groups
    pages = ((hits - share[..., None, :] * ns) * weight[..., None, :]).sum(axis=-1)
    made_up = (size * (1 - share) * weight).sum(axis=-1)
    count = (ns.sum(axis=-1) > 0).sum(axis=-1) + 1
    variance = ((pages**2).sum(axis=-1) + made_up**2) * count / (count + 1)
    rates = np.where(ns > 0, hits / np.maximum(ns, 1), 1.0).min(axis=-2)
    most = np.full(variance.shape, times.mean())
    return Tail((share * times).mean(axis=-1), variance, (rates * times).mean(axis=-1), most)


def clustered_difference(
    first: Sequence[bool],
    second: Sequence[bool],
    clusters: Sequence[Hashable],
    groups: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The second's mean over groups of the share of right values, less the first's; values paired, clusters the unit.

    One entry per value; n counts values. The made-up page of either side changes by as much as the page of a changed
    value does on average, a page that changes in all its values counted in: with one that always changes in all the
    interval was a quarter too wide on pages of eight values. With one value a cluster it is `paired`. Raises InputError
    for no value.
    """
    groups = ["all"] * len(first) if groups is None else groups
    if not len(first) or not len(first) == len(second) == len(clusters) == len(groups):
        raise InputError(
            "first, second, clusters and groups must be equally long and not empty, but got "
            f"{len(first)}, {len(second)}, {len(clusters)} and {len(groups)}."
        )
    change = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    value, low, high = (float(found) for found in change_bounds(*table_of(change, clusters, groups), confidence))
    return Estimate(value, max(low, -1.0), min(high, 1.0), len(change), "paired by page", confidence)


def change_bounds(changes: Any, ns: Any, confidence: float = CONFIDENCE, most: Any = 1.0) -> tuple[Any, Any, Any]:
    """Value, low and high of the mean over groups of Σ changes / Σ ns; arrays (..., clusters, groups).

    Further axes in front are many samples side by side. most: the largest change that a value of each group can have.
    """
    ns = np.broadcast_to(ns, changes.shape)
    totals, count = ns.sum(axis=-2), ns.shape[-2]
    if (totals <= 0).any():
        raise InputError("every group needs at least one value. Leave it out.")
    weight = count / totals[..., None, :] / ns.shape[-1]
    means = changes.sum(axis=-2) / totals
    value = means.mean(axis=-1)
    moved = (changes * weight).sum(axis=-1)
    left = ((changes - means[..., None, :] * ns) * weight).sum(axis=-1) + value[..., None]
    whole = (ns * weight * most).sum(axis=-1).max(axis=-1)
    size = ((moved**2).sum(axis=-1) + whole**2) / (np.abs(moved).sum(axis=-1) + whole)
    outside = (1 - confidence) / 2
    high = _with_made_up(left, size).quantile(1 - outside)
    low = -_with_made_up(-left, size).quantile(1 - outside)
    return value, np.minimum(low, value), np.maximum(high, value)


def _with_made_up(scores: Any, made_up: Any) -> Tail:
    """Dirichlet weights on one score a cluster and one made-up score."""
    n = scores.shape[-1]
    mean = (scores.sum(axis=-1) + made_up) / (n + 1)
    square = ((scores**2).sum(axis=-1) + made_up**2) / (n + 1)
    most = np.maximum(scores.max(axis=-1), made_up)
    return Tail(mean, np.maximum(square - mean**2, 0.0) / (n + 2), scores.min(axis=-1), most)


def design_effect(
    scores: Sequence[float], clusters: Sequence[Hashable], groups: Sequence[Hashable] | None = None
) -> float:
    """How many times as large clusters make the variance of a mean (over groups, of means) of scores; never below 1.

    Without any spread to tell by, the scores of a cluster count as one.
    """
    if len(set(clusters)) == len(scores):
        return 1.0
    groups = ["all"] * len(scores) if groups is None else groups
    sums, ns = table_of(scores, clusters, groups)
    means, totals = sums.sum(axis=0) / ns.sum(axis=0), ns.sum(axis=0)
    squares, _ = table_of([score**2 for score in scores], clusters, groups)
    alone = ((squares.sum(axis=0) - totals * means**2) / totals**2).sum()
    together = (((sums - ns * means) / totals).sum(axis=1) ** 2).sum()
    if alone <= 1e-12:
        sizes = ns.sum(axis=1)
        return float((sizes**2).sum() / sizes.sum())
    return max(1.0, float(together / alone))


def by_cluster(
    estimate: Estimate,
    scores: Sequence[float],
    clusters: Sequence[Hashable],
    groups: Sequence[Hashable] | None = None,
    *,
    least: float = 0.0,
    most: float = 1.0,
) -> Estimate:
    """The interval of a mean over groups of mean scores where scores share clusters (subjects, conversations).

    estimate: the same made as if they were independent, which is returned where every cluster has one score. Clusters
    are the unit, as pages are: of shares as `clustered_macro`, of changes (least = -most) as `clustered_difference`.
    least, most: the possible scores.
    """
    if len(set(clusters)) == len(scores):
        return estimate
    groups = ["all"] * len(scores) if groups is None else groups
    if least == -most:
        _, low, high = change_bounds(*table_of(scores, clusters, groups), estimate.confidence, most)
    else:
        shares = [(one - least) / (most - least) for one in scores]
        ends = cluster_bounds(*table_of(shares, clusters, groups), estimate.confidence)
        low, high = (least + (most - least) * end for end in ends[1:])
    low, high = min(float(low), estimate.value), max(float(high), estimate.value)
    return within(replace(estimate, low=low, high=high, method=f"{estimate.method}, clustered"), least, most)
