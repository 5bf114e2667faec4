"""The shapes a data curve may have, each a grid of shape parameters with a few linear coefficients.

    saturating    a − b · (u0 − u)₊^p                         constant from n0 on
    power law     a − b · (n + d)^(−c)      (c = 0: log)      four parameters
    sigmoid       a − b / (1 + (n / h)^q)                 Morgan–Mercer–Flodin: slow start, rise, level
    peaked        a − b · (u0 − u)₊^p − e · (u − u1)₊^p       up to n0, level to n1, down from there
                  or with the rise of the sigmoid, so that a slow start does not speak against a peak

u = ln(1 + n / s), s the smallest size trained on, so that no training at all has its place on the axis; p is 1 or 2;
(x)₊ is x where positive, else 0. Given the shape parameters, each is linear in a, b, e.

Notable choices
- No sign is assumed for b or e: every family can fall as well as rise.
- Shape parameters lie on a fixed grid, so that a fit is a weighted sum over the grid: no start values, no local
  optimum, the same answer every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recollect.experiments.curve.items import Floats

FamilyName = Literal["saturating", "power law", "sigmoid", "peaked"]
FAMILIES: tuple[FamilyName, ...] = ("saturating", "power law", "sigmoid", "peaked")
_EXPONENTS = np.asarray([0.0, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.3, 1.8, 2.5])
_SHIFTS = np.asarray([0.05, 0.15, 0.4, 1.0, 2.5, 6.0, 15.0])
_STEEPNESS = (1.5, 2.2, 3.5, 6.0)
_HALVES = 14
_BENDS = 36
_PEAK_BENDS = 15


@dataclass(frozen=True)
class Shape:
    """One point of a family's grid."""

    family: FamilyName
    parameters: tuple[float, ...]
    """saturating: n0, p. power law: c, d. sigmoid: h, q. peaked: n0, n1, p, or h, q, n1, p with a sigmoid rise."""


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
