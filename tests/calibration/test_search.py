"""Coverage of the intervals that a search states, by simulation."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from search_correlation import CASES, held, scheduled, scores, simulated

from recollect.core.estimates import Line
from recollect.experiments.search.run import mean
from recollect.experiments.search.validation import Scored, drop


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


def drawn(random: np.random.Generator, groups: dict[str, int], tuned: float, same: float = 0.7) -> Scored:
    """A baseline right on 0.4 of the facts and a tuned model right on `tuned`; on `same` of the facts they agree in
    luck."""
    names = np.repeat(list(groups), list(groups.values())).astype(np.str_)
    luck = random.random(len(names))
    other = np.where(random.random(len(names)) < same, luck, random.random(len(names)))
    return Scored({0: luck < 0.4, 1: other < tuned}, names, np.arange(len(names)).astype(np.str_), False, "")


@pytest.mark.parametrize("groups", [{"0": 60, "2": 20, "4": 10}, {"all": 12}])
@pytest.mark.parametrize("tuned", [0.4, 0.6])
def test_gains_and_the_drop_from_validation_to_test_hold_the_truth(groups: dict[str, int], tuned: float) -> None:
    random, gains, drops = np.random.default_rng(0), [], []
    for _ in range(100):
        seen, unseen = drawn(random, groups, tuned), drawn(random, groups, tuned)
        gain, lost = unseen.gain(1, 0), drop(seen, unseen, 1, 0)
        gains.append(gain.low <= 100 * (tuned - 0.4) <= gain.high)
        drops.append(lost.low <= 0 <= lost.high)
    assert np.mean(gains) >= 0.93 and np.mean(drops) >= 0.93


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_the_mean_over_seeds_holds_the_error_of_the_shared_questions(spread: float) -> None:
    """Three searches on halves of the same 200 facts; the truth is over facts that were not drawn too. The spread over
    the seeds alone would hold it in far fewer."""
    random, held_, alone = np.random.default_rng(1), [], []
    for _ in range(100):
        base, own = random.random(200), random.random(200)
        seeds = []
        for _seed in range(3):
            half = random.permutation(200)[:100]
            tuned = 0.5 + spread * random.standard_normal()
            scored = Scored(
                {0: base[half] < 0.4, 1: np.where(own < 0.5, base, own)[half] < tuned},
                np.full(100, "all"),
                half.astype(np.str_),
                False,
                "",
            )
            seeds.append(scored.gain(1, 0))
        truth = 100 * _expected(0.5)
        noiseless = [one.model_copy(update={"low": one.value, "high": one.value}) for one in seeds]
        found, bare = mean(seeds), mean(noiseless)
        held_.append(found.low <= truth <= found.high)
        alone.append(bare.low <= truth <= bare.high)
    assert np.mean(held_) >= 0.93
    assert spread or np.mean(alone) < 0.93, "the questions' error is not in the spread over the seeds"


def _expected(tuned: float) -> float:
    """Mean over all facts of the change, for a tuned rate at its middle."""
    random = np.random.default_rng(2)
    base, own = random.random((2, 2_000_000))
    return float((np.where(own < 0.5, base, own) < tuned).mean() - 0.4)
