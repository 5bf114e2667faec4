"""What fits add to the measured means: the drawn curve, and what twice the data would bring.

    saturating    a − b · (u0 − u)₊^p                         constant from n0 on
    power law     a − b · (n + d)^(−c)      (c = 0: log)      four parameters
    sigmoid       a − b / (1 + (n / h)^q)                 Morgan–Mercer–Flodin: slow start, rise, level
    peaked        a − b · (u0 − u)₊^p − e · (u − u1)₊^p       up to n0, level to n1, down from there
                  or with the rise of the sigmoid, so that a slow start does not speak against a peak

u = ln(1 + n / s), s the smallest size trained on, so that no training at all has its place on the axis; p is 1 or 2;
(x)₊ is x where positive, else 0. Given the shape parameters each is linear in its coefficients a, b, e, so with normal
errors and a wide normal prior everything is in closed form: how well the shape explains the means, and what it predicts
for a size that is left out (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.30 and 5.12).

Notable choices
- No verdict and no measured gain rests on a fit: fits are drawn, and carry the curve on to twice its largest size.
- A family that misses a measured mean by more than the interval of that mean is not used. A fit that passes through all
  others may still be wrong about the one size that matters. Where every family misses one there is nothing to add.
- Families are weighed by how well they explain all means (marginal likelihood). Their error on left-out sizes is stated
  beside it; alone it would choose, after a steep rise, whichever family misses the rise least. So are the shapes of
  a family.
- No sign is assumed for b or e: every family can fall as well as rise.
- Shape parameters lie on a fixed grid, so that a fit is a weighted sum over the grid: no start values, no local
  optimum, the same answer every time.
- The spread between runs is itself uncertain when there are few: five multiples of it stand for its distribution.
- No curve follows a formula exactly: every size mean is allowed a third of the margin on top of its noise
  (tuned on simulated curves of other shapes, benchmarks/curve_verdicts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recollect.core.estimates import Estimate
from recollect.core.workspace.curve import Band, FamilyFit, FamilyName, Shape
from recollect.experiments.curve.means import Means, Noise
from recollect.experiments.curve.observations import Floats, Ints

FAMILIES: tuple[FamilyName, ...] = ("saturating", "power law", "sigmoid", "peaked")
_EXPONENTS = np.asarray([0.0, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.3, 1.8, 2.5])
_SHIFTS = np.asarray([0.05, 0.15, 0.4, 1.0, 2.5, 6.0, 15.0])
_STEEPNESS = (1.5, 2.2, 3.5, 6.0)
_HALVES = 14
_BENDS = 36
_PEAK_BENDS = 15
SHAPE_ERROR = 0.35  # of the margin
_SCALES = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles of the run variance
_SEED, _GAIN_SEED = 20_240_601, 20_250_516
_POINTS = 120


@dataclass(frozen=True)
class Grid:
    """All shapes for sizes from 0 (or the smallest) to `largest`; `unit` is the smallest size trained on."""

    shapes: tuple[Shape, ...]
    smallest: float
    largest: float
    unit: float

    def columns(self, n: Floats) -> Floats:
        """The columns of b and e at sizes `n`: shapes × sizes × 2, each at most 1 in size within the range."""
        inside = np.linspace(self._place(self.smallest), self._place(self.largest), 60)
        both = np.concatenate([n, self.unit * np.expm1(inside)])
        found = np.zeros((len(self.shapes), len(n), 2))
        for at, shape in enumerate(self.shapes):
            for column, values in enumerate(self._values(shape, both)):
                top = np.abs(values[len(n) :]).max()
                found[at, :, column] = values[: len(n)] / (top if top > 0 else 1.0)
        return found

    def _place(self, n: Floats | float) -> Floats:
        return np.log1p(np.asarray(n, dtype=np.float64) / self.unit)

    def _values(self, shape: Shape, n: Floats) -> Sequence[Floats]:
        if shape.family == "power law":
            c, d = shape.parameters
            start = self.smallest + d
            return [np.log((n + d) / start) if c == 0 else 1 - ((n + d) / start) ** -c]
        if shape.family == "sigmoid":
            return [self._sigmoid(n, shape)]
        u, power = self._place(n), shape.parameters[-1]
        rise = -(np.maximum(0.0, self._place(shape.parameters[0]) - u) ** power)
        if shape.family == "saturating":
            return [rise]
        fall = -(np.maximum(0.0, u - self._place(shape.parameters[-2])) ** power)
        return [self._sigmoid(n, shape) if len(shape.parameters) == 4 else rise, fall]

    def _sigmoid(self, n: Floats, shape: Shape) -> Floats:
        half, steepness = shape.parameters[:2]
        found: Floats = -1 / (1 + (n / half) ** steepness)
        return found


def make_grid(sizes: Sequence[int]) -> Grid:
    """The grid for curves measured at `sizes` (at least two different ones)."""
    positive = [n for n in sizes if n > 0]
    unit = float(min(positive))
    grid = Grid((), float(min(sizes)), float(max(sizes)), unit)
    low, high = float(grid._place(grid.smallest)), float(grid._place(grid.largest))
    shapes = [
        Shape("saturating", (_size(u, unit), power))
        for power in (1.0, 2.0)
        for u in np.linspace(low, high, _BENDS + 1)[1:]
    ]
    shapes += [Shape("power law", (float(c), float(d * unit))) for c in _EXPONENTS for d in _SHIFTS]
    halves = np.linspace(low, high, _HALVES + 2)[1:-1]
    shapes += [Shape("sigmoid", (_size(u, unit), q)) for q in _STEEPNESS for u in halves]
    bends = np.linspace(low, high, _PEAK_BENDS + 2)[1:-1]
    shapes += [
        Shape("peaked", (_size(first, unit), _size(second, unit), power))
        for power in (1.0, 2.0)
        for at, first in enumerate(bends)
        for second in bends[at:]
    ]
    shapes += [
        Shape("peaked", (_size(half, unit), q, _size(bend, unit), power))
        for power in (1.0, 2.0)
        for q in _STEEPNESS[::2]
        for half in halves[::2]
        for bend in bends[::2]
        if bend > half
    ]
    return Grid(tuple(shapes), grid.smallest, grid.largest, unit)


def _size(place: float, unit: float) -> float:
    return float(unit * np.expm1(place))


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


@dataclass(frozen=True)
class Fitted:
    """All families, and what those that pass through the means say together."""

    families: tuple[FamilyFit, ...]
    curves: dict[str, tuple[float, ...]]
    """The mean curve, at the band's sizes, of each family that is used."""
    band: Band | None
    """None when no family is used."""
    double: Estimate | None
    """Expected change from the largest size to twice it, an extrapolation; None likewise."""


def fit_means(means: Means, margin: float, confidence: float, limits: tuple[float, float]) -> Fitted:
    """Fit all families; keep those that pass through every mean within its interval of this confidence."""
    level, noise = (1 + confidence) / 2, means.noise
    reach = np.asarray([means.reach(means.at(i), level) for i in range(len(means.sizes))])
    fit = CurveFit(means.sizes, means.scores, noise, margin, reach)
    families = tuple(fit.families())
    if not fit.passing.any():
        return Fitted(families, {}, None, None)
    places, largest = _places(fit), float(means.sizes[-1])
    drawn = np.clip(fit.draws([*places, 2 * largest]), *limits)
    tail = (1 - confidence) / 2
    low, middle, high = np.quantile(drawn[:, :-1], [tail, 0.5, 1 - tail], axis=0)
    band = Band(*(tuple(float(x) for x in row) for row in (places, middle, low, high)))
    used = {one.name for one in families if one.misses is None}
    curves: dict[str, tuple[float, ...]] = {
        name: tuple(float(x) for x in row) for name, row in fit.mean_curves(places).items() if name in used
    }
    return Fitted(families, curves, band, _double(drawn[:, -2], drawn[:, -1], margin, tail, limits))


def _double(now: Floats, then: Floats, margin: float, tail: float, limits: tuple[float, float]) -> Estimate:
    """Both ends may lie off the fitted curve, by the error that the fit allows for, but not beyond the limits."""
    off = 2**0.5 * SHAPE_ERROR * margin * np.random.default_rng(_GAIN_SEED).standard_normal(len(then))
    gain = np.clip(then + off, *limits) - now
    low, middle, high = np.quantile(gain, [tail, 0.5, 1 - tail])
    return Estimate(float(middle), float(low), float(high), len(then), "spread of the fits", 1 - 2 * tail)


def _places(fit: CurveFit) -> Floats:
    """Sizes evenly on the log axis, and all measured ones."""
    unit = fit.grid.unit
    low, high = (np.log1p(n / unit) for n in (fit.grid.smallest, fit.grid.largest))
    even = unit * np.expm1(np.linspace(low, high, _POINTS))
    return np.unique(np.concatenate([even[1:-1], fit.sizes.astype(np.float64)]))
