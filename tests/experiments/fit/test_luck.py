"""The luck of a training in a fit's intervals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from recollect.core.estimates import Spread, over_trainings
from recollect.experiments.fit.answers import Gap, gap_between, power_of
from recollect.experiments.fit.luck import Luck, far_apart

FIRST = np.arange(250) < 90
SECOND = np.roll(FIRST, 20) | (np.arange(250) > 220)


def test_an_interval_over_luck_is_that_over_questions_where_trainings_do_not_differ():
    gap = Gap(FIRST, SECOND)
    same = replace(gap, luck=Spread(0.0, 2), trainings=(1, 3))
    assert (same.at().low, same.at().high) == pytest.approx((gap.at().low, gap.at().high))
    apart = Luck.of((48.0, 50.0, 52.0), (10.0, 12.0, 14.0), 3).on(gap, "plain", "ours")
    assert apart.trainings == (1, 3)
    assert apart.at().low < gap.at().low
    assert (apart.questions().low, apart.questions().high) == (gap.at().low, gap.at().high)
    untouched = Luck.of((48.0, 50.0, 52.0), (), 3).on(gap, "base", "few-shot")
    assert (untouched.at().low, untouched.at().high) == (gap.at().low, gap.at().high)
    once = Luck.of((48.0,), (9.0,), 1).on(gap, "plain", "ours")
    assert once.luck is None


def test_two_seeds_are_drawn_towards_what_is_believed():
    """Of 48 and 52: a variance of 8 with one degree of freedom, beside 9 with four."""
    found = Luck.of((48.0, 52.0), (), 1).score
    assert found is not None
    assert (found.freedom, found.deviation) == (5, pytest.approx(np.sqrt((4 * 9 + 8) / 5) / 100))
    wide = over_trainings(Gap(FIRST, SECOND).at(1 - 0.05 / 6), found, 1, 2)
    assert wide.high - wide.low < 0.45  # as they are seen it is from -100 to +100 points
    assert not far_apart((48.0, 52.0))
    assert far_apart((40.0, 52.0))


def test_by_hand():
    """A questions' error of 3 points and seeds that differ by 3, one training each: t of freedom 2 (1 + 1/2)²."""
    found = over_trainings(Gap(FIRST, SECOND).at(), Spread(0.0, 2), 1, 1)
    questions = found.high - found.value
    error = questions / 1.959964
    wide = over_trainings(found, Spread(error, 2), 1, 1)
    assert wide.high - wide.value == pytest.approx(t.ppf(0.975, 4.5) * np.sqrt(3) * error, rel=1e-5)


@pytest.mark.parametrize("luck", [0.0, 0.02, 0.04])
def test_it_covers_what_a_way_to_train_gains(luck: float):
    """A mean of three against one training, 250 questions, three seeds on 120 others."""
    random = np.random.default_rng(8)
    held = 0
    for _ in range(500):
        share = np.asarray([0.4 + random.normal(0, luck), 0.45 + random.normal(0, luck / np.sqrt(3))])
        hard = random.random(250) < 0.4
        one, other = (~hard & (random.random(250) < at / 0.6) for at in share)
        seeds = [random.binomial(120, 0.45 + random.normal(0, luck)) / 1.2 for _ in range(3)]
        found = Luck.of(seeds, (), 3).on(Gap(one, other), "plain", "ours").at()
        held += found.low <= 0.05 <= found.high
    assert held / 500 >= 0.93


def test_more_questions_are_not_promised_where_luck_alone_hides_a_difference():
    gap = Luck.of((40.0, 50.0, 60.0), (), 1).on(Gap(FIRST, SECOND), "plain", "ours")
    assert power_of(gap, 0.95).luck
    assert not power_of(Gap(FIRST, SECOND), 0.95).luck
    assert power_of(Gap(FIRST, SECOND), 0.99).needed > power_of(Gap(FIRST, SECOND), 0.95).needed  # type: ignore[operator]


def test_where_questions_belong_together_their_subjects_are_what_would_tell():
    """Each question twice: as many subjects as there were questions, by an interval over subjects."""
    once, twice = Gap(FIRST, SECOND), [np.repeat(side, 2) for side in (FIRST, SECOND)]
    units = np.asarray([f"s{at // 2}" for at in range(500)])
    found, alone = power_of(gap_between(twice[0], twice[1], units), 0.95), power_of(once, 0.95)
    assert (found.asked, found.unit, alone.unit) == (250, "subject", "question")
    assert found.needed == pytest.approx(alone.needed, rel=0.1)
    assert power_of(gap_between(twice[0], twice[1], units), 0.95, "page").unit == "page"
