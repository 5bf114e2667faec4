"""The factors of LoRA adapters that are nothing but products beside linear modules: from PEFT, or from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from recollect.core.json_object import JsonObject
from recollect.errors import InputError, ModelError
from recollect.models.adapter import put_on
from recollect.models.adapter_config import STARTS_BESIDE, read_adapter_config
from recollect.models.files import all_finite
from recollect.models.parts import uncalled_modules
from recollect.models.ref import ModelRef
from recollect.models.whole import empty_model

_NAME = "default"
_OTHERWISE = {
    "use_dora": "DoRA, which trains the length of each weight row beside its direction",
    "lora_bias": "biases of the adapters themselves",
    "modules_to_save": "modules that are trained whole",
    "trainable_token_indices": "single tokens",
    "target_parameters": "factors beside bare tensors",
}


class NotByRows(ModelError):
    """A module of the model cannot tell whose its input is: the adapters must pass one after another."""

    def __init__(self, message: str, module: str = "") -> None:
        super().__init__(message)
        self.module = module
        """Where it is one module: adapters that leave it alone may pass together."""


@dataclass(frozen=True)
class Product:
    """What one adapter adds to one module: scale x b @ a."""

    a: torch.Tensor
    """[rank, in]"""
    b: torch.Tensor
    """[out, rank]"""
    scale: float


Factors = Mapping[str, Product]
"""One adapter: its products by the names that the modules have in the base."""


def why_not_stacked(config: JsonObject) -> str:
    """Why an adapter with this `adapter_config.json` cannot share a pass with others; "" where it can.

    Examples:
        >>> why_not_stacked({"r": 8, "target_modules": ["q_proj"]})
        ''
        >>> why_not_stacked({"use_dora": True})
        'it has DoRA, which trains the length of each weight row beside its direction'
    """
    for key, what in _OTHERWISE.items():
        if config.get(key):
            return f"it has {what}"
    if config.get("bias", "none") != "none":
        return f"it trains biases (bias={config['bias']!r})"
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in STARTS_BESIDE:
        return f"its start {start!r} changed the base"
    return ""


def refuse_uncalled(model: torch.nn.Module, adapter: Factors) -> None:
    """Raise NotByRows for an adapter on a module whose weight the model reads without calling it."""
    if read := sorted(uncalled_modules(model) & adapter.keys()):
        raise NotByRows(
            f"the model reads the weight of {read[0]} without calling the module, so no row would meet its factors.",
            module=read[0],
        )


def refuse_unfit(model: torch.nn.Module, number: int, adapter: Factors) -> None:
    """Raise InputError for an adapter, the numberth, with a module or a shape that the base does not have."""
    for name, product in adapter.items():
        try:
            module: Any = model.get_submodule(name)
        except AttributeError:
            raise InputError(
                f"adapter {number + 1} changes {name}, which the base does not have. Adapters that pass together must "
                "be of one base."
            ) from None
        wanted = features(module)
        if wanted is not None and wanted != (product.a.shape[1], product.b.shape[0]):
            raise InputError(
                f"adapter {number + 1} changes {name} from {product.a.shape[1]} to {product.b.shape[0]} numbers, but "
                f"the base has {wanted[0]} to {wanted[1]}. Adapters that pass together must be of one base."
            )


def features(module: Any) -> tuple[int, int] | None:
    """How many numbers a module takes and gives, where it says so."""
    if hasattr(module, "in_features"):
        return int(module.in_features), int(module.out_features)
    if type(module).__name__ == "Conv1D":
        return int(module.nx), int(module.nf)
    return None


def factors_of(adapted: Any) -> dict[str, Product]:
    """The factors of a model that PEFT has put an adapter on; copies. Raises NotByRows for what is no such product."""
    from peft.tuners.lora.layer import Linear, LoraLayer

    found = {}
    for name, layer in adapted.get_base_model().named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        if not isinstance(layer, Linear) and (_NAME not in layer.lora_A or layer.lora_embedding_A):
            raise NotByRows(f"{name} is {type(layer).__name__} with an adapter, which is no product of rows.")
        a, b = layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight
        found[name] = Product(a.detach().clone(), b.detach().clone(), float(layer.scaling[_NAME]))
    return found


def read_factors(ref: ModelRef) -> dict[str, Product]:
    """The factors of an adapter's folder. Raises ModelError for one that is broken, or that cannot be stacked."""
    if why := why_not_stacked(read_adapter_config(ref.folder)):
        raise NotByRows(f"{ref.folder} cannot share a pass with other adapters: {why}.")
    found = factors_of(put_on(empty_model(ref.whole, ref.runs_code), ref.folder).peft)
    if broken := next((name for name, one in found.items() if not (all_finite(one.a) and all_finite(one.b))), ""):
        raise ModelError(f"{ref.folder}: the factors of {broken} hold NaN or infinite values. The adapter is broken.")
    return found
