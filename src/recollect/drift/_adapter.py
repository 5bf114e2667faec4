"""A LoRA adapter as a change of its base: W + scale · B·A, tensor by tensor, a block of rows at a time.

Notable choices
- Plain LoRA only. An adapter with anything else in it (DoRA, biases, whole modules, embeddings) is refused with the way
  out: merge it with peft and give the merged folder.
- The product is made in float32 in row blocks that do not depend on who asks, so that ranking and writing see the same
  values to the last bit.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recollect.drift._safetensors import F32, Checkpoint
from recollect.drift._stream import BLOCK
from recollect.errors import ModelError

_WEIGHTS = "adapter_model.safetensors"
_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight$")
_UNSUPPORTED = (
    "use_dora",
    "fan_in_fan_out",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "lora_bias",
)


@dataclass(frozen=True)
class _Low:
    """The two factors of one tensor's change."""

    a: str
    b: str
    rank: int
    columns: int
    scale: float


class Adapter:
    """The changes of a LoRA adapter folder. `lows` maps the base's tensor names to their factors.

    Raises ModelError for an adapter that is more than plain LoRA or that does not fit the base.
    """

    def __init__(self, folder: Path, base: Checkpoint) -> None:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        used = [key for key in _UNSUPPORTED if config.get(key)] + (
            ["bias"] if config.get("bias", "none") != "none" else []
        )
        if used:
            raise ModelError(f"{folder} uses {', '.join(used)}, which is more than plain LoRA. {_MERGE}")
        self.weights = Checkpoint(folder, _WEIGHTS)
        self._cache = threading.local()
        sides: dict[str, dict[str, str]] = {}
        for key in self.weights.entries:
            found = _KEY.match(key)
            if not found:
                raise ModelError(f"{folder} holds {key}, which is no plain LoRA weight. {_MERGE}")
            sides.setdefault(found["module"], {})[found["side"]] = key
        self.lows = {f"{module}.weight": self._low(module, keys, config, base) for module, keys in sides.items()}

    def _low(self, module: str, keys: Mapping[str, str], config: Mapping[str, Any], base: Checkpoint) -> _Low:
        folder, entries = self.weights.folder, self.weights.entries
        if len(keys) != 2:
            raise ModelError(f"{folder} holds {next(iter(keys.values()))} without its other half. It is not whole.")
        entry = base.entries.get(f"{module}.weight")
        shapes = [entries[keys[side]].shape for side in "BA"]
        if entry is None:
            raise ModelError(f"{folder} changes {module}.weight, which the base {base.folder} does not hold. {_MERGE}")
        fits = all(len(shape) == 2 for shape in (*shapes, entry.shape))
        if not fits or shapes[0][1] != shapes[1][0] or (shapes[0][0], shapes[1][1]) != entry.shape:
            raise ModelError(
                f"{folder}: B·A for {module}.weight is {shapes[0]} by {shapes[1]}, but the base has {entry.shape}. "
                "It is an adapter of another model."
            )
        rank = shapes[0][1]
        alpha = float(_by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", 8)))
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        return _Low(keys["A"], keys["B"], rank, shapes[1][1], scale)

    def add(self, name: str, start: int, stop: int, values: F32) -> F32:
        """The base's `values` of flat elements [start, stop) with the change added; as they are if it has none."""
        low = self.lows.get(name)
        if low is None or start == stop:
            return values
        rows = max(1, BLOCK // low.columns)  # of one product
        first = start // low.columns // rows * rows
        parts = [self._product(name, low, row, rows) for row in range(first, -(-stop // low.columns), rows)]
        change = parts[0] if len(parts) == 1 else np.concatenate(parts)
        skipped = start - first * low.columns
        found: F32 = values + change[skipped : skipped + stop - start]
        return found

    def _product(self, name: str, low: _Low, row: int, rows: int) -> F32:
        """scale · B·A for a block of rows, flat; the last one is kept, since the next request often needs it again."""
        if getattr(self._cache, "at", None) != (name, row):
            if getattr(self._cache, "name", None) != name:
                whole = self.weights.values(low.a, 0, low.rank * low.columns)
                self._cache.name, self._cache.a = name, whole.reshape(low.rank, low.columns)
            last = min(row + rows, self.weights.entries[low.b].shape[0])
            b = self.weights.values(low.b, row * low.rank, last * low.rank).reshape(-1, low.rank)
            product = b @ self._cache.a
            product *= np.float32(low.scale)
            self._cache.at, self._cache.product = (name, row), product.ravel()
        found: F32 = self._cache.product
        return found

    def close(self) -> None:
        """Close the files."""
        self.weights.close()


_MERGE = "Merge the adapter with peft (merge_and_unload), save the model, and give that folder."


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """The value of the first pattern that the end of a module's name matches, as peft picks it."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
