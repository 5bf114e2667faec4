"""Restoring in a loaded model, in place: rung after rung without a copy of the weights, in memory or on disk.

Both sides of every weight are read from the checkpoints, a piece at a time, and one of them (or what lies between) is
written into the model. Masks of rising percentages nest, yet nothing depends on the rung before: each rung sets every
weight of its region.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from recollect.errors import ModelError
from recollect.weights.pair import Pair, names_of
from recollect.weights.ranking import Cut
from recollect.weights.read import F32, names_in, pieces

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Live:
    """A loaded model whose weights in a region are set between the base's and the tuned model's values."""

    def __init__(self, model: PreTrainedModel, pair: Pair, region: str) -> None:
        self._pair = pair
        self._names = names_of(pair, region)
        known = dict(model.named_parameters(remove_duplicate=False))
        places = {stored: name for name, stored in names_in(model, self._names).items()}
        self._parameters = {name: known[places[name]] for name in self._names if places.get(name) in known}
        missing = [name for name in self._names if name not in self._parameters]
        odd = [
            name
            for name in self._names
            if name in self._parameters and self._parameters[name].numel() != pair.sizes[name]
        ]
        if missing or odd:
            raise ModelError(
                f"the loaded {type(model).__name__} does not hold the tensor {(missing + odd)[0]} as the checkpoint "
                "stores it, so it cannot be restored in place. Write single percentages with --percent and ask those."
            )

    def to_tuned(self) -> float:
        """Every weight as tuned; gives the sum of squares of the whole change."""
        return self._set(None, 1.0)

    def restore(self, cut: Cut) -> float:
        """The weights of the cut as in the base, the others as tuned; gives the sum of squares of the change kept."""
        return self._set(cut, 1.0)

    def interpolate(self, alpha: float) -> float:
        """Every weight at base + alpha * change; gives the sum of squares of the change kept."""
        return self._set(None, alpha)

    def _set(self, cut: Cut | None, alpha: float) -> float:
        kept = 0.0
        for name, start, stop in pieces(self._names, self._pair.sizes):
            base, tuned = self._pair.read(name, start, stop)
            values = tuned if alpha == 1.0 else interpolate(base, tuned, alpha)
            if cut is not None and cut.has(name):
                values = np.where(cut.mask(name, base, tuned, start), base, tuned)
            kept += float(np.square((values - base).astype(np.float64)).sum())
            self._write(name, start, values)
        return kept

    def _write(self, name: str, start: int, values: F32) -> None:
        import torch

        flat = self._parameters[name].data.view(-1)
        flat[start : start + len(values)].copy_(torch.tensor(values))


def length_share(kept: float, full: float) -> float:
    """Length of the kept change over that of the full one (both given as sums of squares); 1 when nothing changed.

    It is also the alpha of the interpolation that keeps a change of the same length.
    """
    return math.sqrt(kept / full) if full > 0 else 1.0


def interpolate(base: F32, tuned: F32, alpha: float) -> F32:
    """base + alpha * (tuned - base), exactly base at 0 and exactly tuned at 1 (WiSE-FT).

    It is the plainest way to take back a part of the change. A restored model is compared with the interpolation that
    keeps a change of the same length: if that does as well, the gain is due to the smaller change, not to the choice of
    weights.
    """
    change = tuned - base
    if alpha < 0.5:
        return base + np.float32(alpha) * change
    return tuned - np.float32(1 - alpha) * change
