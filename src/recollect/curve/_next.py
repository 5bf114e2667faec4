"""Which sizes to run next: those where the possible verdicts disagree most, measured against the noise.

Notable choices
- Candidates: one more round of repeats at each measured size, the middle (on the log axis) of each gap that is wider
  than a factor of 1.5, and twice the largest size.
- A candidate's worth is the variance of the expected score between the possible verdicts, over the variance within
  them plus the noise of one round of repeats there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recollect.curve._fit import CurveFit
from recollect.curve._items import Floats
from recollect.curve._noise import Noise

COUNT = 2
_WIDE = 1.5
_ROUND = 2.0  # repeats in one round, for weighing candidates


@dataclass(frozen=True)
class Next:
    """A size worth running."""

    size: int
    why: str


def next_sizes(
    name: str, fit: CurveFit, noise: Noise, places: Floats, curves: Floats, kind: np.ndarray, most: int | None
) -> tuple[Next, ...]:
    """Sizes worth running after the verdict `name`: none when it is saturated or peaked.

    `curves` holds draws at `places`, then at twice and four times the largest size; `kind` is each draw's verdict.
    """
    largest = int(fit.sizes[-1])
    within = [n for n in (2 * largest, 4 * largest) if most is None or n <= most]
    if name == "rising":
        if within:
            return tuple(Next(n, "the curve still rises") for n in within)
        if most is not None and most > largest:
            return (Next(most, "the curve still rises, and this is all there is"),)
        return ()
    if name != "undecided":
        return ()
    worth = []
    for size, why in _candidates(fit, most):
        column = len(places) if size > largest else int(np.argmin(np.abs(places - size)))
        worth.append((_worth(curves[:, column], kind, _run_variance(fit, noise, size) / _ROUND), -size, why))
    worth.sort(reverse=True)
    return tuple(Next(-size, why) for _, size, why in worth[:COUNT])


def _candidates(fit: CurveFit, most: int | None) -> list[tuple[int, str]]:
    sizes = [int(n) for n in fit.sizes]
    found = [(n, "more repeats there") for n in sizes if n > 0]
    for first, second in pairwise(sizes):
        if first > 0 and second / first > _WIDE:
            found.append((round((first * second) ** 0.5), f"between {first:,} and {second:,}"))
    if most is None or 2 * sizes[-1] <= most:
        found.append((2 * sizes[-1], "beyond the largest size"))
    return found


def _run_variance(fit: CurveFit, noise: Noise, size: int) -> float:
    nearest = int(np.abs(np.log1p(fit.sizes) - np.log1p(size)).argmin())
    return float(noise.run_variance[nearest])


def _worth(scores: Floats, kind: np.ndarray, noise: float) -> float:
    between = within = 0.0
    for one in np.unique(kind):
        here = scores[kind == one]
        between += len(here) * (here.mean() - scores.mean()) ** 2
        within += len(here) * here.var()
    return float(between / (within + len(scores) * noise + 1e-12))
