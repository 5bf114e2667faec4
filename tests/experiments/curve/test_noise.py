"""The noise of size means: items by a bootstrap of units, runs by pooled variance."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.experiments.curve import Items, Observations
from recollect.experiments.curve.means import item_covariance, measure_noise


def test_the_item_error_is_that_of_a_stratified_mean() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], [100, 300])
    right = (rng.random((1, 400)) < 0.3 + 0.4 * group).astype(float)
    found = item_covariance(Items(right, group, np.arange(400)), np.asarray([15]), draws=8000)
    expected = sum(right[0, group == g].var() / (group == g).sum() for g in (0, 1)) / 4 * 100**2
    assert found[0, 0] == pytest.approx(expected, rel=0.06)


def test_items_of_one_page_are_drawn_together() -> None:
    """Four attributes that are right on the same pages carry the error of pages, not of four times as many items."""
    page = np.random.default_rng(1).random(80) < 0.5
    right, unit = np.tile(page, 4)[None].astype(float), np.tile(np.arange(80), 4)
    group = np.repeat(np.arange(4), 80)
    together = item_covariance(Items(right, group, unit), np.asarray([15]), draws=4000)[0, 0]
    alone = item_covariance(Items(right, group, np.arange(320)), np.asarray([15]), draws=4000)[0, 0]
    assert together == pytest.approx(4 * alone, rel=0.12)


def test_an_error_shared_by_all_sizes_stays_shared() -> None:
    right = np.repeat((np.random.default_rng(2).random(200) < 0.5)[None].astype(float), 2, axis=0)
    found = item_covariance(Items(right, np.zeros(200, int), np.arange(200)), np.asarray([15, 60]))
    assert found[0, 1] == pytest.approx(found[0, 0])


def test_nothing_right_is_not_certainly_nothing() -> None:
    group = np.repeat([0, 1], [100, 300])
    found = item_covariance(Items(np.zeros((2, 400)), group, np.arange(400)), np.asarray([0, 15]))
    shares = [0.5 / 101, 0.5 / 301]
    expected = sum(p * (1 - p) / n for p, n in zip(shares, (100, 300), strict=True)) / 4 * 100**2
    assert np.diag(found) == pytest.approx([expected] * 2)
    assert found[0, 1] == 0


def test_nothing_right_of_few_subjects_says_less_than_of_many() -> None:
    def error(unit: np.ndarray) -> float:
        items = Items(np.zeros((1, len(unit))), np.zeros(len(unit), int), unit)
        return float(item_covariance(items, np.asarray([15]))[0, 0])

    few, share = error(np.arange(400) // 4), 0.5 / 101
    assert few == error(np.arange(100)) == pytest.approx(share * (1 - share) / 100 * 100**2)
    assert few > 10 * error(np.arange(400))


def test_what_an_item_does_in_one_run_only_is_not_counted_twice() -> None:
    """It is part of the spread between runs; as an error of items, what the runs of a size share counts."""
    rng = np.random.default_rng(4)
    shared = rng.random(600) < 0.5
    own = rng.random((6, 600)) < 0.5
    right = np.where(rng.random((6, 600)) < 0.6, shared, own).astype(float)
    items = Items(right, np.zeros(600, int), np.arange(600))
    found = item_covariance(items, np.asarray([15] * 3 + [60] * 3), draws=6000)
    expected = 0.6**2 * 0.25 / 600 * 100**2
    assert found == pytest.approx(np.full((2, 2), expected), rel=0.2)
    assert np.linalg.eigvalsh(found).min() > -1e-9


def test_the_spread_between_runs_is_pooled_and_the_base_has_none() -> None:
    rng = np.random.default_rng(3)
    sizes, seeds = np.repeat([15, 60, 240], 40), np.tile(np.arange(40), 3)
    scores = rng.normal(30, 2, 120)
    runs = Observations.of([0, *sizes], [0, *seeds], [5.0, *scores])
    noise = measure_noise(runs)
    assert noise.repeated and noise.freedom == 117
    assert noise.run_variance[0] == 0
    assert np.sqrt(noise.run_variance[1:]) == pytest.approx([2, 2, 2], rel=0.3)
    assert noise.covariance()[1, 1] == pytest.approx(noise.run_variance[1] / 40)


def test_a_lone_wild_size_is_drawn_towards_the_others() -> None:
    runs = Observations.of([15, 15, 60, 60, 240, 240], [0, 1] * 3, [20, 20.1, 30, 30.1, 25, 45])
    variance = measure_noise(runs).run_variance
    assert variance[0] > 0.005
    assert variance[2] < 200


def test_without_repeats_roughness_stands_in_for_the_spread() -> None:
    rough = measure_noise(Observations.of([15, 30, 60, 120, 240], [0] * 5, [10.0, 20, 10, 20, 10]))
    smooth = measure_noise(Observations.of([15, 30, 60, 120, 240], [0] * 5, [10.0, 12, 14, 16, 18]))
    assert not rough.repeated
    assert rough.run_variance[1] > 20 > 1 > smooth.run_variance[1]
