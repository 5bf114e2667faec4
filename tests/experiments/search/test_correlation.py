"""The correlation that a search states is the one it measured, and its ranges stay on the scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from helpers_schedule import bare_found
from recollect.core.estimates import Line
from recollect.experiments.search.correlation import line
from recollect.experiments.search.forecast import Forecaster
from recollect.experiments.search.results import lines
from recollect.experiments.search.trial import Trial

PAIRS = [(30.0, 41.0), (35.0, 40.0), (38.0, 47.0), (41.0, 52.0), (44.0, 50.0)]


def test_it_is_the_plain_one_and_no_prior_pulls_it() -> None:
    early = [x for x, _ in PAIRS]
    found = Line(early, PAIRS).correlation()
    assert (
        found.pearson
        == pytest.approx(np.corrcoef(np.asarray(PAIRS).T)[0, 1])
        == pytest.approx(100 / (117.2 * 114) ** 0.5)
    )
    assert found.spearman == pytest.approx(0.8) and (found.pairs, found.trials) == (5, 5)
    turned = Line(early, [(x, 100 - y) for x, y in PAIRS]).correlation()
    assert turned.pearson == pytest.approx(-found.pearson) and turned.spearman == pytest.approx(-0.8)
    assert turned.high is not None and turned.high < 0.3
    policy = Forecaster(early, [(x, 100 - y) for x, y in PAIRS]).correlation()
    assert policy > turned.pearson + 0.2, "the policy's own is pulled to its prior, so it may not be what is stated"


def test_with_all_finished_the_interval_is_fishers_exact_one() -> None:
    """For r = 0.7 of n = 10 pairs: 95 % from the exact distribution of r (David's tables: about 0.12 to 0.91)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(10)
    noise = rng.standard_normal(10)
    x, noise = x - x.mean(), noise - noise.mean()
    noise -= x * (x @ noise) / (x @ x)
    y = 0.7 * x / np.linalg.norm(x) + np.sqrt(1 - 0.49) * noise / np.linalg.norm(noise)
    found = Line(x.tolist(), list(zip(x, y, strict=True))).correlation()
    assert found.pearson == pytest.approx(0.7)
    assert found.low is not None and found.high is not None
    for rho, tail in (
        (found.low, 0.025),
        (found.high, 0.975),
    ):  # at its ends, r = 0.7 is in the tail of r's distribution
        both = np.random.default_rng(1).standard_normal((200_000, 2, 10))
        second = rho * both[:, 0] + np.sqrt(1 - rho**2) * both[:, 1]
        a, b = both[:, 0] - both[:, 0].mean(1, keepdims=True), second - second.mean(1, keepdims=True)
        r = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
        assert np.mean(r > 0.7) == pytest.approx(tail, abs=0.004)


def test_more_spread_among_all_than_among_the_finished_raises_the_interval() -> None:
    """Thorndike's case II: the finished are the best early, so their correlation is less than that of all."""
    rng = np.random.default_rng(2)
    early = rng.normal(50, 10, 60)
    final = 55 + 0.8 * (early - 50) + 6 * rng.standard_normal(60)
    done = np.argsort(-early)[:20]
    found = Line(early.tolist(), [(early[at], final[at]) for at in done]).correlation()
    assert found.pearson is not None and found.low is not None and found.high is not None
    assert found.pearson < 0.7 and found.low < 0.8 < found.high and (found.pairs, found.trials) == (20, 60)


@pytest.mark.parametrize("pairs", [[], PAIRS[:3], [(30.0, 40.0)] * 5, [(30.0 + n, 40.0) for n in range(5)]])
def test_too_few_or_equal_scores_state_nothing(pairs: list[tuple[float, float]]) -> None:
    made = Line([30.0, 31.0, *[x for x, _ in pairs]], pairs)
    found = made.correlation()
    assert (found.pearson, found.spearman, found.low, found.high) == (None,) * 4 and found.pairs == len(pairs)
    assert made.final(35.0) is None


def test_a_perfect_line_is_finite() -> None:
    found = Line([1.0, 2.0, 3.0, 4.0, 9.0], [(float(n), 2.0 * n) for n in range(1, 5)]).correlation()
    assert found.pearson == pytest.approx(1) and found.low is not None and 0.9 < found.low <= 1


def test_a_final_score_is_expected_within_the_scale_as_the_textbook_says() -> None:
    made = Line([x for x, _ in PAIRS], PAIRS)
    x, y = np.asarray(PAIRS).T
    fit = stats.linregress(x, y)
    rest = np.sqrt(((y - fit.intercept - fit.slope * x) ** 2).sum() / 3)
    half = stats.t.ppf(0.975, 3) * rest * np.sqrt(1 + 1 / 5 + (40 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    middle = fit.intercept + fit.slope * 40
    assert made.final(40.0) == pytest.approx((middle - half, middle, middle + half))
    low, high = made.final(-20.0), made.final(120.0)
    assert low is not None and high is not None
    assert low[:2] == (0.0, 0.0) and high[1:] == (100.0, 100.0) and 0 <= high[0] <= 100


def test_a_search_takes_its_pairs_from_the_rungs_it_is_asked_for() -> None:
    trials = [Trial(n, {}, "finished", 2, {0: x, 1: x + 3, 2: y}) for n, (x, y) in enumerate(PAIRS)]
    trials.append(Trial(9, {}, "paused", 0, {0: 20.0}))
    first, second = line(trials, 2).correlation(), line(trials, 2, 1).correlation()
    assert (first.trials, second.trials) == (6, 5) and first.pearson == pytest.approx(second.pearson)


def test_the_sentence_states_what_was_measured_or_that_it_cannot() -> None:
    found = Line([x for x, _ in PAIRS], PAIRS).correlation()
    measured = bare_found(
        early_final_correlation=found.pearson,
        early_final_rank_correlation=found.spearman,
        early_final_correlation_low=found.low,
        early_final_correlation_high=found.high,
        early_final_pairs=5,
        early_final_trials=5,
    )
    said = list(lines(measured))[-1]
    assert "of the 5 finished trials: Pearson correlation 0.87, rank correlation 0.80" in said
    assert "(95 % interval)" in said
    few = measured.model_copy(update={"early_final_correlation": None, "early_final_pairs": 3})
    assert "cannot be stated: 3 finished trials" in list(lines(few))[-1]
