"""Where a curve saturates, is best, and begins to hurt: between which measured sizes.

A size in between was never run, so an interval ends at measured sizes and reaches over what lies between them; its
value is read off a straight line on the log axis and is no more than a reading help.
"""

from __future__ import annotations

import numpy as np

from recollect.experiments.curve.contrast import Means, Value
from recollect.experiments.curve.decide import Finding, best_of, level_index, plateau
from recollect.experiments.curve.items import Floats


def saturation(means: Means, finding: Finding, margin: float, confidence: float) -> Value:
    """The smallest n such that no larger size scores more than the margin above it: above `low`, at most `high`."""
    sizes, level, last = means.sizes, (1 + confidence) / 2, means.last
    low = 0
    while low < last and _rises_later(means, low, margin, level):
        low += 1
    enough = [j for j in range(last) if all(_rise(means, j, k, level) <= margin for k in range(j + 1, last + 1))]
    high = enough[0] if enough else last
    if finding.name == "saturated":
        high = min(high, level_index(means))
    low = min(max(low - 1, 0), high)
    top = means.value(means.at(*plateau(means))) if finding.name == "saturated" else float(means.scores.max())
    value = _crossing(means, top - margin, rising=True)
    return _value(value, sizes[low], sizes[high])


def best(means: Means, confidence: float) -> Value:
    """The best measured size, with the smallest and largest that may be as good."""
    top, level = int(means.scores.argmax()), (1 + confidence) / 2
    near = [i for i in range(len(means.sizes)) if i == top or _rise(means, i, top, level, lower=True) <= 0]
    return _value(float(means.sizes[top]), means.sizes[near[0]], means.sizes[near[-1]])


def hurts(means: Means, margin: float, confidence: float) -> Value:
    """The size of a peaked curve from which on every score lies more than the margin below the best."""
    top, last, level = int(means.scores.argmax()), means.last, (1 + confidence) / 2
    surely = [-_rise(means, top, k, level) > margin for k in range(last + 1)]
    high = last
    while high - 1 > top and surely[high - 1]:
        high -= 1
    near = [k for k in range(top, high) if -_rise(means, top, k, level, lower=True) <= margin]
    value = _crossing(means, float(means.scores.max()) - margin, rising=False)
    return _value(value, means.sizes[max(near, default=top)], means.sizes[high])


def loss(means: Means, confidence: float) -> Value:
    """How far N lies below the best measured size; the interval allows for having picked that size."""
    top = int(means.scores.argmax())
    if top == means.last:
        return Value(0.0, 0.0, 0.0)
    weights, level = means.at(top) - means.at(means.last), best_of(means.last, (1 + confidence) / 2)
    return Value(means.value(weights), max(0.0, means.low(weights, level)), means.high(weights, level))


def _rise(means: Means, first: int, second: int, level: float, lower: bool = False) -> float:
    """Upper (or lower) bound of the change from one size to another."""
    weights = means.at(second) - means.at(first)
    return means.low(weights, level) if lower else means.high(weights, level)


def _rises_later(means: Means, index: int, margin: float, level: float) -> bool:
    later = range(index + 1, means.last + 1)
    return any(_rise(means, index, k, best_of(len(later), level), lower=True) > margin for k in later)


def _crossing(means: Means, score: float, *, rising: bool) -> float:
    """The size where straight lines through the means first reach `score`, or last fall below it."""
    unit = float(means.sizes[means.sizes > 0].min())
    at = np.log1p(means.sizes / unit)
    fine: Floats = np.linspace(at[0], at[-1], 2000)
    reached = np.interp(fine, at, means.scores) >= score
    found = fine[int(reached.argmax())] if rising else fine[len(fine) - 1 - int(reached[::-1].argmax())]
    return float(unit * np.expm1(found))


def _value(value: float, low: float, high: float) -> Value:
    return Value(float(np.clip(value, low, high)), float(low), float(high))
