"""Coverage of the intervals that a search states, by simulation."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from search_correlation import CASES, held, scheduled, scores, simulated

from recollect.search._measured import Line


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.95])
def test_the_correlations_interval_holds_the_truth_whoever_is_promoted(rho: float) -> None:
    """95 % promised; 300 searches of each kind leave 1.3 points of noise on one kind, 0.6 on the mean of five."""
    shares = [held(lambda random, case=case: simulated(random, case, rho), rho, 300, 1_000) for case in CASES[::2]]
    assert min(shares) > 0.91 and np.mean(shares) > 0.935


@pytest.mark.slow
@pytest.mark.parametrize("rho", [-0.9, -0.5, 0.0, 0.3, 0.6, 0.8, 0.9, 0.95])
def test_the_correlations_interval_holds_the_truth_for_every_truth(rho: float) -> None:
    for case in CASES:
        share = held(lambda random, case=case: simulated(random, case, rho), rho, 4_000)  # type: ignore[misc]
        assert share >= 0.93, (case, rho, share)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_schedulers_own_choice_leaves_the_interval_as_it_is(rho: float) -> None:
    """Who is promoted depends on finals seen before; 300 searches leave 1.3 points of noise."""
    assert held(lambda random: scheduled(random, 16, rho), rho, 300) > 0.92


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.9])
def test_a_range_for_a_paused_trial_holds_its_final_score(rho: float) -> None:
    """Of 16 trials the best five early and two others are finished; the range is for the others."""
    random, found = np.random.default_rng(0), []
    for _ in range(500):
        early, final = scores(random, 16, rho)
        order = np.argsort(-np.asarray(early)).tolist()
        done = [*order[:5], *[int(at) for at in random.permutation(order[5:])[:2]]]
        made = Line(early, [(early[at], final[at]) for at in done])
        for at in set(range(16)) - set(done):
            low, _, high = made.final(early[at]) or (0.0, 0.0, 0.0)
            found.append(low <= min(max(final[at], 0.0), 100.0) <= high)
    assert np.mean(found) > 0.93
