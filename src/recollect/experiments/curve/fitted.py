"""What the fits add to the measured means: the drawn curve, and what twice the data would bring.

No verdict and no measured gain comes from here. Where every family misses a measured mean there is nothing to add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recollect.experiments.curve.contrast import Means, Value
from recollect.experiments.curve.fit import SHAPE_ERROR, CurveFit, FamilyFit
from recollect.experiments.curve.items import Floats

_POINTS = 120
_SEED = 20_250_516


@dataclass(frozen=True)
class Band:
    """The fitted curve over the range: sizes, and the middle and ends of the score there."""

    sizes: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Fitted:
    """All families, and what those that pass through the means say together."""

    families: tuple[FamilyFit, ...]
    curves: Mapping[str, tuple[float, ...]]
    """The mean curve, at the band's sizes, of each family that is used."""
    band: Band | None
    """None when no family is used."""
    double: Value | None
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


def _double(now: Floats, then: Floats, margin: float, tail: float, limits: tuple[float, float]) -> Value:
    """Both ends may lie off the fitted curve, by the error that the fit allows for, but not beyond the limits."""
    off = 2**0.5 * SHAPE_ERROR * margin * np.random.default_rng(_SEED).standard_normal(len(then))
    gain = np.clip(then + off, *limits) - now
    low, middle, high = np.quantile(gain, [tail, 0.5, 1 - tail])
    return Value(float(middle), float(low), float(high))


def _places(fit: CurveFit) -> Floats:
    """Sizes evenly on the log axis, and all measured ones."""
    unit = fit.grid.unit
    low, high = (np.log1p(n / unit) for n in (fit.grid.smallest, fit.grid.largest))
    even = unit * np.expm1(np.linspace(low, high, _POINTS))
    return np.unique(np.concatenate([even[1:-1], fit.sizes.astype(np.float64)]))
