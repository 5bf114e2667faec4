"""Definitions of the verdict, its behaviour, and how often it is right on simulated curves of known shape."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.curve import Observations, judge_curve, verdict_json, verdict_lines
from recollect.curve._between import MOST_BEND, bend_of, early_or_late
from recollect.curve._verdict import KINDS, classify
from recollect.errors import InputError

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "curve_verdicts.py"
SIZES = [0, 15, 60, 240, 960]


def runs(scores: list[float], spread: float = 0.3, seeds: int = 3, sizes: list[int] | None = None) -> Observations:
    """Runs around the given means, spread evenly."""
    off = np.linspace(-spread, spread, seeds)
    rows = [(n, s, score + off[s]) for n, score in zip(sizes or SIZES, scores, strict=True) for s in range(seeds)]
    rows = [row for row in rows if row[0] > 0 or row[1] == 0]
    return Observations.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


# -- definitions -------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), min_size=4, max_size=12), st.floats(0.1, 20))
def test_the_definitions_hold_for_any_curve(scores: list[float], margin: float) -> None:
    places = np.arange(1.0, len(scores) + 1)
    kind, n_sat, n_best, n_hurts = (values[0] for values in classify(places, np.asarray([scores]), margin))
    enough = [n for at, n in enumerate(places) if max(scores[at:]) - scores[at] <= margin]
    assert n_sat == enough[0]
    assert scores[int(n_best) - 1] == max(scores)
    if max(scores) - scores[-1] > margin:
        assert KINDS[kind] == "peaked"
        assert all(max(scores) - score > margin for score in scores[int(n_hurts) - 1 :])
        assert max(scores) - scores[int(n_hurts) - 2] <= margin
    else:
        assert KINDS[kind] == ("rising" if n_sat > max(places[-1] / 2, places[0]) else "saturated")
        assert np.isinf(n_hurts)


# -- behaviour ---------------------------------------------------------------------------------------------


def test_clear_curves_get_their_verdict() -> None:
    assert judge_curve(runs([8, 25, 32, 32.5, 32.4])).name == "saturated"
    assert judge_curve(runs([8, 14, 20, 26, 32])).name == "rising"
    assert judge_curve(runs([8, 25, 32, 27, 18])).name == "peaked"


def test_a_level_curve_is_saturated_from_its_smallest_size_even_on_a_short_range() -> None:
    verdict = judge_curve(runs([30, 30.1, 30, 29.9], sizes=[600, 700, 800, 1000], spread=0.2))
    assert verdict.name == "saturated"
    assert verdict.n_sat.value == 600


def test_few_noisy_runs_are_undecided_and_say_what_to_run() -> None:
    verdict = judge_curve(runs([20, 24, 27, 26, 29], spread=6, seeds=2), most=2000)
    assert verdict.name == "undecided"
    assert 1 <= len(verdict.next) <= 2
    assert all(0 < one.size <= 2000 for one in verdict.next)
    assert any("Worth running next" in line for line in verdict_lines(verdict))


def test_a_rising_curve_asks_for_no_more_than_there_is() -> None:
    rising = runs([8, 14, 20, 26, 32])
    assert [one.size for one in judge_curve(rising).next] == [1920, 3840]
    assert [one.size for one in judge_curve(rising, most=2000).next] == [1920]
    assert [one.size for one in judge_curve(rising, most=1200).next] == [1200]
    assert judge_curve(rising, most=960).next == ()
    assert [gain.end for gain in judge_curve(rising, most=960).gains if not gain.measured] == [1920]


def test_gains_follow_the_curve_and_a_peaked_one_is_not_carried_on() -> None:
    gains = judge_curve(runs([8, 14, 20, 26, 32])).gains
    assert [(gain.start, gain.end) for gain in gains] == [(0, 15), (15, 60), (60, 240), (240, 960), (960, 1920)]
    assert all(gain.points.low <= gain.points.value <= gain.points.high for gain in gains)
    assert gains[3].points.value == pytest.approx(6, abs=1.5)
    assert gains[3].per_label == pytest.approx(6 / 720, abs=0.003)
    assert all(gain.measured for gain in judge_curve(runs([8, 25, 32, 27, 18])).gains)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_verdict_does_not_depend_on_the_unit(scale: float, shift: float) -> None:
    scores = [8.0, 25, 31, 32.5, 31]
    first = judge_curve(runs(scores))
    other = runs([scale * score + shift for score in scores], spread=0.3 * scale)
    second = judge_curve(other, margin=2 * scale)
    assert second.probability["saturated"] == pytest.approx(first.probability["saturated"], abs=0.02)


def test_equal_runs_give_equal_verdicts_in_any_order() -> None:
    one = runs([8, 25, 32, 27, 18])
    turned = Observations.of(one.size[::-1].tolist(), one.seed[::-1].tolist(), one.score[::-1].tolist())
    assert verdict_json(judge_curve(one)) == verdict_json(judge_curve(turned))


def test_all_scores_equal_and_no_repeats_still_end_in_an_answer() -> None:
    level = judge_curve(runs([30.0] * 5, spread=0))
    assert level.name == "saturated"
    single = judge_curve(runs([8, 14, 20, 26, 32], seeds=1))
    assert any("several seeds" in note for note in single.notes)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="three different sizes"):
        judge_curve(runs([8, 14], sizes=[15, 60]))
    with pytest.raises(InputError, match="margin must be above 0"):
        judge_curve(runs([8, 14, 20, 26, 32]), margin=0)


# -- simulated curves: a reduced benchmarks/curve_verdicts.py --------------------------------------------------


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("curve_verdicts", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["curve_verdicts"] = module
    spec.loader.exec_module(module)
    return module


def test_simulated_curves_are_judged_rightly(benchmark: ModuleType) -> None:
    """Aims: wrong at most 10 %, n_sat covered at least 85 %, easy curves decided at least 80 %."""
    easy = wrong = total = covered = decided = 0
    for case in benchmark.CASES:
        count = benchmark.simulate(case, 5 if case.easy else 2, seed=7)
        total, wrong, covered = total + count.curves, wrong + count.wrong, covered + count.covered
        if case.easy:
            easy, decided = easy + count.curves, decided + count.right + count.wrong
    assert wrong <= 0.1 * total
    assert covered >= 0.85 * total
    assert decided >= 0.8 * easy


def test_going_on_until_decided_decides_more_and_stays_right(benchmark: ModuleType) -> None:
    names = ("saturating, 4 sizes", "rising, 4 sizes", "peaked, 4 sizes")
    cases = [case for case in benchmark.CASES if case.name in names]
    grid, gone_on = ([benchmark.simulate(case, 3, seed=8, most_trainings=most) for case in cases] for most in (0, 60))
    assert sum(count.undecided for count in gone_on) < sum(count.undecided for count in grid)
    assert sum(count.wrong for count in gone_on) <= 1


def test_a_share_is_not_carried_on_beyond_all() -> None:
    """Straight up to 98 points: twice the data cannot bring more than 2; the same numbers as a user's score can."""
    scores = runs([2, 26, 50, 74, 98])
    share = judge_curve(replace(scores, shares=True)).gains[-1]
    free = judge_curve(scores).gains[-1]
    assert not share.measured and not free.measured
    assert 0 < share.points.value <= share.points.high <= 3 < free.points.value


# -- between the sizes -----------------------------------------------------------------------------------------


def test_a_jump_between_the_last_two_sizes_is_no_proof_of_a_level_stretch() -> None:
    """Seen on the pocket shop: 0, 1, 66, 90 points at 0, 15, 60, 250 examples, and still 8 more at 1,000."""
    for spread in (0.5, 1.5, 3.0):
        verdict = judge_curve(runs([0, 1.2, 65.9, 89.8], sizes=[0, 15, 60, 250], spread=spread, seeds=2))
        assert verdict.name != "saturated"
        assert verdict.n_sat.low < 125 < verdict.n_sat.high


def test_curves_run_early_or_late_as_far_as_left_out_sizes_are_missed() -> None:
    assert bend_of(0, 30) == 0
    assert 0 < bend_of(2, 30) < bend_of(4, 30) < bend_of(6, 30) == bend_of(30, 30) == MOST_BEND


@given(st.lists(st.floats(0, 100), min_size=3, max_size=5), st.floats(0, 2))
def test_values_are_only_moved_along_inside_their_gap(scores: list[float], bend: float) -> None:
    sizes = np.asarray([0, 15, 60, 240, 960][: len(scores)])
    places = np.unique(np.concatenate([np.geomspace(0.5, sizes[-1], 40), sizes.astype(float)]))
    at = np.log1p(places / 15)
    curve = np.interp(at, np.log1p(sizes / 15), scores)
    moved = early_or_late(places, at, sizes, np.tile(curve, (30, 1)), bend)
    ends = np.searchsorted(places, sizes)
    assert np.allclose(moved[:, ends], curve[ends])
    for first, last in pairwise(ends):
        gap = moved[:, first : last + 1]
        low, high = sorted((curve[first], curve[last]))
        assert gap.min() >= low - 1e-9 and gap.max() <= high + 1e-9
        assert (np.diff(gap, axis=1) * (curve[last] - curve[first]) >= -1e-6).all()
    if bend == 0:
        assert np.allclose(moved, curve)
