"""The forecast of the final score and the correlation it implies."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.experiments.search.forecast import Forecaster, squash


def simulate(rng: np.random.Generator, n: int, r: float) -> tuple[np.ndarray, np.ndarray]:
    """Early and final scores of n trials whose correlation is r: spread 10 points, a gain of 5."""
    early = rng.normal(50, 10, n)
    return early, 55 + 10 * (r * (early - 50) / 10 + (1 - r**2) ** 0.5 * rng.normal(size=n))


def finished(early: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The four best and two random others, as the scheduler finishes them."""
    order = np.argsort(-early)
    return np.r_[order[:4], rng.choice(order[4:], 2, replace=False)]


def test_without_pairs_the_forecast_is_the_prior() -> None:
    model = Forecaster([40.0, 50.0, 60.0], [])
    low, high = model.forecast(40.0), model.forecast(60.0)
    assert 40 <= low.mean < high.mean
    assert high.mean - low.mean == pytest.approx(0.9 * 20)
    assert low.sd == pytest.approx(high.sd) and low.sd > 0
    assert 0.7 < model.correlation() < 0.9, "the prior's"


def test_many_exact_pairs_teach_the_line() -> None:
    early = np.linspace(10, 60, 40)
    model = Forecaster(early.tolist(), [(x, 0.8 * x + 12) for x in early])
    ahead = model.forecast(50.0)
    assert ahead.mean == pytest.approx(52, abs=0.5)
    assert ahead.sd < Forecaster(early.tolist(), []).forecast(50.0).sd / 4


@pytest.mark.parametrize("r", [0.6, 0.8, 0.9])
def test_the_68_percent_interval_holds_about_68_percent(r: float) -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):
        early, final = simulate(rng, 20, r)
        done = finished(early, rng)
        model = Forecaster(early.tolist(), [(early[at], final[at]) for at in done])
        for at in set(range(20)) - set(done.tolist()):
            ahead = model.forecast(early[at])
            held.append(abs(final[at] - ahead.mean) <= ahead.sd)
    assert 0.60 <= np.mean(held) <= 0.84


def test_the_expected_correlation_is_not_bent_by_having_finished_the_best() -> None:
    rng = np.random.default_rng(2)
    expected = []
    for _ in range(100):
        early, final = simulate(rng, 60, 0.8)
        done = np.argsort(-early)[:20]
        expected.append(Forecaster(early.tolist(), [(early[at], final[at]) for at in done]).correlation())
    assert abs(np.mean(expected) - 0.8) < 0.06


def test_units_do_not_matter() -> None:
    early, pairs = [1.0, 2.0, 4.0, 8.0], [(1.0, 2.0), (8.0, 7.0), (4.0, 5.0)]
    one = Forecaster(early, pairs)
    ten = Forecaster([10 * x - 3 for x in early], [(10 * x - 3, 10 * y - 3) for x, y in pairs])
    assert ten.forecast(17.0).mean == pytest.approx(10 * one.forecast(2.0).mean - 3)
    assert ten.forecast(17.0).sd == pytest.approx(10 * one.forecast(2.0).sd)
    assert ten.correlation() == pytest.approx(one.correlation())


@pytest.mark.parametrize("early", [[], [5.0], [5.0, 5.0, 5.0]])
def test_few_or_equal_scores_still_give_a_finite_forecast(early: list[float]) -> None:
    model = Forecaster(early, [(5.0, 6.0)] if early else [])
    ahead = model.forecast(5.0)
    assert np.isfinite(ahead.mean) and 0 < ahead.sd < 100
    assert np.isfinite(model.correlation())


def test_a_disaster_moves_no_other_forecast() -> None:
    scores = [40.0, 42.0, 44.0, 50.0, -1e18]
    floor = squash(scores)
    assert floor == 42 - 3 * 8
    calm = Forecaster([max(x, floor) for x in scores], [(50.0, 55.0)]).forecast(44.0)
    assert 40 < calm.mean < 60 and calm.sd < 20
