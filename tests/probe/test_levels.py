"""Levels, intervals and the probability of a level."""

import numpy as np
import pytest

from recollect.probe.levels import fit_prior, level_bounds, level_of, repeat_probability, score_interval


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


def test_prior_recovers_the_distribution_the_facts_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    rates = rng.beta(0.3, 0.9, size=5000)
    hits = rng.binomial(210, rates).astype(float)
    a, b = fit_prior(hits, np.full(5000, 210.0))
    assert a == pytest.approx(0.3, abs=0.03)
    assert b == pytest.approx(0.9, abs=0.09)
    assert fit_prior(hits[:10], np.full(10, 210.0)) == (0.5, 0.5)


def test_level_probability_is_calibrated_against_repeats() -> None:
    """Mean stated probability equals the share of facts that a second probe puts in the same level."""
    rng = np.random.default_rng(1)
    rates = rng.beta(0.25, 0.8, size=20000)
    first, second = rng.binomial(210, rates), rng.binomial(210, rates)
    level = level_of(first / 210, 210)
    a, b = fit_prior(first.astype(float), np.full(20000, 210.0))
    zeros = np.zeros(20000)
    stated = repeat_probability(level, first + a, 210 - first + b, 210, zeros, zeros + 1)
    agreed = level == level_of(second / 210, 210)
    assert stated.mean() == pytest.approx(agreed.mean(), abs=0.01)
    for low, high in [(0.0, 0.7), (0.7, 0.95), (0.95, 1.01)]:
        rows = (stated >= low) & (stated < high)
        assert rows.sum() > 300
        assert stated[rows].mean() == pytest.approx(agreed[rows].mean(), abs=0.04)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    for truth in (0.02, 0.3, 0.9):
        hits = rng.binomial(210, truth, size=4000).astype(float)
        low, high = score_interval(hits, np.full(4000, 210.0))
        covered = ((low <= truth) & (truth <= high)).mean()
        assert 0.92 < covered <= 1.0
    low, high = score_interval(np.array([0.0, 210.0]), np.array([210.0, 210.0]))
    assert low[0] == 0 and high[1] == 1 and high[0] < 0.02 and low[1] > 0.98
