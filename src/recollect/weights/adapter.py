"""A LoRA adapter as a change of its base: the weights that loading it gives, tensor by tensor.

Notable choices
- One reader for all: the merged weights come from the same code that `load` merges with, which has PEFT's own layers
  make them. Only what has no single weight (experts, single tokens) is refused, with the way out.
- Merged in float32, before rounding to the base's format. One module is merged at a time, and the last few are kept,
  since the pieces of a tensor are asked for one after the other.
- With tied embeddings an adapter on one of the two would part them, which the base's layout cannot hold. One that keeps
  them one matrix is told by the embedding alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recollect.errors import ModelError
from recollect.models.adapter import WEIGHTS, put_on, tied_modules
from recollect.models.whole import empty_model
from recollect.weights.read import F32, Checkpoint, names_in

if TYPE_CHECKING:
    import torch

_KEPT = 1 << 28  # merged weights kept in memory, but never fewer than _LEAST tensors
_LEAST = 3
_MERGE = "Merge the adapter with peft (merge_and_unload), save the model, and give that folder."


class Adapter:
    """The weights of a LoRA adapter folder on its base. `changed`: the base's stored names of what is not the base's.

    Raises ModelError for an adapter that cannot be merged, is not whole, or does not fit the base.
    """

    def __init__(self, folder: Path, base: Checkpoint, trust: bool = False) -> None:
        self._base, self._lock = base, threading.Lock()
        self._kept: OrderedDict[str, F32] = OrderedDict()
        empty = empty_model(base.folder, trust)
        tied = tied_modules(empty)
        self._stored = names_in(empty, base.entries)
        self._placed = put_on(empty, folder)
        if odd := self._placed.odd():
            raise ModelError(f"{folder} changes {odd[0]} in a way that is no single weight. {_MERGE}")
        self._replaced, layers = self._placed.replaced(), dict(self._placed.layers)
        if tied and not self._placed.one_matrix(*tied):
            raise ModelError(
                f"{folder} changes {tied[0]} or {tied[1]}, but {base.folder} ties its output head to its embeddings: "
                f"merged, they are two matrices. {_MERGE}"
            )
        if tied:  # what becomes of the one is told by the other
            layers.pop(tied[1], None)
            self._replaced.pop(f"{tied[1]}.weight", None)
        self._module: dict[str, str] = {}  # stored name of a weight or bias: the layer that makes it
        for name, layer in layers.items():
            self._module[self._name(folder, f"{name}.weight")] = name
            if any(layer.lora_bias.values()):
                self._module[self._name(folder, f"{name}.bias")] = name
        own = {self._name(folder, name): name for name in self._replaced}
        self._own = {stored: name for stored, name in own.items() if stored not in self._module}
        self.changed = {*self._module, *self._own}
        self._check_shapes(folder)
        self.weights = Checkpoint(folder, WEIGHTS)

    def _name(self, folder: Path, name: str) -> str:
        stored = self._stored.get(name)
        if stored is None:
            raise ModelError(f"{folder} changes {name}, which the base {self._base.folder} does not hold. {_MERGE}")
        return stored

    def _check_shapes(self, folder: Path) -> None:
        for stored, name in self._own.items():
            ours, theirs = self._base.entries[stored].shape, tuple(self._replaced[name].shape)
            if ours != theirs:
                raise ModelError(
                    f"{folder} holds {name} as {theirs}, but the base has {ours}. It is an adapter of another model."
                )

    def values(self, name: str, start: int, stop: int) -> F32:
        """Flat elements [start, stop) of a tensor of `changed`, in float32 before rounding; not to be written to."""
        if name in self._own:
            found: F32 = self._replaced[self._own[name]].reshape(-1)[start:stop].float().numpy()
            return found
        with self._lock:
            if name not in self._kept:
                self._merge(self._module[name])
            self._kept.move_to_end(name)
            return self._kept[name][start:stop]

    def _merge(self, module: str) -> None:
        """Merge one layer and keep what it gives; the longest unused are let go."""
        layer = self._placed.layers[module].get_base_layer()
        with_bias = self._stored.get(f"{module}.bias") in self._module
        weight = self._tensor(f"{module}.weight", layer.weight.shape)
        bias = self._tensor(f"{module}.bias", layer.bias.shape) if with_bias else None
        for part, value in zip(("weight", "bias"), self._placed.merge(module, weight, bias), strict=True):
            if value is not None:
                self._kept[self._stored[f"{module}.{part}"]] = np.ascontiguousarray(value.numpy()).reshape(-1)
        while len(self._kept) > _LEAST and sum(kept.nbytes for kept in self._kept.values()) > _KEPT:
            self._kept.popitem(last=False)

    def _tensor(self, name: str, shape: Any) -> torch.Tensor:
        """The values that a layer is merged on: the base's, or those that the adapter brings along."""
        import torch

        if name in self._replaced:
            return self._replaced[name]
        stored = self._stored[name]
        values = self._base.values(stored, 0, self._base.entries[stored].size)
        return torch.from_numpy(values.copy()).reshape(shape)

    def close(self) -> None:
        """Close the files."""
        self.weights.close()
