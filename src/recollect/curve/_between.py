"""What a curve may do between two measured sizes: anywhere from an early rise to a late one.

Two neighbouring sizes say how far the score moved, but not where in between; a formula that fits at the sizes says so
with false certainty. So each draw's curve is run through early or late: with t the place in the gap, from 0 to 1 on the
log axis, it takes the value it had at t^γ, ln γ normal with deviation `bend`, drawn anew for every gap and draw.

Notable choices
- The ends of a gap stay, and values between them are only moved along: a gap gets no rise, dip or peak that its curve
  did not have, and a level stretch stays level.
- How far to move is learned from the sizes themselves: where the families miss left-out sizes by a fifth of the
  curve's height or more, `bend` is `MOST_BEND`; where they foretell them, it goes to 0. Both numbers are our choice,
  tuned on simulated curves whose steps come one after the other (benchmarks/curve_verdicts.py).
"""

from __future__ import annotations

import itertools

import numpy as np

from recollect.curve._items import Floats, Ints

MOST_BEND = 0.6
UNFORESEEN = 0.2  # of the curve's height
_SEED = 20_250_707


def bend_of(error: float, height: float) -> float:
    """How far curves of this height may run early or late when left-out sizes are missed by `error`."""
    return MOST_BEND * min(1.0, error / (UNFORESEEN * height))


def early_or_late(places: Floats, at: Floats, sizes: Ints, curves: Floats, bend: float) -> Floats:
    """The curves (draws × places), each run through early or late between the measured `sizes`.

    `places` ascend and hold all sizes; `at` is where they lie on the log axis.
    """
    rng = np.random.default_rng(_SEED)
    found = curves.copy()
    ends = np.searchsorted(places, sizes)
    for first, last in itertools.pairwise(ends):
        gamma = np.exp(bend * rng.standard_normal((len(curves), 1)))
        t = (at[first : last + 1] - at[first]) / (at[last] - at[first])
        moved = t[None, 1:-1] ** gamma
        right = np.clip(np.searchsorted(t, moved), 1, len(t) - 1)
        share = (moved - t[right - 1]) / (t[right] - t[right - 1])
        gap = curves[:, first : last + 1]
        low, high = (np.take_along_axis(gap, index, axis=1) for index in (right - 1, right))
        found[:, first + 1 : last] = low + share * (high - low)
    return found
