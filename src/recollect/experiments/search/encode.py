"""A space's points as numbers for a model, and back.

Notable choices
- A point is first a place in the unit cube, one coordinate per setting (logarithmic where the range is), so that Sobol
  points and local steps are the same for numbers and choices. From there it becomes features: numbers as they are,
  options without an order as one column each.
- Two options without an order are as far apart as the two ends of a range.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recollect.experiments.search.parameters import Choice, Float, Int, Parameter
from recollect.experiments.search.space import Space

Array = NDArray[np.float64]


class Encoder:
    """Places in the unit cube and features of the points of a space without conditions. A fixed setting takes no
    part."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.names = [name for name, parameter in space.parameters.items() if _count(parameter) > 1]
        self._parameters = [space.parameters[name] for name in self.names]

    @property
    def dims(self) -> int:
        """Coordinates of a place."""
        return len(self.names)

    def place(self, values: Mapping[str, Any]) -> Array:
        """The place of a point; of a choice or a whole number the middle of its share of the range."""
        return np.asarray([_place(p, values[name]) for name, p in zip(self.names, self._parameters, strict=True)])

    def values(self, place: Array) -> dict[str, Any]:
        """The point at a place, caps kept."""
        at = dict(zip(self.names, place.tolist(), strict=True))
        return {
            name: self._space.clip_one(name, value_at(parameter, at.get(name, 0.5)))
            for name, parameter in self._space.parameters.items()
        }

    def features(self, places: Array) -> Array:
        """Features (n, f) of places (n, dims), rounded as the points themselves are."""
        columns: list[Array] = []
        for at, parameter in zip(places.T, self._parameters, strict=True):
            if isinstance(parameter, Float):
                columns.append(at)
                continue
            count = _count(parameter)
            if isinstance(parameter, Int):
                columns.append(at)  # the grid is checked by `values`; between its points the model is smooth
            elif parameter.numeric:
                columns.append(np.minimum(np.floor(at * count), count - 1) / (count - 1))
            else:
                chosen = np.minimum(np.floor(at * count), count - 1)[:, None] == np.arange(count)[None, :]
                columns.extend((chosen / np.sqrt(2)).T)
        return np.column_stack(columns) if columns else np.zeros((len(places), 0))


def _count(parameter: Parameter) -> float:
    """Number of values; infinite for a range of numbers."""
    if isinstance(parameter, Choice):
        return len(parameter.options)
    if isinstance(parameter, Int):
        return (parameter.high - parameter.low) // parameter.step + 1
    return math.inf if parameter.high > parameter.low else 1


def count(space: Space) -> float:
    """Number of points of a space, conditions not counted off; infinite when it has a range of numbers."""
    return math.prod(_count(parameter) for parameter in space.parameters.values())


def points(space: Space, most: int = 4096) -> list[dict[str, Any]] | None:
    """All points of a space, caps and conditions kept; None when there are more than `most`."""
    if count(space) > most:
        return None
    ranges = [
        parameter.options if isinstance(parameter, Choice) else _grid(parameter)
        for parameter in space.parameters.values()
    ]
    found: list[dict[str, Any]] = []
    seen: set[tuple[tuple[str, Any], ...]] = set()
    for combination in itertools.product(*ranges):
        point = space.clip(dict(zip(space.parameters, combination, strict=True)))
        key = tuple(point.items())
        if key not in seen:
            seen.add(key)
            found.append(point)
    return found


def _grid(parameter: Float | Int) -> Sequence[float]:
    return [parameter.low] if isinstance(parameter, Float) else range(parameter.low, parameter.high + 1, parameter.step)


def _order(parameter: Choice) -> Sequence[Any]:
    return sorted(parameter.options, key=float) if parameter.numeric else parameter.options


def _place(parameter: Parameter, value: Any) -> float:
    if isinstance(parameter, Choice):
        options = list(_order(parameter))
        return (options.index(value) + 0.5) / len(options)
    low, high, at = float(parameter.low), float(parameter.high), float(value)
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


def value_at(parameter: Parameter, place: float) -> Any:
    if isinstance(parameter, Choice):
        options = _order(parameter)
        return options[min(int(place * len(options)), len(options) - 1)]
    low, high = float(parameter.low), float(parameter.high)
    number = math.exp(math.log(low) + place * math.log(high / low)) if parameter.log else low + place * (high - low)
    return parameter.clip(number)
