"""A Gaussian process over settings and rungs, and the logarithm of its expected improvement.

    score(x, rung) = u(x) + d₁(x) + … + d_rung(x) + noise

Notable choices
- What all rungs share, u, and what each one adds, d, are processes of their own (Kennedy and O'Hagan 2000): an early
  score is told exactly, and says nothing of what comes later. So paused trials count as what they are: nearly as much
  as finished ones where early scores forecast well, little where they do not.
- u and d have the same Matérn 5/2 kernel with a length scale per dimension. How large d is comes from the forecast's
  line (`growth`), not from the fit: a few finished trials do not tell two processes apart.
- A prior on strength, length scales and noise: without one, five points in eight dimensions fit anything.
- Stateless: fitted from one starting point every time, so the same trials give the same proposal after any restart.
- A new trial shows its first score first. Its worth is what that score may make of the final mean (the knowledge
  gradient at one point, Frazier and others 2009), not the uncertainty of the final score: that is large at the place of
  a paused trial, where a second first score would teach nothing.
- log EI, not EI (Ament and others 2023): it has a slope where EI has rounded to zero.
- SciPy alone: scikit-learn's and Optuna's processes have no rungs, and BoTorch's would bring gpytorch with it. With one
  rung it is scikit-learn's process, and there is a test for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

Array = NDArray[np.float64]
Rungs = NDArray[np.int64]

_MIDDLE = (0.0, 1.0, float(np.log(1e-2)))
_WIDTH = (1.0, 1.3, 1.5)
_BOUNDS = ((np.log(1e-2), np.log(1e2)), (np.log(0.05), np.log(1e2)), (np.log(1e-5), 0.0))
_JITTER = 1e-8


def _each(three: tuple[float, float, float], dims: int) -> Array:
    """One value for ln strength, one for each ln length scale, one for ln noise."""
    return np.asarray(np.r_[three[0], np.full(dims, three[1]), three[2]])


def matern(squares: Array, scales: Array) -> tuple[Array, Array]:
    """Matérn 5/2 from squared differences by dimension (d, n, m): its values, and the slope that their derivatives
    have in common (Rasmussen and Williams 2006, equation 4.17)."""
    root = np.sqrt(5 * np.tensordot(scales**-2, squares, 1))
    decay = np.exp(-root)
    return np.asarray((1 + root + root**2 / 3) * decay), np.asarray(5 / 3 * (1 + root) * decay)


def _squares(points: Array, others: Array) -> Array:
    """Squared differences by dimension: (d, n, m)."""
    return np.asarray((points.T[:, :, None] - others.T[:, None, :]) ** 2)


def posterior(theta: Array, squares: Array, grown: Array, scores: Array) -> tuple[float, Array]:
    """Log posterior of theta = ln(strength, length scales, noise), up to a constant, and its gradient (Rasmussen and
    Williams 2006, equations 5.8 and 5.9). grown: (n, n), what the rungs of two scores add to the strength."""
    strength, scales, noise = np.exp(theta[0]), np.exp(theta[1:-1]), np.exp(theta[-1])
    shape, slope = matern(squares, scales)
    try:
        factor = linalg.cho_factor((strength + grown) * shape + (noise + _JITTER) * np.eye(len(scores)), lower=True)
    except linalg.LinAlgError:
        return -1e10, np.zeros_like(theta)
    solved = linalg.cho_solve(factor, scores)
    value = -0.5 * scores @ solved - np.log(np.diag(factor[0])).sum() - 0.5 * len(scores) * np.log(2 * np.pi)
    inner = np.outer(solved, solved) - linalg.cho_solve(factor, np.eye(len(scores)))
    by_scale = np.tensordot(squares, inner * (strength + grown) * slope, 2) * scales**-2
    gradient = 0.5 * np.r_[strength * (inner * shape).sum(), by_scale, noise * np.trace(inner)]
    away = (theta - _each(_MIDDLE, len(scales))) / _each(_WIDTH, len(scales))
    return float(value - 0.5 * away @ away), gradient - away / _each(_WIDTH, len(scales))


@dataclass(frozen=True)
class Surface:
    """A fitted process. theta: ln(strength, length scales, noise), of scores less `middle` over `spread`."""

    theta: Array
    points: Array
    rungs: Rungs
    scores: Array
    growth: Array
    middle: float
    spread: float

    @classmethod
    def fit(cls, points: Array, scores: Array, rungs: Rungs | None = None, growth: Array | None = None) -> Surface:
        """points: (n, d) in 0..1; scores: (n,); rungs: (n,), by default all the same; growth: variance added until each
        rung, in the scores' units, rising from 0."""
        rungs = np.zeros(len(scores), dtype=np.int64) if rungs is None else rungs
        growth = np.zeros(1) if growth is None else growth
        middle, spread = float(np.mean(scores)), float(np.std(scores))
        if spread <= 1e-9 * max(1.0, abs(middle)):
            spread = 1.0
        dims = points.shape[1]
        grown, squares = _shared(growth, rungs, rungs) / spread**2, _squares(points, points)

        def cost(theta: Array) -> tuple[float, Array]:
            value, gradient = posterior(theta, squares, grown, (scores - middle) / spread)
            return -value, -gradient

        start = _each((0.0, float(np.log(0.5 * max(dims, 1) ** 0.5)), _MIDDLE[2]), dims)
        bounds = [_BOUNDS[0], *[_BOUNDS[1]] * dims, _BOUNDS[2]]
        found = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(np.asarray(found.x), points, rungs, scores, growth, middle, spread)

    def predict(self, points: Array, rung: int = -1) -> tuple[Array, Array]:
        """Mean and standard deviation of the true score at each point at a rung, by default the last, without the
        noise of measuring it; in the scores' units."""
        mean, variance, _ = self._posterior(points, rung % len(self.growth))
        return self.middle + self.spread * mean, self.spread * np.sqrt(variance)

    def promise(self, points: Array) -> tuple[Array, Array]:
        """Mean of the final score at each point, and the standard deviation of that mean after a first score there."""
        mean, variance, shared = self._posterior(points, len(self.growth) - 1)
        first = variance if len(self.growth) == 1 else self._posterior(points, 0)[1]
        moved = np.maximum(shared, 1e-10) / np.sqrt(first + np.exp(self.theta[-1]))
        return self.middle + self.spread * mean, self.spread * moved

    def _posterior(self, points: Array, rung: int) -> tuple[Array, Array, Array]:
        """Mean and variance at a rung, and covariance with the first rung; of scores less `middle` over `spread`."""
        strength, scales, noise = np.exp(self.theta[0]), np.exp(self.theta[1:-1]), np.exp(self.theta[-1])
        shape = matern(_squares(self.points, self.points), scales)[0]
        near = matern(_squares(points, self.points), scales)[0]

        def grown(others: Rungs) -> Array:
            return np.asarray(strength + _shared(self.growth, others, self.rungs) / self.spread**2)

        noisy = grown(self.rungs) * shape + (noise + _JITTER) * np.eye(len(self.points))
        factor = linalg.cho_factor(noisy, lower=True)
        at, first = (grown(np.full(len(points), one)) * near for one in (rung, 0))
        solved = linalg.cho_solve(factor, at.T)
        mean = at @ linalg.cho_solve(factor, (self.scores - self.middle) / self.spread)
        variance = strength + self.growth[rung] / self.spread**2 - np.einsum("ij,ji->i", at, solved)
        shared = strength - np.einsum("ij,ji->i", first, solved)
        return mean, np.maximum(variance, 1e-10), shared

    def believing(self, points: Array) -> Surface:
        """The process as if the running trials had come to the first rung as it expects (kriging believer)."""
        if not len(points):
            return self
        return replace(
            self,
            points=np.vstack([self.points, points]),
            rungs=np.r_[self.rungs, np.zeros(len(points), dtype=np.int64)],
            scores=np.r_[self.scores, self.predict(points, 0)[0]],
        )

    def worth(self, points: Array, best: float) -> Array:
        """Logarithm of how far beyond `best` a first score at each point is expected to lift the final mean."""
        return log_improvement(*self.promise(points), best)


def _shared(growth: Array, rungs: Rungs, others: Rungs) -> Array:
    """What the scores at two rungs have in common beyond what all have: (n, m)."""
    return np.asarray(growth[np.minimum(rungs[:, None], others[None, :])])


def log_improvement(mean: Array, sd: Array, best: float) -> Array:
    """ln E[max(0, score − best)] for normal scores; exact to far below where the expectation itself is zero."""
    z = (np.asarray(mean) - best) / sd
    density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        near = np.log(np.exp(density) + z * special.ndtr(z))
        # φ(z) + zΦ(z) = φ(z) (1 + z Φ(z)/φ(z)), and Φ(z)/φ(z) = √(π/2) erfcx(−z/√2)
        middle = density + np.log1p(z * np.sqrt(np.pi / 2) * special.erfcx(-z / np.sqrt(2)))
        far = density - 2 * np.log(np.abs(z))
    return np.asarray(np.log(sd) + np.where(z > -1, near, np.where(z > -1e4, middle, far)))
