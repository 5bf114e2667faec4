import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, t

from recollect.core.estimates import (
    Estimate,
    NoRepeats,
    Pairs,
    clustered,
    clustered_macro,
    clustered_ratio,
    difference_of_paired,
    halves,
    independent_difference_of_differences,
    levels_entering,
    macro_mean,
    macro_over,
    mean_score,
    paired,
    paired_difference,
    paired_difference_of_differences,
    proportion,
    spread_of,
    trained_difference,
    trained_score,
    training_difference,
    unpaired,
    winner,
)
from recollect.errors import InputError

# -- single scores ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 40), (3, 40), (199, 200), (57, 1000)])
def test_a_proportion_has_the_interval_of_clopper_and_pearson(right, n):
    found, expected = proportion(right, n), binomtest(right, n).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (found.value, found.n, found.confidence) == (right / n, n, 0.95)
    assert found.percent == (100 * found.value, 100 * found.low, 100 * found.high)


@pytest.mark.parametrize(("right", "n", "text"), [(3, 2, "right must be"), (0, 0, "n of at least 1")])
def test_counts_that_no_sample_can_have_are_an_error(right, n, text):
    with pytest.raises(InputError, match=text):
        proportion(right, n)
    with pytest.raises(InputError, match=text):
        macro_mean([1, right], [2, n])


def test_a_macro_mean_of_one_level_is_its_proportion():
    one, same = macro_mean([30], [100]), proportion(30, 100)
    assert (one.value, one.low, one.high) == (same.value, same.low, same.high)


def test_a_macro_mean_narrows_about_by_the_root_of_the_number_of_equal_levels():
    one, four = macro_mean([200], [400]), macro_mean([200] * 4, [400] * 4)
    assert (one.high - one.low) / (four.high - four.low) == pytest.approx(2, abs=0.1)


counts = st.lists(
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(counts)
def test_a_macro_interval_contains_its_value_and_repeats(pairs):
    rights, ns = [right for right, _ in pairs], [n for _, n in pairs]
    found = macro_mean(rights, ns)
    assert found.value == pytest.approx(np.mean([right / n for right, n in pairs]))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert found == macro_mean(rights, ns)
    assert found.high == pytest.approx(1 - macro_mean([n - right for right, n in pairs], ns).low)


def test_a_level_under_the_minimum_does_not_enter_the_macro():
    found = macro_over({0: (5, 20), 1: (1, 1), 2: (9, 10), 3: (0, 0)}, least=10)
    assert (found.entered, found.left_out) == ((0, 2), (1,))
    assert found.estimate == macro_mean([5, 9], [20, 10])
    assert macro_over({0: (1, 9)}, least=10).estimate is None


# -- differences -----------------------------------------------------------------------------------------------


def outputs(right, level, part="test"):
    ids = [f"f{index:03d}" for index in range(len(right))]
    return pl.DataFrame(
        {"fact_id": ids, "part": part, "level": level, "contains": right, "word": right},
        schema_overrides={"level": pl.Int64},
    )


def test_equal_runs_differ_by_zero_and_the_interval_says_how_little_that_shows():
    run = outputs([True, False] * 20, [0] * 40)
    found = paired_difference(run, run)
    assert (found.value, found.n) == (0, 40)
    # the difference is at most the share of facts that changed, and 0 of 40 changed
    assert (found.low, found.high) == pytest.approx((-beta.ppf(0.975, 1, 40), beta.ppf(0.975, 1, 40)))


def test_a_paired_macro_difference_by_hand():
    # level 0: +1 of 2 facts; level 1: -1 of 4 facts; macro (1/2 - 1/4) / 2, micro 0 / 6
    level = [0, 0, 1, 1, 1, 1]
    first = outputs([False, True, True, True, False, False], level)
    second = outputs([True, True, False, True, False, False], level)
    assert paired_difference(first, second, least=1).value == pytest.approx(0.125)
    assert paired_difference(first, second, least=3).value == pytest.approx(-0.25)
    assert paired_difference(first, second, mean="micro").value == pytest.approx(0)
    counts = [Pairs(1, 0, 1, 0), Pairs(0, 1, 1, 2)]
    assert paired(counts) == paired_difference(first, second, least=1)


def test_a_paired_interval_is_about_the_bootstraps_where_there_are_many_facts():
    rng = np.random.default_rng(3)
    a, b = rng.random(1200) < 0.4, rng.random(1200) < 0.55
    found = paired_difference(
        outputs(a.tolist(), [0] * 1200), outputs(b.tolist(), [0] * 1200).sample(fraction=1, shuffle=True, seed=1)
    )
    picks = rng.integers(0, 1200, size=(4_000, 1200))
    expected = np.quantile((b.astype(int) - a.astype(int))[picks].mean(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.004)


def test_runs_on_different_facts_are_not_compared():
    run = outputs([True, False], [0, 1])
    with pytest.raises(InputError, match="same facts"):
        paired_difference(run, run.head(1))
    with pytest.raises(InputError, match="no fact of part"):
        paired_difference(run, run, part="ood")
    with pytest.raises(InputError, match="no memory level of part 'test' has 10 facts"):
        paired_difference(run, run)


def test_levels_enter_by_their_number_of_facts_and_unknown_ones_never():
    assert levels_entering(outputs([True] * 26, [4] * 10 + [2] * 11 + [0] + [None] * 4)) == (2, 4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 4).filter(sum), min_size=1, max_size=4))
def test_a_paired_interval_contains_its_value_and_turns_with_the_runs(levels):
    there = paired([Pairs(*counts) for counts in levels])
    back = paired([Pairs(b, a, c, d) for a, b, c, d in levels])
    assert -1 <= there.low <= there.value <= there.high <= 1
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_differences_of_differences_by_hand():
    level = [0] * 12
    a, b = outputs([False] * 12, level), outputs([True] * 3 + [False] * 9, level)
    c, d = outputs([False] * 12, level), outputs([True] * 9 + [False] * 3, level)
    same = paired_difference_of_differences((a, b, c, d))
    apart = independent_difference_of_differences((a, b), (c, d))
    assert same.value == apart.value == pytest.approx(9 / 12 - 3 / 12)
    assert same.low < same.value < same.high
    by_counts = difference_of_paired([Pairs(3, 0, 0, 9)], [Pairs(9, 0, 0, 3)])
    assert by_counts == apart
    assert mean_score([[0] * 3 + [1] * 6 + [0] * 3], -2, 2) == same


@pytest.mark.parametrize("bound", [14 / 9, 1.1, 1.0202702702702702, 2.0])
def test_a_score_may_lie_on_its_bound_whatever_the_bound_is(bound):
    found = mean_score([[bound] * 5 + [-bound]], -bound, bound)
    assert found.value == pytest.approx(bound * 2 / 3)
    with pytest.raises(InputError, match="scores must lie"):
        mean_score([[bound * 1.001]], -bound, bound)


def test_independent_samples_differ_by_their_macro_means():
    found = unpaired([(10, 40), (20, 40)], [(60, 80)])
    assert found.value == pytest.approx(0.75 - 0.375)
    assert found.low < found.value < found.high
    assert found.n == 160


# -- clusters --------------------------------------------------------------------------------------------------


def test_with_one_value_a_page_clusters_change_nothing():
    right = [True] * 7 + [False] * 33
    found, expected = clustered(right, range(40)), proportion(7, 40)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_values_that_only_repeat_their_page_count_as_pages():
    pages = [page for page in range(40) for _ in range(8)]
    right = [page < 7 for page in pages]
    found, expected = clustered(right, pages), proportion(7, 40)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n == 320


def test_the_macro_over_attributes_is_the_mean_of_their_shares():
    right = [True, True, False, False, True, False]
    found = clustered_macro(right, ["p", "q", "r", "p", "q", "r"], ["price"] * 3 + ["brand"] * 3)
    assert found.value == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert 0 <= found.low < found.value < found.high <= 1


def test_a_ratio_of_sums_takes_counts_such_as_those_of_f1():
    right, truth, given = np.array([1, 1, 0, 2]), np.array([2, 1, 1, 2]), np.array([1, 2, 1, 3])
    found = clustered_ratio(2 * right[:, None], (truth + given)[:, None])
    assert found.value == pytest.approx(8 / 13)
    with pytest.raises(InputError, match="hits must lie within"):
        clustered_ratio([[3]], [[2]])


# -- trainings -------------------------------------------------------------------------------------------------


def test_one_training_per_cell_gives_a_number_and_no_interval():
    found = training_difference([[0, 1, 0, 1]], [[1, 1, 1, 1], [1, 1, 0, 1]])
    assert found == NoRepeats(0.375, 4)
    once = proportion(10, 40)
    assert isinstance(trained_difference([once], [once, once]), NoRepeats)
    spread = spread_of([[0.1, 0.2], [0.3]])
    assert isinstance(trained_difference([once], [once, once], spread), NoRepeats)


def test_the_spread_is_pooled_and_enters_by_students_t():
    spread = spread_of([[0.1, 0.3], [0.5, 0.5, 0.8]])
    assert spread.freedom == 3
    assert spread.deviation == pytest.approx(np.sqrt((0.02 + 0.06) / 3))
    assert spread.half(2, 3) == pytest.approx(t.ppf(0.975, 3) * spread.deviation * np.sqrt(1 / 2 + 1 / 3))
    assert spread_of([[0.4], [0.2]]) is None


def test_the_questions_and_the_trainings_both_widen_a_difference():
    rng = np.random.default_rng(0)
    first, second = (rng.random((3, 60)) < share for share in (0.3, 0.5))
    found = training_difference(first, second)
    assert isinstance(found, Estimate)
    change = second.mean(axis=0) - first.mean(axis=0)
    questions = mean_score([change.tolist()], -1, 1)
    half = spread_of([first.mean(axis=1).tolist(), second.mean(axis=1).tolist()]).half(3, 3)
    assert found.value == pytest.approx(change.mean())
    assert found.high - found.value == pytest.approx(np.hypot(questions.high - questions.value, half))


def test_an_untouched_model_needs_no_repeats():
    rng = np.random.default_rng(1)
    base, trained = rng.random((1, 80)) < 0.2, rng.random((2, 80)) < 0.6
    found = training_difference(base, trained, first_trained=False)
    assert isinstance(found, Estimate)
    assert found.sign == 1
    assert isinstance(training_difference(base, trained), NoRepeats)


def test_macro_differences_of_trainings_take_the_levels_with_enough_facts():
    levels = [0] * 12 + [1] * 12 + [2]
    low, high = [0] * 25, [1] * 12 + [0] * 12 + [1]
    found = training_difference([low, low], [high, high], levels)
    assert (found.value, found.n) == (0.5, 24)
    with pytest.raises(InputError, match="no memory level has 10 facts"):
        training_difference([low, low], [high, high], [0] * 5 + [None] * 20)


def test_a_mean_over_trainings_says_when_it_holds_the_questions_alone():
    scores = [proportion(right, 50) for right in (10, 14)]
    alone, both = trained_score(scores, None), trained_score(scores, spread_of([[0.2, 0.28]]))
    assert alone.value == both.value == pytest.approx(0.24)
    assert "questions only" in alone.method
    assert both.low < alone.low < alone.high < both.high


# -- halves ----------------------------------------------------------------------------------------------------


def test_halves_are_even_inside_groups_and_do_not_depend_on_the_order():
    ids, groups = [f"f{number}" for number in range(31)], [number % 3 for number in range(31)]
    choosing, scoring = halves(ids, groups, 0)
    assert not choosing & scoring
    assert choosing | scoring == set(ids)
    assert [sum(groups[ids.index(one)] == group for one in choosing) for group in range(3)] == [5, 5, 5]
    assert halves(ids[::-1], groups[::-1], 0) == (choosing, scoring)
    assert halves(ids, groups, 1)[0] != choosing


def test_what_was_drawn_together_is_in_one_half_and_what_was_not_moves_nothing():
    ids, groups = [f"f{number:02}" for number in range(40)], [number % 2 for number in range(40)]
    units = [number // 4 if number < 20 else number for number in range(40)]
    choosing, scoring = halves(ids, groups, 0, units)
    assert choosing | scoring == set(ids) and not choosing & scoring
    assert all(len({one in choosing for one in ids[at : at + 4]}) == 1 for at in range(0, 20, 4))
    lone = halves([f"f{at}{part}" for at in range(5) for part in "ab"], [at // 2 for at in range(10)], 0, "aabbccddee")
    assert (len(lone[0]), len(lone[1])) == (4, 6)  # a group each, of one subject
    assert halves(ids, groups, 0, ids) == halves(ids, groups, 0, [f"x{one}" for one in ids]) == halves(ids, groups, 0)


def test_of_equal_scores_the_first_wins():
    assert winner({"cheap": 0.4, "dear": 0.4, "poor": 0.1}) == "cheap"


@pytest.mark.parametrize(("wins", "losses", "n"), [(40, 18, 250), (7, 0, 40), (0, 0, 40), (3, 2, 5)])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_a_paired_interval_is_the_beta_distribution_that_the_docs_say(
    wins: int, losses: int, n: int, confidence: float
):
    """docs/statistics.md, "One group", written again."""

    def upper(won: int, lost: int) -> float:
        mean, square = (won - lost + 1) / (n + 1), (won + lost + 1) / (n + 1)
        variance = (square - mean**2) / (n + 2)
        least = -1 if lost else 0 if won < n else 1
        middle, spread = (mean - least) / (1 - least), variance / (1 - least) ** 2
        size = middle * (1 - middle) / spread - 1
        return float(least + (1 - least) * beta.ppf((1 + confidence) / 2, middle * size, (1 - middle) * size))

    found = paired([Pairs(wins, losses, 0, n - wins - losses)], confidence)
    assert (found.low, found.high) == pytest.approx((-upper(losses, wins), upper(wins, losses)), abs=1e-6)
