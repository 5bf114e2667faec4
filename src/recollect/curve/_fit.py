"""Curves that fit the size means: a weighted sum over all shapes of all families, and draws from it.

For one shape the score is linear in its coefficients, so with normal errors and a wide normal prior everything is in
closed form: how well the shape explains the means, and what it predicts for a size that is left out (Rasmussen and
Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.30 and 5.12).

Notable choices
- Families are weighed by their leave-one-size-out predictive density, so a family gains nothing from fitting what it
  was shown. Five or eight left-out sizes are few, so the sum over them is bootstrapped (pseudo-BMA+ of Yao, Vehtari,
  Simpson and Gelman, Bayesian Analysis 2018); without that, one lucky size can silence a family.
- Within a family, shapes are weighed by how well they explain the means.
- The spread between runs is itself uncertain when there are few: five multiples of it stand for its distribution.
- No curve follows a formula exactly: every size mean is allowed a third of the margin on top of its noise
  (tuned on simulated curves of other shapes, benchmarks/curve_verdicts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recollect.curve._families import FAMILIES, FamilyName, Grid, Shape, make_grid
from recollect.curve._items import Floats, Ints
from recollect.curve._noise import Noise

SHAPE_ERROR = 0.35  # of the margin
_SCALES = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles of the run variance
_WEIGHT_DRAWS = 1000
_SEED = 20_240_601


@dataclass(frozen=True)
class FamilyFit:
    """One family on these size means."""

    name: FamilyName
    error: float
    """Root mean square error of the prediction for a left-out size, in score units."""
    weight: float
    """Share among the families, by leave-one-size-out predictive density."""
    shape: Shape
    """The shape that explains the means best."""
    coefficients: tuple[float, ...]
    """a, b (and e) of that shape, with each column scaled to at most 1 within the range."""


class CurveFit:
    """All families fitted to the size means of one curve; `draws` gives curves that could have made them."""

    def __init__(self, sizes: Ints, means: Floats, noise: Noise, margin: float) -> None:
        from scipy import stats

        self.sizes, self.margin = sizes, margin
        self.grid: Grid = make_grid([int(n) for n in sizes])
        self.centre = float(means.mean())
        self._y = means - self.centre
        amplitude = max(float(np.ptp(means)), margin)
        self._prior = np.asarray([(3 * amplitude) ** 2, amplitude**2, amplitude**2])
        self._x = self._design(sizes.astype(np.float64))
        scales = [noise.freedom / stats.chi2.ppf(q, noise.freedom) for q in reversed(_SCALES)]
        floor = (SHAPE_ERROR * margin) ** 2 * np.eye(len(sizes))
        self._noise = np.asarray([noise.covariance(float(scale)) + floor for scale in scales])
        self._weigh()
        self._solve()

    def _design(self, n: Floats) -> Floats:
        columns = self.grid.columns(n)
        return np.concatenate([np.ones((*columns.shape[:2], 1)), columns], axis=2)

    def _weigh(self) -> None:
        """Weights of (shape, scale) pairs, and each family's leave-one-size-out record."""
        from scipy import special

        signal = np.einsum("gjc,c,gkc->gjk", self._x, self._prior, self._x)
        covariance = signal[:, None] + self._noise[None]
        inverse = np.linalg.inv(covariance)
        alpha = inverse @ self._y
        whole = -0.5 * (alpha @ self._y + np.linalg.slogdet(covariance)[1])
        variance = 1 / np.diagonal(inverse, axis1=2, axis2=3)
        residual = alpha * variance
        single = -0.5 * (residual**2 / variance + np.log(variance))
        family = np.asarray([FAMILIES.index(shape.family) for shape in self.grid.shapes])
        density, self.errors, inside = [], [], np.zeros(whole.shape)
        for at in range(len(FAMILIES)):
            here = family == at
            total = special.logsumexp(whole[here])
            without = whole[here][..., None] - single[here]
            density.append(total - special.logsumexp(without, axis=(0, 1)))
            share = special.softmax(without, axis=(0, 1))
            self.errors.append(float(np.sqrt(((share * residual[here]).sum(axis=(0, 1)) ** 2).mean())))
            inside[here] = np.exp(whole[here] - total)
        self.weights = _family_weights(np.asarray(density))
        self._shares = inside * self.weights[family][:, None]
        self._inside, self._family = inside, family

    def families(self) -> list[FamilyFit]:
        """Every family's record, in the order of `FAMILIES`."""
        found = []
        for at, name in enumerate(FAMILIES):
            shares = np.where((self._family == at)[:, None], self._inside, -1.0)
            shape, scale = np.unravel_index(int(shares.argmax()), shares.shape)
            mean = self._mean[shape, scale]
            count = 3 if name == "peaked" else 2
            coefficients = (mean[0] + self.centre, *mean[1:count])
            found.append(
                FamilyFit(
                    name,
                    self.errors[at],
                    float(self.weights[at]),
                    self.grid.shapes[shape],
                    tuple(float(value) for value in coefficients),
                )
            )
        return found

    def _solve(self) -> None:
        """Mean and covariance of the coefficients of every (shape, scale)."""
        weighted = np.einsum("gjc,sjk->gsck", self._x, np.linalg.inv(self._noise))
        precision = np.diag(1 / self._prior) + np.einsum("gsck,gkd->gscd", weighted, self._x)
        self._covariance = np.linalg.inv(precision)
        self._mean = np.einsum("gscd,gsdk,k->gsc", self._covariance, weighted, self._y)

    def draws(self, n: Sequence[float] | Floats, count: int = 4000) -> Floats:
        """`count` curves at the sizes `n`, each in proportion to its weight: draws × sizes."""
        rng = np.random.default_rng(_SEED)
        flat = self._shares.ravel() / self._shares.sum()
        shape, scale = np.divmod(np.sort(rng.choice(len(flat), size=count, p=flat)), len(_SCALES))
        normal = rng.standard_normal((count, 3, 1))
        off = (np.linalg.cholesky(self._covariance[shape, scale]) @ normal)[..., 0]
        coefficients = self._mean[shape, scale] + off
        design = self._design(np.asarray(n, dtype=np.float64))
        curves = np.empty((count, design.shape[1]))
        for one in np.unique(shape):
            here = shape == one
            curves[here] = coefficients[here] @ design[one].T
        return curves + self.centre

    def mean_curves(self, n: Floats) -> dict[FamilyName, Floats]:
        """The mean curve of each family at sizes `n`, for drawing."""
        design = self._design(n)
        coefficients = np.einsum("gs,gsc->gc", self._inside, self._mean)
        return {
            name: np.einsum("gnc,gc->n", design[self._family == at], coefficients[self._family == at]) + self.centre
            for at, name in enumerate(FAMILIES)
        }


def _family_weights(density: Floats) -> Floats:
    """Weights of the families from their log densities of left-out sizes: families × sizes."""
    from scipy import special

    count = density.shape[1]
    often = np.random.default_rng(_SEED).dirichlet(np.ones(count), size=_WEIGHT_DRAWS) * count
    found: Floats = special.softmax(often @ density.T, axis=1).mean(axis=0)
    return found
