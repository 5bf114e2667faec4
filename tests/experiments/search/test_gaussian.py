"""The Gaussian process over settings and rungs, and its improvement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from recollect.experiments.search.gaussian import Surface, log_improvement, posterior


def squares(points: np.ndarray) -> np.ndarray:
    return np.asarray((points.T[:, :, None] - points.T[:, None, :]) ** 2)


def prior(theta: np.ndarray) -> float:
    """Log density of the prior at theta, up to a constant."""
    middle = np.r_[0, np.full(len(theta) - 2, 1.0), np.log(1e-2)]
    return float(-0.5 * (((theta - middle) / np.r_[1, np.full(len(theta) - 2, 1.3), 1.5]) ** 2).sum())


@pytest.mark.parametrize(("mean", "sd", "best"), [(1.0, 2.0, 0.0), (0.0, 1.0, 1.5), (-3.0, 1.0, 2.0), (0.0, 0.5, 4.0)])
def test_log_improvement_is_the_integral(mean: float, sd: float, best: float) -> None:
    expected, _ = integrate.quad(
        lambda score: (score - best) * stats.norm.pdf(score, mean, sd), best, best + 30 * sd, epsabs=0
    )
    found = log_improvement(np.asarray([mean]), np.asarray([sd]), best)
    assert found[0] == pytest.approx(np.log(expected), rel=1e-6)


def test_log_improvement_falls_on_where_the_improvement_itself_is_zero() -> None:
    far = log_improvement(np.asarray([-20.0, -40.0, -1e3, -1e5, -1e6]), np.ones(5), 0.0)
    assert np.isfinite(far).all() and (np.diff(far) < 0).all()


def test_with_one_rung_it_is_scikit_learns_process() -> None:
    rng = np.random.default_rng(0)
    points, scores = rng.random((12, 3)), rng.standard_normal(12)
    theta = np.log(np.r_[1.7, 0.3, 0.8, 2.0, 0.02])
    kernel = ConstantKernel(1.7) * Matern([0.3, 0.8, 2.0], nu=2.5) + WhiteKernel(0.02)
    theirs = GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=None).fit(points, scores)
    value, slope = theirs.log_marginal_likelihood(kernel.theta, eval_gradient=True)

    ours, gradient = posterior(theta, squares(points), np.zeros((12, 12)), scores)

    assert ours - prior(theta) == pytest.approx(value)
    assert gradient - optimize.approx_fprime(theta, prior, 1e-7) == pytest.approx(slope, abs=1e-5)

    places = rng.random((5, 3))
    surface = Surface(theta, points, np.zeros(12, dtype=np.int64), scores, np.zeros(1), 0.0, 1.0)
    mean, sd = surface.predict(places)
    their_mean, their_sd = theirs.predict(places, return_std=True)
    assert mean == pytest.approx(their_mean)
    assert sd**2 + 0.02 == pytest.approx(their_sd**2)


def test_the_gradient_holds_with_rungs() -> None:
    rng = np.random.default_rng(1)
    points, rungs = rng.random((9, 2)), rng.integers(3, size=9)
    growth = np.asarray([0.0, 0.4, 0.5])
    grown = growth[np.minimum(rungs[:, None], rungs)]
    scores, theta = rng.standard_normal(9), rng.normal(0, 0.3, 4)

    value = lambda at: posterior(at, squares(points), grown, scores)[0]  # noqa: E731
    assert posterior(theta, squares(points), grown, scores)[1] == pytest.approx(
        optimize.approx_fprime(theta, value, 1e-7), abs=1e-4
    )


def test_rungs_are_sums_of_processes() -> None:
    """Prediction against the sum written out: the shared process and one more per rung, conditioned by hand."""
    rng = np.random.default_rng(2)
    points, rungs, scores = rng.random((6, 2)), np.asarray([0, 0, 1, 0, 1, 2]), rng.standard_normal(6)
    points[3] = points[2]  # one trial at two rungs
    growth, theta = np.asarray([0.0, 0.3, 0.9]), np.log(np.r_[1.2, 0.5, 0.7, 0.01])
    places = np.vstack([points, rng.random((2, 2))])
    kernel = Matern([0.5, 0.7], nu=2.5)(places)
    # u, d1, d2 at all eight places are independent blocks; a score is a row of ones over u and the d up to its rung
    blocks = np.kron(np.diag([1.2, 0.3, 0.6]), kernel)
    rows = [(place, rung) for place, rung in enumerate(rungs)] + [(6, 2), (7, 2)]
    reads = np.zeros((8, 24))
    for row, (place, rung) in enumerate(rows):
        reads[row, [place, *(8 * (1 + up) + place for up in range(rung))]] = 1
    joint = reads @ blocks @ reads.T
    known = np.linalg.inv(joint[:6, :6] + (0.01 + 1e-8) * np.eye(6))
    mean = joint[6:, :6] @ known @ scores
    variance = np.diag(joint[6:, 6:] - joint[6:, :6] @ known @ joint[:6, 6:])

    found, sd = Surface(theta, points, rungs.astype(np.int64), scores, growth, 0.0, 1.0).predict(places[6:])

    assert found == pytest.approx(mean)
    assert sd**2 == pytest.approx(variance)


def test_an_early_score_says_less_of_the_end_the_more_is_still_to_come() -> None:
    points, theta = np.linspace(0, 1, 6)[:, None], np.log(np.r_[1.0, 0.2, 0.01])
    scores, rungs = np.asarray([0.0, 0.2, 0.4, 3.0, 0.8, 1.0]), np.asarray([1, 1, 1, 0, 1, 1])
    found = [
        Surface(theta, points, rungs, scores, np.asarray([0.0, more]), 0.0, 1.0).predict(points[3:4])
        for more in (0.01, 1.0, 100.0)
    ]
    means, sds = [float(mean[0]) for mean, _ in found], [float(sd[0]) for _, sd in found]
    assert sds == sorted(sds) and sds[2] > 5 * sds[0]
    assert means == sorted(means, reverse=True) and means[0] > 2.5 > means[2]  # the neighbours' say grows


def test_the_promise_is_what_one_more_first_score_does_to_the_final_mean() -> None:
    """By adding that score: the final mean moves in proportion to how far the score is from what was expected."""
    rng = np.random.default_rng(3)
    points, rungs, scores = rng.random((7, 2)), np.asarray([0, 0, 1, 0, 1, 0, 1]), rng.standard_normal(7)
    growth, theta, place = np.asarray([0.0, 0.6]), np.log(np.r_[1.0, 0.4, 0.6, 0.02]), rng.random((1, 2))

    def surface(*more: float) -> Surface:
        at = np.vstack([points, *[place] * len(more)])
        return Surface(theta, at, np.r_[rungs, [0] * len(more)].astype(np.int64), np.r_[scores, more], growth, 0.5, 2.0)

    before, moved = surface().promise(place)
    first, sd = surface().predict(place, 0)
    noisy = np.sqrt(sd**2 + 2.0**2 * 0.02)  # one standard deviation of that score
    assert before == pytest.approx(surface().predict(place)[0])
    assert surface(float((first + noisy)[0])).predict(place)[0] - before == pytest.approx(moved, rel=1e-6)
    assert surface(float(first[0])).predict(place)[0] == pytest.approx(before)
    # where a first score is known already there is next to nothing left to learn, though the end is open
    known, open_end = surface().promise(points[:1])[1], surface().predict(points[:1])[1]
    assert known < 0.2 * moved and known < 0.3 * open_end


def test_a_pending_trial_makes_its_place_less_interesting() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((8, 2))
    surface = Surface.fit(points, -((points[:, 0] - 0.5) ** 2))
    place = np.asarray([[0.9, 0.1]])
    before, after = surface.predict(place)[1][0], surface.believing(place).predict(place)[1][0]
    assert after < before / 2
    assert surface.believing(place).predict(place)[0] == pytest.approx(surface.predict(place)[0], abs=1e-3)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8),
    st.integers(0, 3),
    st.floats(0, 1e6),
)
def test_any_scores_give_finite_predictions_in_their_own_units(scores: list[float], dims: int, growth: float) -> None:
    rng = np.random.default_rng(len(scores))
    points, rungs = rng.random((len(scores), dims)), rng.integers(2, size=len(scores))
    one = Surface.fit(points, np.asarray(scores), rungs, np.asarray([0.0, growth]))
    mean, sd = one.predict(points)
    assert np.isfinite(mean).all() and np.isfinite(sd).all() and (sd > 0).all()
    moved = Surface.fit(points, 10 + 4 * np.asarray(scores), rungs, np.asarray([0.0, 16 * growth])).predict(points)[0]
    assert moved == pytest.approx(10 + 4 * mean, abs=1e-3 * (1 + 4 * np.ptp(scores)), rel=1e-3)
