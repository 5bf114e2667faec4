"""Saturated, rising, peaked or undecided, from the measured means alone.

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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recollect.experiments.curve.contrast import Means, Value
from recollect.experiments.curve.items import Floats

VerdictName = Literal["saturated", "rising", "peaked", "undecided"]
RESOLUTION = 2**0.5
_AGREE = 0.2  # p-value from which on sizes count as one plateau


@dataclass(frozen=True)
class Doubt:
    """Why no verdict is given: what may have happened from size `first` to size `last`."""

    kind: Literal["rise", "fall", "gap", "single"]
    """A rise or fall over the margin is not excluded; N/2 lies in a gap in which the score rose or may have risen; no
    size was trained twice."""
    first: int = 0
    last: int = 0
    change: Value | None = None


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
