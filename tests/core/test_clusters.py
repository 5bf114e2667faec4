"""Differences of values that share pages, and of questions that share subjects."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from recollect.core.estimates import (
    Estimate,
    Pairs,
    by_cluster,
    clustered_difference,
    design_effect,
    paired,
    paired_difference,
    proportion,
    spread_of,
    training_difference,
)
from recollect.core.estimates.clusters import change_bounds


def test_a_difference_of_clusters_of_one_value_is_the_paired_one():
    first, second = [True] * 12 + [False] * 28, [True] * 8 + [False] * 20 + [True] * 12
    found = clustered_difference(first, second, range(40))
    assert (found.value, found.low, found.high) == pytest.approx(_ends(paired([Pairs.of(first, second)])))
    same = clustered_difference(first, first, range(40))
    assert (same.low, same.high) == pytest.approx(_ends(paired([Pairs.of(first, first)]))[1:])


def _ends(one: Estimate) -> tuple[float, float, float]:
    return one.value, one.low, one.high


@pytest.mark.parametrize("shift", [-0.05, 0.0, 0.08])
def test_the_difference_of_two_models_on_pages_covers_and_is_no_wider_than_it_must_be(shift: float):
    """60 pages of up to eight values that share their page and are alike for both models: 95 % is promised."""
    random = np.random.default_rng(3)
    draws, pages, values = 2_000, 60, 8
    ns = (random.random((pages, values)) < 0.8).astype(float)
    ns[0] = 1

    def draw(*shape: int, of: float) -> np.ndarray:
        return np.sqrt(of) * random.normal(size=(draws, *shape))

    shared = draw(pages, 1, of=0.15) + draw(pages, values, of=0.4)
    right = [shared + draw(pages, 1, of=0.15) + draw(pages, values, of=0.3) < norm.ppf(at) for at in (0.7, 0.7 + shift)]
    changes = (right[1].astype(float) - right[0]) * ns
    value, low, high = change_bounds(changes, ns)
    assert 0.94 <= np.mean((low <= shift) & (shift <= high)) <= 0.98
    assert np.mean(high - low) < 1.15 * 2 * 1.96 * np.std(value)


def test_a_page_on_which_one_model_loses_everything_may_have_been_missed():
    """One page in a hundred: most samples of 60 hold none or one, and the interval still covers what it does."""
    random = np.random.default_rng(4)
    lost = np.broadcast_to(random.random((2_000, 60, 1)) < 0.01, (2_000, 60, 8))
    _, low, high = change_bounds(-lost.astype(float), np.ones((60, 8)))
    assert np.mean((low <= -0.01) & (high >= -0.01)) >= 0.93


def test_questions_about_one_subject_are_one_where_they_go_together():
    """All subjects asked twice: without clusters 95 % are 83, or 90 where three in five go together."""
    random = np.random.default_rng(5)
    alone, together = [], []
    for _ in range(400):
        change = random.choice([-1, 0, 1], 125, p=[0.08, 0.76, 0.16])
        twice = np.repeat(change, 2)
        first, second = (twice < 0).tolist(), (twice > 0).tolist()
        one = paired([Pairs.of(first, second)])
        both = by_cluster(one, twice.tolist(), [at // 2 for at in range(250)], least=-1.0)
        alone.append(one.low <= 0.08 <= one.high)
        together.append(both.low <= 0.08 <= both.high)
    assert np.mean(alone) < 0.9
    assert np.mean(together) >= 0.93


def test_subjects_that_do_not_repeat_change_nothing():
    one = paired([Pairs(12, 4, 20, 14)])
    assert by_cluster(one, [1.0] * 12 + [-1.0] * 4 + [0.0] * 34, range(50)) is one
    assert design_effect([1, 1, 0, 0], "aabb") == 2
    assert design_effect([1, 0, 1, 0], "aabb") == 1
    assert design_effect([0, 0, 0, 0], "aabb") == 2  # nothing to tell by


def test_two_runs_on_questions_about_the_same_subjects():
    """Forty subjects asked twice, both alike: as wide as forty questions would be, in the macro and the micro."""
    random = np.random.default_rng(6)
    one, other = (np.repeat(random.random(40) < at, 2) for at in (0.4, 0.6))
    ids, level = [f"f{at}" for at in range(80)], np.repeat(np.arange(40) % 2, 2)
    tables = [pl.DataFrame({"fact_id": ids, "part": "test", "level": level, "right": right}) for right in (one, other)]
    units = {name: at // 2 for at, name in enumerate(ids)}
    forty = paired([Pairs.of(one[::2].tolist(), other[::2].tolist())])
    assert _ends(paired_difference(*tables, mean="micro", units=units)) == pytest.approx(_ends(forty))
    macro = clustered_difference(one.tolist(), other.tolist(), [at // 2 for at in range(80)], level.tolist())
    assert _ends(paired_difference(*tables, mean="macro", units=units)) == pytest.approx(_ends(macro))
    assert paired_difference(*tables, units={}) == paired_difference(*tables)
    runs = [[one.tolist()] * 2, [other.tolist()] * 2]
    none = spread_of([[0.5, 0.5]])
    found = training_difference(*runs, level.tolist(), none, units=[at // 2 for at in range(80)])
    assert isinstance(found, Estimate)
    assert _ends(found) == pytest.approx(_ends(macro))


@pytest.mark.parametrize("each", [2, 10])
@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_the_share_of_right_answers_is_held_however_many_questions_a_subject_has(each: int, rate: float):
    """240 questions, those of a subject nearly alike: longer by the root of the design effect, 95 % were 83 at ten."""
    random, held = np.random.default_rng(9), 0
    units = np.repeat(np.arange(240 // each), each)
    for _ in range(300):
        right = random.random(240 // each)[units] < rate
        other = random.random(240) < 0.1
        right = np.where(other, random.random(240) < rate, right).tolist()
        found = by_cluster(proportion(sum(right), 240), right, units.tolist())
        held += found.low <= rate <= found.high
    assert held / 300 >= 0.93


def test_scores_between_other_bounds_are_shares_of_what_they_can_be():
    right = [True, True, False, False, True, True, False, False, False, False]
    share = by_cluster(proportion(4, 10), right, "aabbccddee")
    assert _ends(share) == pytest.approx(_ends(proportion(2, 5)))
    scores = [3.0 * one - 1 for one in right]
    wide = by_cluster(Estimate(0.2, 0.1, 0.3, 10, ""), scores, "aabbccddee", least=-1.0, most=2.0)
    assert (wide.low, wide.high) == pytest.approx((3 * share.low - 1, 3 * share.high - 1))
