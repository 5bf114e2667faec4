"""Curves that fit the size means: a weighted sum over all shapes of all families, and draws from it.

For one shape the score is linear in its coefficients, so with normal errors and a wide normal prior everything is in
closed form: how well the shape explains the means, and what it predicts for a size that is left out (Rasmussen and
Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.30 and 5.12).

Notable choices
- No verdict and no measured gain rests on a fit: fits are drawn, and carry the curve on to twice its largest size.
- A family that misses a measured mean by more than the interval of that mean is not used. A fit that passes through all
  others may still be wrong about the one size that matters.
- Families are weighed by how well they explain all means (marginal likelihood). Their error on left-out sizes is stated
  beside it; alone it would choose, after a steep rise, whichever family misses the rise least.
- Within a family, shapes are weighed by how well they explain the means.
- The spread between runs is itself uncertain when there are few: five multiples of it stand for its distribution.
- No curve follows a formula exactly: every size mean is allowed a third of the margin on top of its noise
  (tuned on simulated curves of other shapes, benchmarks/curve_verdicts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recollect.experiments.curve.families import FAMILIES, FamilyName, Grid, Shape, make_grid
from recollect.experiments.curve.items import Floats, Ints
from recollect.experiments.curve.noise import Noise

SHAPE_ERROR = 0.35  # of the margin
_SCALES = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles of the run variance
_SEED = 20_240_601


@dataclass(frozen=True)
class FamilyFit:
    """One family on these size means."""

    name: FamilyName
    error: float
    """Root mean square error of the prediction for a left-out size, in score units."""
    weight: float
    """Share among the families that are used, by marginal likelihood; 0 for one that misses a mean."""
    misses: int | None
    """The size whose measured mean it misses most beyond its interval; None when it passes through all."""
    shape: Shape
    """The shape that explains the means best."""
    coefficients: tuple[float, ...]
    """a, b (and e) of that shape, with each column scaled to at most 1 within the range."""


class CurveFit:
    """All families fitted to the size means of one curve; `draws` gives curves that could have made them."""

    def __init__(self, sizes: Ints, means: Floats, noise: Noise, margin: float, reach: Floats) -> None:
        """`reach` is how far a fit may lie off each mean, at least the error every size is allowed."""
        from scipy import stats

        self.sizes, self.margin = sizes, margin
        self._reach = np.maximum(reach, SHAPE_ERROR * margin)
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
        self._choose()

    def _design(self, n: Floats) -> Floats:
        columns = self.grid.columns(n)
        return np.concatenate([np.ones((*columns.shape[:2], 1)), columns], axis=2)

    def _weigh(self) -> None:
        """Weights of (shape, scale) pairs in their family, its likelihood, and its error on left-out sizes."""
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
        evidence, self.errors, inside = [], [], np.zeros(whole.shape)
        for at in range(len(FAMILIES)):
            here = family == at
            total = special.logsumexp(whole[here])
            without = whole[here][..., None] - single[here]
            evidence.append(total - np.log(here.sum()))
            share = special.softmax(without, axis=(0, 1))
            self.errors.append(float(np.sqrt(((share * residual[here]).sum(axis=(0, 1)) ** 2).mean())))
            inside[here] = np.exp(whole[here] - total)
        self._evidence, self._inside, self._family = np.asarray(evidence), inside, family

    def _choose(self) -> None:
        """Leave out the families that miss a measured mean, and weigh the others."""
        from scipy import special

        off = np.asarray(list(self.mean_curves(self.sizes.astype(np.float64)).values())) - self._y - self.centre
        beyond = np.abs(off) - self._reach
        self.misses = [int(self.sizes[row.argmax()]) if row.max() > 0 else None for row in beyond]
        self.passing = np.asarray([one is None for one in self.misses])
        self.weights = np.zeros(len(FAMILIES))
        if self.passing.any():
            self.weights[self.passing] = special.softmax(self._evidence[self.passing])

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
                    self.misses[at],
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
        """`count` curves of the families used at the sizes `n`, by weight: draws × sizes. Needs one that is used."""
        rng = np.random.default_rng(_SEED)
        flat = (self._inside * self.weights[self._family][:, None]).ravel()
        flat /= flat.sum()
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
