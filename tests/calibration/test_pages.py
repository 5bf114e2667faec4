"""Coverage of the intervals of page scores: micro, macro, one attribute's accuracy, precision and F1.

Pages differ in how hard they are. `shared` is the correlation of two values of one page: 0 for independent values, 1
for pages that are all right or all wrong. The cells are those of docs/statistics.md, fewer and with fewer repeats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recollect.core.estimates.clusters import cluster_bounds
from recollect.extraction.values import VALUES, make_schema, score

DRAWS = 1_500
PROMISED, NOISE = 0.93, 0.02  # the noise is three standard errors of a share of 95 % in 1,500 draws


def rights(rng: Any, pages: int, values: int, rate: float, shared: float) -> Any:
    """draws × pages × values of 0 or 1."""
    shape = (DRAWS, pages, 1)
    if rate in (0.0, 1.0) or shared == 0.0:
        ease: Any = np.full(shape, rate)
    elif shared == 1.0:
        ease = (rng.random(shape) < rate).astype(float)
    else:
        size = 1 / shared - 1
        ease = rng.beta(rate * size, (1 - rate) * size, size=shape)
    return (rng.random((DRAWS, pages, values)) < ease).astype(float)


def coverage(hits: Any, ns: Any, truth: Any) -> float:
    _, low, high = cluster_bounds(hits, ns)
    return float(np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high)))


CELLS = [
    (pages, values, rate, shared)
    for pages in (5, 20, 60, 200)
    for values in (1, 2, 5, 8)
    for rate in (0.0, 0.03, 0.5, 0.9, 1.0)
    for shared in (0.0, 0.5, 0.9, 1.0)
]


@pytest.mark.parametrize("pages", [5, 20, 60, 200])
def test_the_interval_of_micro_covers_however_much_the_values_share(pages: int) -> None:
    rng = np.random.default_rng(pages)
    found = {}
    for _, values, rate, shared in (cell for cell in CELLS if cell[0] == pages):
        hits = rights(rng, pages, values, rate, shared).sum(axis=2, keepdims=True)
        found[values, rate, shared] = coverage(hits, np.full(hits.shape, float(values)), rate)
    low = {cell: share for cell, share in found.items() if share < PROMISED - NOISE}
    assert not low and np.mean(list(found.values())) > 0.95


@pytest.mark.parametrize("pages", [5, 20, 60, 200])
def test_the_interval_of_macro_covers_with_rare_attributes_and_unequal_rates(pages: int) -> None:
    rng = np.random.default_rng(pages)
    low = {}
    for rates, shares in (
        ((0.5, 0.5, 0.5, 0.5), (1.0, 1.0, 1.0, 1.0)),
        ((0.95, 0.9, 0.6, 0.2), (1.0, 0.9, 0.7, 0.4)),
        ((0.02, 0.0, 0.05, 0.1), (1.0, 1.0, 0.8, 0.6)),
        ((1.0, 1.0, 1.0, 0.97), (1.0, 1.0, 1.0, 0.5)),
    ):
        for shared in (0.0, 0.5, 0.9):
            hits = np.concatenate([rights(rng, pages, 1, rate, shared) for rate in rates], axis=2)
            order = np.argsort(rng.random((DRAWS, pages, 1)), axis=1)
            ns = np.concatenate([(order < max(1, round(share * pages))).astype(float) for share in shares], axis=2)
            share = coverage(hits * ns, ns, float(np.mean(rates)))
            if share < PROMISED - NOISE:
                low[rates, shared] = share
    assert not low


@pytest.mark.parametrize("pages", [10, 60])
@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_the_intervals_of_accuracy_precision_and_f1_cover_with_several_samples_of_a_page(
    pages: int, shared: float
) -> None:
    rng = np.random.default_rng(7)
    for rate, given_share in ((0.5, 0.9), (0.9, 0.95), (0.1, 0.6)):
        answered = (rng.random((DRAWS, pages, 3)) < given_share).astype(float)
        right = rights(rng, pages, 3, rate, shared) * answered
        hits, true, given = (one.sum(axis=2, keepdims=True) for one in (right, np.ones_like(right), answered))
        kept = given.sum(axis=1)[:, 0] > 0
        assert coverage(hits, true, rate * given_share) >= PROMISED - NOISE
        assert coverage(hits[kept], given[kept], rate) >= PROMISED - NOISE
        f1 = 2 * rate * given_share / (1 + given_share)
        assert coverage(2 * hits, true + given, f1) >= PROMISED - NOISE


def test_score_states_these_intervals() -> None:
    """`score` gives the page as the unit to the intervals above: a page asked about twice is no two pages."""
    import polars as pl

    schema = make_schema({"name": "one", "attributes": [{"name": "brand"}, {"name": "title"}]}, "the test")
    rows = [
        (f"{page}-{sample}:{name}", str(page), "test", name, ["x"], "x" if page % 2 else None, bool(page % 2))
        for page in range(40)
        for sample in range(3)
        for name in ("brand", "title")
    ]
    found = score(pl.DataFrame(rows, schema=VALUES, orient="row"), schema)
    one = pl.DataFrame([row for row in rows if "-0:brand" in row[0]], schema=VALUES, orient="row")
    alone = score(one, schema)
    for one, other in ((found.micro, alone.micro), (found.macro, alone.macro)):
        assert one is not None and other is not None and one.percent == pytest.approx(other.percent)
    assert found.n == 240 and found.micro is not None and found.micro.high - found.micro.low > 0.29
