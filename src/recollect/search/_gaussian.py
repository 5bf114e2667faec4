"""A Gaussian process whose points each have their own noise, and the logarithm of its expected improvement.

Notable choices
- scikit-learn's regressor, Matérn 5/2 with a length scale per dimension; `alpha` takes the noise of each point: none
  more than the common noise for a finished trial, its forecast's variance for a paused one.
- A prior on the length scales, growing with the number of dimensions (Hvarfner, Hellsten, Nardi 2024, "Vanilla
  Bayesian optimization performs great in high dimensions"): without one, five points in eight dimensions fit anything.
- Stateless: fitted from one starting point every time, so the same trials give the same proposal after any restart.
- log EI, not EI (Ament and others 2023): it has a slope where EI has rounded to zero.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

Array = NDArray[np.float64]

_NOISE = 1e-2  # of the scores' variance: the start of the common noise


class _PriorRegressor(GaussianProcessRegressor):  # type: ignore[misc]
    """Adds the log prior of the kernel's parameters to what is maximised, and computes both for this kernel alone,
    several times faster than for any kernel."""

    def log_marginal_likelihood(self, theta: Any = None, eval_gradient: bool = False, clone_kernel: bool = True) -> Any:
        if theta is None:
            return super().log_marginal_likelihood(theta, eval_gradient, clone_kernel)
        value, gradient = _likelihood(np.asarray(theta), self._squares(), self.y_train_, self.alpha)
        dims = len(theta) - 2
        centre = np.r_[0.0, np.full(dims, np.sqrt(2) + np.log(dims) / 2), np.log(_NOISE)]
        width = np.r_[1.0, np.full(dims, np.sqrt(3)), 1.5]
        away = (np.asarray(theta) - centre) / width
        value -= 0.5 * float(away @ away)
        return (value, gradient - away / width) if eval_gradient else value

    def _squares(self) -> Array:
        """Squared differences of the points by dimension: (d, n, n)."""
        if not hasattr(self, "_squared"):
            columns = self.X_train_.T
            self._squared = (columns[:, :, None] - columns[:, None, :]) ** 2
        return cast(Array, self._squared)


def _likelihood(theta: Array, squares: Array, scores: Array, noise: Array) -> tuple[float, Array]:
    """Log marginal likelihood of s²·Matérn 5/2 + common noise + own noise, and its gradient; theta = ln(s², length
    scales, common noise). Rasmussen and Williams 2006, equations 5.8 and 5.9."""
    strength, common = np.exp(theta[0]), np.exp(theta[-1])
    inverse = np.exp(-2 * theta[1:-1])
    root = np.sqrt(5 * np.tensordot(inverse, squares, 1))
    decay = np.exp(-root)
    kernel = strength * (1 + root + root**2 / 3) * decay
    try:
        factor = linalg.cho_factor(kernel + np.diag(common + noise), lower=True)
    except linalg.LinAlgError:
        return -np.inf, np.zeros_like(theta)
    solved = linalg.cho_solve(factor, scores)
    value = -0.5 * scores @ solved - np.log(np.diag(factor[0])).sum() - 0.5 * len(scores) * np.log(2 * np.pi)
    inner = np.outer(solved, solved) - linalg.cho_solve(factor, np.eye(len(scores)))
    slope = inner * (strength * 5 / 3 * (1 + root) * decay)
    by_scale = np.tensordot(squares, slope, 2) * inverse
    gradient = 0.5 * np.r_[(inner * kernel).sum(), by_scale, common * np.trace(inner)]
    return float(value), gradient


@dataclass(frozen=True)
class Surface:
    """A fitted process over the encoded space; scores in points."""

    regressor: GaussianProcessRegressor
    points: Array
    scores: Array
    noise: Array
    middle: float
    spread: float

    @classmethod
    def fit(cls, points: Array, scores: Array, noise: Array) -> Surface:
        """points: (n, d) in 0..1; scores: (n,) in points; noise: (n,) variance of each score in points²."""
        middle, spread = float(np.mean(scores)), float(np.std(scores)) or 1.0
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
            np.full(points.shape[1], 0.5 * points.shape[1] ** 0.5), (0.05, 100.0), nu=2.5
        ) + WhiteKernel(_NOISE, (1e-5, 1.0))
        regressor = _PriorRegressor(kernel, alpha=noise / spread**2 + 1e-8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regressor.fit(points, (scores - middle) / spread)
        return cls(regressor, points, scores, noise, middle, spread)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the true score at each point, without the noise of measuring it; in points."""
        mean, sd = self.regressor.predict(points, return_std=True)
        common = float(np.exp(self.regressor.kernel_.theta[-1]))
        sd = np.sqrt(np.maximum(sd**2 - common, 1e-10))
        return self.middle + self.spread * mean, self.spread * sd

    def believing(self, points: Array) -> Surface:
        """The process as if the running trials had come out as it expects (kriging believer)."""
        if not len(points):
            return self
        believed, _ = self.predict(points)
        points, scores = np.vstack([self.points, points]), np.r_[self.scores, believed]
        noise = np.r_[self.noise, np.zeros(len(believed))]
        regressor = GaussianProcessRegressor(
            self.regressor.kernel_, alpha=noise / self.spread**2 + 1e-8, optimizer=None
        ).fit(points, (scores - self.middle) / self.spread)
        return Surface(regressor, points, scores, noise, self.middle, self.spread)

    def log_improvement(self, points: Array, best: float) -> Array:
        """Logarithm of the expected improvement over `best` at each point."""
        mean, sd = self.predict(points)
        return log_improvement(mean, sd, best)


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
