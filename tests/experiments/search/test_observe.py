"""Scores of all rungs on one scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.experiments.search.observe import observe
from recollect.experiments.search.trials import Trial


def trial(number: int, scores: dict[int, float], state: str = "paused", **more: object) -> Trial:
    return Trial(number, {"x": number}, state, max(scores, default=0), scores, **more)  # type: ignore[arg-type]


def test_a_finished_trial_is_seen_at_both_rungs_and_a_broken_one_as_the_worst() -> None:
    seen = observe(
        [
            trial(0, {0: 10.0, 1: 30.0}, "finished"),
            trial(1, {0: 12.0}),
            trial(2, {}, "degenerate"),
            trial(3, {}, "failed", memory=True),
            trial(4, {}, "running"),
            trial(5, {0: 8.0}, "degenerate"),
        ],
        1,
    )
    rows = [(one.number, rung) for one, rung in zip(seen.trials, seen.rungs.tolist(), strict=True)]
    assert rows == [(0, 0), (0, 1), (1, 0), (5, 0), (2, 1), (5, 1)]
    assert seen.scores[4] == seen.scores[5] == seen.scores[:4].min()
    assert seen.growth[0] == 0 < seen.growth[1]


def test_early_scores_stand_where_the_finished_ones_say_they_end() -> None:
    """All gain 20 points from the first rung to the last: an early 15 belongs near a final 35."""
    trials = [trial(n, {0: float(n), 1: n + 20.0}, "finished") for n in range(0, 30, 2)] + [trial(15, {0: 15.0})]
    seen = observe(trials, 1)
    finals = {one.number: score for one, rung, score in zip(seen.trials, seen.rungs, seen.scores, strict=True) if rung}
    assert finals[14] < seen.scores[-1] < finals[16]
    # and what is still to come is small beside what is known
    assert seen.growth[1] < 0.3 * np.var(list(finals.values()))


def test_growth_is_large_where_early_scores_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    blind = [trial(n, {0: a, 1: b}, "finished") for n, (a, b) in enumerate(rng.normal(20, 5, (30, 2)).tolist())]
    keen = [trial(n, {0: a, 1: a + b / 20}, "finished") for n, (a, b) in enumerate(rng.normal(20, 5, (30, 2)).tolist())]
    share = [observe(one, 1).growth[1] / np.var(observe(one, 1).scores) for one in (blind, keen)]
    assert share[0] > 0.5 > 0.1 > share[1]


def test_a_heap_with_one_far_below_is_pulled_apart() -> None:
    """A diverged 10^18 and nine that differ by a point: the nine must still differ to the model."""
    seen = observe([trial(n, {0: s}, "finished") for n, s in enumerate([-1e18, *map(float, range(40, 49))])], 0)
    order = np.argsort(seen.scores)
    assert order.tolist() == list(range(10))
    assert np.ptp(seen.scores[1:]) > 0.3 * np.ptp(seen.scores)


def test_without_any_score_there_is_nothing() -> None:
    seen = observe([trial(0, {}, "running"), trial(1, {}, "degenerate")], 1)
    assert len(seen.trials) == len(seen.scores) == 0


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.booleans()), min_size=1, max_size=12))
def test_order_is_kept_at_each_rung(drawn: list[tuple[float, float, bool]]) -> None:
    trials = [
        trial(n, {0: early, 1: final} if done else {0: early}, "finished" if done else "paused")
        for n, (early, final, done) in enumerate(drawn)
    ]
    seen = observe(trials, 1)
    assert np.isfinite(seen.scores).all() and np.isfinite(seen.growth).all() and (np.diff(seen.growth) >= 0).all()
    last = [
        (one.scores[1], score) for one, rung, score in zip(seen.trials, seen.rungs, seen.scores, strict=True) if rung
    ]
    for raw, bent in last:
        for other, other_bent in last:
            assert raw <= other or bent >= other_bent - 1e-9


def test_the_scores_may_be_all_the_same() -> None:
    seen = observe([trial(n, {0: 5.0, 1: 5.0}, "finished") for n in range(4)], 1)
    assert np.isfinite(seen.scores).all() and len(set(seen.scores.tolist())) >= 1
    assert seen.growth == pytest.approx(np.sort(seen.growth))
