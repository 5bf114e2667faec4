"""Levels and intervals; how sure a level is: test_agreement.py."""

import numpy as np

from recollect.probe.levels import level_bounds, level_of, score_interval


def test_levels_of_counts_follow_the_studies_rule() -> None:
    hits = np.array([0, 1, 52, 53, 105, 106, 157, 158, 210])
    assert level_of(hits / 210, 210).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert level_of(np.array([0.25, 0.5, 0.75, 1.0]), 4).tolist() == [1, 2, 3, 4]


def test_every_count_is_in_one_level_and_bounds_agree() -> None:
    bounds = level_bounds(210)
    assert bounds == [(0, 0), (1, 52), (53, 105), (106, 157), (158, 210)]
    levels = level_of(np.arange(211) / 210, 210)
    assert (np.diff(levels) >= 0).all()


def test_estimates_near_zero_are_level_zero_below_half_a_hit() -> None:
    assert level_of(np.array([0.0, 0.49 / 210, 0.51 / 210]), 210).tolist() == [0, 0, 1]


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    for truth in (0.02, 0.3, 0.9):
        hits = rng.binomial(210, truth, size=4000).astype(float)
        low, high = score_interval(hits, np.full(4000, 210.0))
        covered = ((low <= truth) & (truth <= high)).mean()
        assert 0.92 < covered <= 1.0
    low, high = score_interval(np.array([0.0, 210.0]), np.array([210.0, 210.0]))
    assert low[0] == 0 and high[1] == 1 and high[0] < 0.02 and low[1] > 0.98
