"""Interpolation between base and tuned (WiSE-FT): the plainest way to take back a part of the change.

A restored model is compared with the interpolation that keeps a change of the same length. If that does as well, the
gain is due to the smaller change, not to the choice of weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

F32 = np.ndarray[Any, np.dtype[np.float32]]


def length_share(kept: float, full: float) -> float:
    """Length of the kept change over that of the full one (both given as sums of squares); 1 when nothing changed.

    It is also the alpha of the interpolation that keeps a change of the same length.
    """
    return math.sqrt(kept / full) if full > 0 else 1.0


def interpolate(base: F32, tuned: F32, alpha: float) -> F32:
    """base + alpha * (tuned - base), exactly base at 0 and exactly tuned at 1."""
    change = tuned - base
    if alpha < 0.5:
        return base + np.float32(alpha) * change
    return tuned - np.float32(1 - alpha) * change
