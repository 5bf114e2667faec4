"""Scores of change, and the whole numbers that stand for them in a ranking.

A non-negative float32 and its bits, read as a whole number, are ordered alike. So every order of weights becomes an
order of 32-bit keys, largest first, and a ranking needs counters instead of a sort.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recollect.errors import ModelError
from recollect.generate.random import _GOLDEN, _mix, text_key

F32 = np.ndarray[Any, np.dtype[np.float32]]
Keys = np.ndarray[Any, np.dtype[np.uint32]]

EPSILON = np.float32(1e-8)
"""Added to |p| in the relative change, as the authors' code does (§5); so a base weight of zero has one."""
ORDERS = ("relative", "absolute", "bottom", "random")
STILL = {"relative": 0, "absolute": 0, "bottom": 0xFFFF_FFFF}
"""The key of an unchanged weight. In bf16 most have it, and counting one number over and over is slow."""


def change_of(base: F32, tuned: F32) -> F32:
    """|s - p|, a new array."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: F32 = np.subtract(tuned, base)
    return np.abs(found, out=found)


def relative(absolute: F32, base: F32) -> F32:
    """|s - p| / (|p| + 1e-8) in float32, written over `absolute` (paper C; docs/studies.md §5)."""
    size = np.abs(base)
    size += EPSILON
    with np.errstate(over="ignore", invalid="ignore"):
        absolute /= size
    return absolute


def sort_keys(order: str, name: str, start: int, base: F32, tuned: F32, seed: int) -> Keys:
    """One key per element: larger ranks first. `start` is the flat index of the first element in tensor `name`.

    Raises ModelError, naming the tensor, when a value is NaN or infinite.
    """
    score = change_of(base, tuned)
    if order in ("relative", "bottom"):
        score = relative(score, base)
    if order == "random":
        check_finite(name, score, base, tuned)
        return _hashed(name, start, len(base), seed)
    check_finite(name, score, base, tuned)
    keys: Keys = score.view(np.uint32)
    return np.invert(keys, out=keys) if order == "bottom" else keys


def check_finite(name: str, score: F32, base: F32, tuned: F32) -> None:
    """Refuse NaN and infinities in either side; a score that overflows from finite values passes as the largest."""
    if np.isfinite(score.max(initial=0)):  # NaN is the maximum of anything with NaN
        return
    for side, values in (("base", base), ("tuned", tuned)):
        if not np.isfinite(values).all():
            raise ModelError(
                f"the {side} model's weight {name} holds NaN or infinite values. The checkpoint is broken."
            )


def _hashed(name: str, start: int, count: int, seed: int) -> Keys:
    """Random keys, a function of seed, tensor name and flat index alone."""
    index = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        index *= _GOLDEN
        index += np.uint64(text_key(seed, name))
    return (_mix(index) >> np.uint64(32)).astype(np.uint32)
