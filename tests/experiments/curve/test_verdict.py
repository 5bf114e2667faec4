"""What the verdict says and refuses to say; how often it is right is in tests/calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.errors import InputError
from recollect.experiments.curve import Observations, judge_curve, verdict_lines

SIZES = [0, 15, 60, 240, 960]
HALVED = [0, 15, 60, 240, 480, 960]
"""With half of the largest size, without which no rise is ever certain."""


def runs(scores: list[float], spread: float = 0.3, seeds: int = 3, sizes: list[int] | None = None) -> Observations:
    """Runs around the given means, spread evenly."""
    off = np.linspace(-spread, spread, seeds)
    rows = [(n, s, score + off[s]) for n, score in zip(sizes or SIZES, scores, strict=True) for s in range(seeds)]
    rows = [row for row in rows if row[0] > 0 or row[1] == 0]
    return Observations.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


# -- behaviour ---------------------------------------------------------------------------------------------


def test_clear_curves_get_their_verdict() -> None:
    assert judge_curve(runs([8, 25, 32, 32.5, 32.4])).name == "saturated"
    assert judge_curve(runs([8, 14, 20, 26, 29, 32], sizes=HALVED)).name == "rising"
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
    rising = runs([8, 14, 20, 26, 29, 32], sizes=HALVED)
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


def fall(scores: list[float], low: float, sizes: list[int]) -> Observations:
    """Two runs at each size, `low` to either side of the mean."""
    return runs(scores, spread=low, seeds=2, sizes=sizes)


@pytest.mark.parametrize(
    ("scores", "sizes"),
    [
        ([0, 10.3, 44.7, 40.0], [0, 15, 60, 150]),
        ([0, 2, 65, 60], [0, 15, 60, 150]),
        ([5, 50, 50.5, 45], [0, 60, 250, 1000]),
        ([30, 60, 55, 54], [0, 15, 60, 250]),
    ],
)
@pytest.mark.parametrize("spread", [0.05, 0.7, 1.6, 4.0])
def test_a_fall_that_was_measured_is_never_saturated(scores: list[float], sizes: list[int], spread: float) -> None:
    """Seen on the pocket: 0, 10, 45, 40 was called saturated, with a gain of +0.6 where −4.7 was measured."""
    verdict = judge_curve(fall(scores, spread, sizes))
    assert verdict.name == ("peaked" if spread < 0.5 else verdict.name)
    assert verdict.name in ("peaked", "undecided")
    for gain, before, after in list(zip(verdict.gains, scores, scores[1:], strict=False))[1:]:
        assert gain.measured and gain.points.value == pytest.approx(after - before)


@pytest.mark.parametrize("scores", [[20, 30, 35, 35, 50], [20, 30, 35, 36, 39], [5, 6, 6, 6, 60]])
def test_rising_needs_a_size_in_the_last_doubling(scores: list[float]) -> None:
    """A late step between 250 and 1,000 says nothing of 500 to 1,000: on 280 to 450 the truth there is 0."""
    verdict = judge_curve(runs(scores, sizes=[0, 15, 60, 250, 1000]))
    assert verdict.name == "undecided" and verdict.last_doubling is None
    assert [one.size for one in verdict.next] == [500]
    assert "no size between them was run" in verdict_lines(verdict)[0]
    assert verdict.n_sat.low <= 250 and verdict.n_sat.high == 1000


@pytest.mark.parametrize("scores", [[20, 40, 25, 45, 30, 44], [10, 44, 44, 40, 30, 44], [44, 20, 20, 25, 30, 45]])
def test_back_from_a_dip_is_not_rising(scores: list[float]) -> None:
    """An earlier size was as good, so the last doubling brought nothing that fewer examples do not."""
    assert judge_curve(runs(scores, sizes=[0, 15, 60, 250, 500, 1000])).name == "undecided"


@pytest.mark.parametrize(("at_half", "name"), [(50, "saturated"), (42.5, "rising"), (35, "rising")])
def test_half_of_the_largest_size_settles_a_late_step(at_half: float, name: str) -> None:
    verdict = judge_curve(runs([20, 30, 35, 35, at_half, 50], sizes=[0, 15, 60, 250, 500, 1000]))
    assert verdict.name == name
    assert verdict.last_doubling is not None
    assert verdict.last_doubling.points.value == pytest.approx(50 - at_half)
    assert verdict.n_sat.low >= 250


def test_a_level_start_of_the_last_doubling_does_not_hide_a_rise_before_it() -> None:
    """150 to 250 is level, but where between 60 and 150 the rise ended is not known: half of 250 may lie below."""
    verdict = judge_curve(runs([0, 20, 45, 60, 60.2], sizes=[0, 15, 60, 150, 250]))
    assert verdict.name == "undecided"
    assert [one.size for one in verdict.next] == [125]


@pytest.mark.parametrize("scores", [[8, 25, 32, 32.5, 32.4], [8, 14, 20, 26, 32], [8, 25, 32, 27, 18], [30] * 5])
def test_one_training_of_each_size_gives_numbers_and_no_verdict(scores: list[float]) -> None:
    verdict = judge_curve(runs(scores, seeds=1))
    assert verdict.name == "undecided"
    assert "every size was trained once" in verdict_lines(verdict)[0]
    assert any("--repeats 2" in line for line in verdict_lines(verdict))
    assert [one.size for one in verdict.next] == SIZES[1:]
    assert all(gain.measured for gain in verdict.gains)
    assert any("no verdict" in note for note in verdict.notes)


def test_the_saturation_size_lies_between_measured_sizes() -> None:
    verdict = judge_curve(runs([8, 25, 32, 32.5, 32.4]))
    assert (verdict.n_sat.low, verdict.n_sat.high) == (15, 60)
    assert 15 < verdict.n_sat.value <= 60
    assert "above 15, at most 60" in verdict_lines(verdict)[0]


def test_an_undecided_change_names_the_sizes_to_repeat() -> None:
    verdict = judge_curve(runs([8, 25, 32, 32, 33], spread=2, seeds=3, sizes=[0, 15, 60, 480, 960]))
    assert verdict.name == "undecided"
    assert {one.size for one in verdict.next} >= {960}
    assert all(one.why == "more repeats there" for one in verdict.next)
    assert "is neither certain nor excluded" in verdict_lines(verdict)[0]


@settings(max_examples=8, deadline=None)
@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_verdict_does_not_depend_on_the_unit(scale: float, shift: float) -> None:
    scores = [8.0, 25, 31, 32.5, 31]
    first = judge_curve(runs(scores))
    other = runs([scale * score + shift for score in scores], spread=0.3 * scale)
    second = judge_curve(other, margin=2 * scale)
    assert second.name == first.name
    assert second.n_sat.high == first.n_sat.high
    for one, other in zip(first.gains, second.gains, strict=True):
        assert other.points.low == pytest.approx(scale * one.points.low, abs=1e-6 * max(1, scale))


def test_equal_runs_give_equal_verdicts_in_any_order() -> None:
    one = runs([8, 25, 32, 27, 18])
    turned = Observations.of(one.size[::-1].tolist(), one.seed[::-1].tolist(), one.score[::-1].tolist())
    assert judge_curve(one).plain() == judge_curve(turned).plain()


def test_all_scores_equal_and_no_repeats_still_end_in_an_answer() -> None:
    level = judge_curve(runs([30.0] * 5, spread=0))
    assert level.name == "saturated"


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="three different sizes"):
        judge_curve(runs([8, 14], sizes=[15, 60]))
    with pytest.raises(InputError, match="margin must be above 0"):
        judge_curve(runs([8, 14, 20, 26, 32]), margin=0)


# -- fits ------------------------------------------------------------------------------------------------------


def test_a_share_is_not_carried_on_beyond_all() -> None:
    """Straight up to 98 points: twice the data cannot bring more than 2; the same numbers as a user's score can."""
    scores = runs([2, 26, 50, 74, 98])
    share = judge_curve(replace(scores, shares=True)).gains[-1]
    free = judge_curve(scores).gains[-1]
    assert not share.measured and not free.measured
    assert 0 < share.points.value <= share.points.high <= 3 < free.points.value


def test_a_fit_that_misses_a_measured_mean_is_not_used() -> None:
    verdict = judge_curve(runs([0, 10.3, 44.7, 40.0], spread=0.05, seeds=3, sizes=[0, 15, 60, 150]))
    for one in verdict.families:
        assert (one.weight > 0) == (one.misses is None) == (one.name in verdict.family_curves)
    missing = {one.name for one in verdict.families if one.misses is not None}
    assert {"saturating", "power law"} <= missing
    if verdict.band is not None:
        at = dict(zip(verdict.band.sizes, verdict.band.middle, strict=True))
        assert at[150.0] == pytest.approx(40.0, abs=1) and at[60.0] == pytest.approx(44.7, abs=1)


def test_where_every_fit_misses_a_mean_nothing_is_drawn_or_carried_on() -> None:
    zigzag = judge_curve(runs([0, 40, 5, 45, 10, 50], spread=0.1, sizes=HALVED))
    assert zigzag.family is None and zigzag.band is None and not zigzag.family_curves
    assert all(gain.measured for gain in zigzag.gains)
    assert all(one.misses is not None for one in zigzag.families)
