"""Saturated, rising, peaked or undecided, from the measured means alone; where that begins; what to run next.

N is the largest size and m the margin; "at most" and "more than" mean that a one-sided bound at `confidence` says so.

- **peaked**: some smaller measured size scores more than m above N.
- **rising**: N scores more than m above the smallest measured size in the last doubling, N/2 to N, and above every
  smaller one: after a dip the score is only back where it was.
- **saturated**: every measured size past the last one up to N/2 scores at most m above the plateau, and neither the
  plateau nor any measured size scores more than m above N.
- **undecided**: anything else, and always where no size was trained twice: then nobody knows how far two trainings lie
  apart. A doubt names what is missing.

Notable choices
- No formula is fitted: one that foretells left-out sizes best may still miss what was measured, and between two sizes
  a formula knows nothing.
- If the curve still rises, then *every* size up to N/2 lies more than m below some later one, so their average does
  too, whatever the shape. That is why the plateau may be averaged: the sizes from N/2 down as long as they agree. A
  fall may have begun anywhere, so it has to be excluded for every size alone, and for the average.
- A peak is looked for at every size. Sizes within a factor of √2 of each other are averaged, so that a dense grid is
  not defeated by its single sizes; narrower peaks are not seen.
- A fall is claimed at the best of many sizes, so that bound is Bonferroni's; "saturated" needs all its bounds at
  once, which costs no correction (Berger, Technometrics 1982, intersection-union test).
- A size between two measured ones was never run, so an interval of sizes ends at measured ones and reaches over what
  lies between them; its value is read off a straight line on the log axis and is no more than a reading help.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recollect.core.estimates import Estimate
from recollect.core.workspace.curve import Doubt, Next, VerdictName
from recollect.experiments.curve.means import Means
from recollect.experiments.curve.observations import Floats

RESOLUTION = 2**0.5
NEXT_COUNT = 2
"""Sizes named at a time: after them the curve is judged again."""
_AGREE = 0.2  # p-value from which on sizes count as one plateau


@dataclass(frozen=True)
class Finding:
    """A verdict and, where it is undecided, its doubts."""

    name: VerdictName
    doubts: tuple[Doubt, ...] = ()


def decide(means: Means, margin: float, confidence: float) -> Finding:
    """Judge the means; see the top of this file."""
    if not means.noise.repeated:
        return Finding("undecided", (Doubt("single"),))
    falls = fall_weights(means)
    if any(means.low(fall, best_of(len(falls), confidence)) > margin for fall in falls):
        return Finding("peaked")
    half = half_index(means)
    fallen = means.scores.max() - means.scores[-1] > margin
    end = means.at(means.last)
    risen = half is not None and all(means.low(end - means.at(i), confidence) > margin for i in range(half + 1))
    if risen and not fallen:
        return Finding("rising")
    rises = _rise_weights(means)
    doubts = _rise_doubts(means, rises, half, margin, confidence)
    doubts += _fall_doubts(means, falls, margin, confidence)
    return Finding("undecided", tuple(doubts)) if doubts else Finding("saturated")


def half_of(largest: int) -> int:
    """Half of the largest size, rounded up: where its last doubling begins."""
    return (largest + 1) // 2


def half_index(means: Means) -> int | None:
    """Index of the smallest size below N that lies in the last doubling; None when there is none."""
    found = np.flatnonzero(means.sizes[:-1] >= half_of(int(means.sizes[-1])))
    return int(found[0]) if len(found) else None


def level_index(means: Means) -> int:
    """Index of the largest size up to N/2, or of the smallest size where all are larger."""
    found = np.flatnonzero(means.sizes <= half_of(int(means.sizes[-1])))
    return int(found[-1]) if len(found) else 0


def best_of(count: int, confidence: float) -> float:
    """The level of each of `count` bounds for all of them to hold together with `confidence` (Bonferroni)."""
    return 1 - (1 - confidence) / count


def fall_weights(means: Means) -> list[Floats]:
    """For every size below N: the mean around it minus the mean at N."""
    return [means.at(*_around(means, i, 0, means.last)) - means.at(means.last) for i in range(means.last)]


def _around(means: Means, index: int, first: int, end: int) -> list[int]:
    """Indices from `first` up to `end` (exclusive) of sizes within the resolution of the one at `index`."""
    size = means.sizes[index]
    return [i for i in range(first, end) if size <= RESOLUTION * means.sizes[i] and means.sizes[i] <= RESOLUTION * size]


def plateau(means: Means) -> list[int]:
    """Indices from the largest size up to N/2 downwards, as long as their means agree (chi-squared test)."""
    from scipy import stats

    level = level_index(means)
    covariance, found = means.noise.covariance(), [level]
    for index in range(level - 1, -1, -1):
        here = [index, *found]
        step = np.diff(np.eye(len(here)), axis=0)
        off = step @ means.scores[here]
        spread = step @ covariance[np.ix_(here, here)] @ step.T
        distance = float(off @ np.linalg.pinv(spread) @ off) if off.any() else 0.0
        if stats.chi2.sf(distance, len(found)) < _AGREE:
            break
        found = here
    return found


def _rise_weights(means: Means) -> dict[int, Floats]:
    """For every size past N/2: the mean around it minus the plateau's."""
    level, low = level_index(means), means.at(*plateau(means))
    later = range(level + 1, means.last)
    found = {k: means.at(*_around(means, k, level + 1, means.last)) - low for k in later}
    return found | {means.last: means.at(means.last) - low}


def _rise_doubts(
    means: Means, rises: dict[int, Floats], half: int | None, margin: float, confidence: float
) -> list[Doubt]:
    """The rise that is not excluded, if any; a gap where it was measured but N/2 was not."""
    highs = {k: means.high(rise, confidence) for k, rise in rises.items()}
    last = max(highs, key=lambda k: highs[k])
    if highs[last] <= margin:
        return []
    level = level_index(means)
    measured = half is not None and level >= half
    if half is not None and means.scores[-1] - means.scores[half] > margin:
        return [_doubt("rise", means, int(means.scores[: half + 1].argmax()), means.last, confidence)]
    if half is None or (not measured and means.scores[last] - means.scores[level] > margin):
        return [_doubt("gap", means, level, last if half is None else half, confidence)]
    return [_doubt("rise", means, level, last, confidence)]


def _fall_doubts(means: Means, falls: list[Floats], margin: float, confidence: float) -> list[Doubt]:
    """The fall that is not excluded, if any: from a single size, or from the plateau together."""
    together = means.at(*plateau(means)) - means.at(means.last)
    if max(means.high(fall, confidence) for fall in (*falls, together)) <= margin:
        return []
    first = int(np.argmax([means.high(fall, confidence) for fall in falls]))
    return [_doubt("fall", means, first, means.last, confidence)]


def _doubt(kind: Literal["rise", "fall", "gap"], means: Means, first: int, last: int, confidence: float) -> Doubt:
    change = means.interval(means.at(last) - means.at(first), confidence)
    return Doubt(kind, int(means.sizes[first]), int(means.sizes[last]), change)


def next_sizes(finding: Finding, means: Means, most: int | None) -> tuple[Next, ...]:
    """Sizes worth running after a finding: none when it is saturated or peaked; `most` is how many examples there are.

    A rising curve is to be carried on, to twice and four times its largest size. A size that was run already is named
    for more repeats. At most `NEXT_COUNT`, except where every size lacks repeats.
    """
    largest = int(means.sizes[-1])
    if finding.name == "rising":
        within = [n for n in (2 * largest, 4 * largest) if most is None or n <= most]
        if not within and most is not None and most > largest:
            return (Next(most, "the curve still rises, and this is all there is"),)
        return tuple(Next(n, "the curve still rises") for n in within)
    found: dict[int, Next] = {}
    for doubt in finding.doubts:
        for one in _resolving(doubt, means):
            found.setdefault(one.size, one)
    single = any(doubt.kind == "single" for doubt in finding.doubts)
    return tuple(found.values()) if single else tuple(found.values())[:NEXT_COUNT]


def _resolving(doubt: Doubt, means: Means) -> list[Next]:
    largest = int(means.sizes[-1])
    if doubt.kind == "single":
        return [Next(int(n), "another seed there") for n in means.sizes if n > 0]
    if doubt.kind == "gap":
        half = half_of(largest)
        return [Next(half, f"half of {largest:,}, so that the last doubling is measured")]
    return [Next(n, "more repeats there") for n in (doubt.last, doubt.first) if n > 0]


def saturation(means: Means, finding: Finding, margin: float, confidence: float) -> Estimate:
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
    return _sized(means, value, sizes[low], sizes[high], confidence)


def best(means: Means, confidence: float) -> Estimate:
    """The best measured size, with the smallest and largest that may be as good."""
    top, level = int(means.scores.argmax()), (1 + confidence) / 2
    near = [i for i in range(len(means.sizes)) if i == top or _rise(means, i, top, level, lower=True) <= 0]
    return _sized(means, float(means.sizes[top]), means.sizes[near[0]], means.sizes[near[-1]], confidence)


def hurts(means: Means, margin: float, confidence: float) -> Estimate:
    """The size of a peaked curve from which on every score lies more than the margin below the best."""
    top, last, level = int(means.scores.argmax()), means.last, (1 + confidence) / 2
    surely = [-_rise(means, top, k, level) > margin for k in range(last + 1)]
    high = last
    while high - 1 > top and surely[high - 1]:
        high -= 1
    near = [k for k in range(top, high) if -_rise(means, top, k, level, lower=True) <= margin]
    value = _crossing(means, float(means.scores.max()) - margin, rising=False)
    return _sized(means, value, means.sizes[max(near, default=top)], means.sizes[high], confidence)


def loss(means: Means, confidence: float) -> Estimate:
    """How far N lies below the best measured size; the interval allows for having picked that size."""
    top = int(means.scores.argmax())
    if top == means.last:
        return means.interval(np.zeros(len(means.sizes)), confidence)
    weights, level = means.at(top) - means.at(means.last), best_of(means.last, (1 + confidence) / 2)
    low, high = max(0.0, means.low(weights, level)), means.high(weights, level)
    return replace(means.interval(weights, confidence), low=low, high=high)


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


def _sized(means: Means, value: float, low: float, high: float, confidence: float) -> Estimate:
    """A size between two measured ones; n counts those that were run."""
    inside = float(np.clip(value, low, high))
    return Estimate(inside, float(low), float(high), len(means.sizes), "measured sizes", confidence)
