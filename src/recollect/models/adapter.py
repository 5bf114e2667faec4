"""A LoRA adapter on its base: the one reader, for running it, measuring it and restoring it.

Notable choices
- PEFT itself says which modules an adapter changes, with which rank and scale, and makes each merged weight; so every
  kind it merges (rank-stabilised, patterns by module, DoRA, PiSSA, OLoRA, saved modules, biases) comes out as there.
- Merged in float32, one module at a time, and rounded once to the number format that is wanted. PEFT would add in the
  base's format; in float32 both are the same.
- PiSSA and OLoRA took their first factors out of the base. PEFT takes them out again when it loads, and so do we.
- A file that lacks a weight, or holds one that has no place, is refused. PEFT drops the latter without a word.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from recollect.core.json_object import JsonObject
from recollect.errors import ModelError
from recollect.models.adapter_config import Changed, explicit, read_adapter_config
from recollect.models.files import first_line

if TYPE_CHECKING:
    import torch
    from peft.tuners.lora.layer import LoraLayer
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
_NAME = "default"
_TWICE = re.compile(r"\.modules_to_save\.(.*\.)?bias$")
"""Biases of modules that are stored whole, which PEFT writes a second time where it trains biases."""
_CHANGES_BASE = ("pissa", "olora")


@dataclass(frozen=True)
class OnBase:
    """A base with an adapter's layers put into it. The base's own weights may be empty (torch's meta device)."""

    folder: Path
    peft: Any
    start: object
    """How the adapter was started: init_lora_weights."""

    @cached_property
    def layers(self) -> dict[str, LoraLayer]:
        """The modules that are changed by a product of two factors, by the name they have in the base."""
        from peft.tuners.lora.layer import Embedding, Linear

        return {name: module for name, module in self._modules() if type(module) in (Linear, Embedding)}

    def odd(self) -> list[str]:
        """The modules that are changed in a way that has no single weight: experts, single tokens."""
        from peft.tuners.lora.layer import LoraLayer
        from peft.utils.other import TrainableTokensWrapper

        known = self.layers
        kinds = (LoraLayer, TrainableTokensWrapper)
        return [name for name, module in self._modules() if isinstance(module, kinds) and name not in known]

    def replaced(self) -> dict[str, torch.Tensor]:
        """Weights that the adapter stores whole (saved modules, biases), by the name they have in the base.

        Of a base on the meta device only.
        """
        found = {}
        for name, value in self.peft.get_base_model().state_dict().items():
            if value.is_meta or re.search(r"\.lora_|\.original_module\.", f".{name}"):
                continue
            found[name.replace(f"modules_to_save.{_NAME}.", "").replace("base_layer.", "")] = value
        return found

    def one_matrix(self, table: str, head: str) -> bool:
        """Whether tied embeddings are still one matrix with the adapter, by the names of the two modules.

        They are where neither is changed, where both are given the same values, and where their factors are each
        other's transposes (PEFT's ensure_weight_tying). To be asked before anything is merged.
        """
        import torch

        layers = self.layers
        if table in layers and head in layers:
            one, other = layers[table], layers[head]
            if one.lora_variant or other.lora_variant or one.scaling[_NAME] != other.scaling[_NAME]:
                return False
            left, right = one.lora_embedding_A[_NAME], one.lora_embedding_B[_NAME]
            first, second = other.lora_A[_NAME].weight, other.lora_B[_NAME].weight
            return torch.equal(first, right.t()) and torch.equal(second, left.t())
        if table in layers or head in layers:
            return False
        ours, theirs = (self._weight(name) for name in (table, head))
        if ours.is_meta or theirs.is_meta:
            return ours.is_meta and theirs.is_meta
        return ours is theirs or torch.equal(ours, theirs)

    def _weight(self, name: str) -> torch.Tensor:
        """The weight of a module that no factors change: the adapter's where it stores it whole."""
        from peft.utils.other import ModulesToSaveWrapper

        module = self.peft.get_base_model().get_submodule(name)
        if isinstance(module, ModulesToSaveWrapper):
            module = module.modules_to_save[_NAME]
        weight: torch.Tensor = module.weight
        return weight

    def _modules(self) -> Iterator[tuple[str, Any]]:
        yield from self.peft.get_base_model().named_modules()

    def merge(self, name: str, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[Any, Any]:
        """The merged weight and bias of a layer, in float32, from its base's values; those stay as they are.

        Raises ModelError where PEFT cannot merge.
        """
        try:
            return self._merge(self.layers[name], weight, bias)
        except Exception as error:
            raise _not_merged(self.folder, error) from error

    def _merge(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[Any, Any]:
        import torch

        work = copy.deepcopy(layer).float()
        base = work.get_base_layer()
        base.weight = torch.nn.Parameter(weight.detach().float().clone(), requires_grad=False)
        if bias is not None:
            base.bias = torch.nn.Parameter(bias.detach().float().clone(), requires_grad=False)
        start = self.start.lower() if isinstance(self.start, str) else ""
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if start in _CHANGES_BASE:
                factors = {side: getattr(work, side)[_NAME].weight.data for side in ("lora_A", "lora_B")}
                work.pissa_init(_NAME, start) if start == "pissa" else work.olora_init(_NAME)
                for side, value in factors.items():
                    getattr(work, side)[_NAME].weight.data = value
            work.merge(adapter_names=[_NAME])
        return base.weight.data, None if bias is None else base.bias.data


def put_on(base: PreTrainedModel, folder: Path) -> OnBase:
    """Put the adapter of a folder into a base, which it changes in place but for its weights. Raises ModelError."""
    config = read_adapter_config(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peft, result = _inject(base, folder, explicit(folder, config, [n for n, _ in base.named_modules()]))
    except ModelError:
        raise
    except KeyError as error:
        raise ModelError(f"{folder} lacks the weight {error.args[0]}. The adapter is not whole.") from error
    except Exception as error:  # as for a base: many kinds, one cause
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        detail = f" {lines[1][:300]}" if len(lines) > 1 else ""
        raise ModelError(
            f"{folder} could not be loaded as an adapter of its base: {first_line(error)}{detail}"
        ) from error
    _check_whole(folder, peft, result, config)
    found = OnBase(folder, peft, config.get("init_lora_weights"))
    if isinstance(found.start, str) and found.start.lower() in _CHANGES_BASE:
        from peft.tuners.lora.layer import Embedding

        for name, layer in found.layers.items():
            if isinstance(layer, Embedding):
                raise ModelError(f"{folder} was started by {found.start!r} on the embedding {name}: not supported.")
    return found


def _inject(base: PreTrainedModel, folder: Path, changed: Changed) -> tuple[Any, Any]:
    from peft import LoraConfig, PeftModelForCausalLM
    from peft.utils import set_peft_model_state_dict
    from safetensors.torch import load_file

    config = LoraConfig.from_pretrained(str(folder))
    for key, value in changed.items():
        setattr(config, key, value)
    config.init_lora_weights = True  # a cheap start; what it really was is taken up when weights are merged
    config.inference_mode = True
    empty = any(parameter.is_meta for parameter in base.parameters())
    state = load_file(folder / WEIGHTS)
    with _staying(empty):
        peft = PeftModelForCausalLM(base, config, _NAME, low_cpu_mem_usage=empty)
        return peft, set_peft_model_state_dict(peft, state, _NAME, low_cpu_mem_usage=empty)


def _staying(empty: bool) -> AbstractContextManager[Any]:
    """On an empty base, PEFT's layers keep their weights; else they would follow the base's to the meta device."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not empty:
        return nullcontext()
    return patch.object(BaseTunerLayer, "_move_adapter_to_device_of_base_layer", lambda *_, **__: None)


def _check_whole(folder: Path, peft: Any, result: Any, config: JsonObject) -> None:
    """Every weight of the adapter is in its file, and none besides."""
    own = re.compile(r"\.lora_|\.modules_to_save\.")  # of single tokens, what is absent is a KeyError above
    missing = sorted(name for name in result.missing_keys if own.search(name))
    if config.get("bias", "none") != "none":
        from peft.utils import get_peft_model_state_dict

        wanted = get_peft_model_state_dict(peft, adapter_name=_NAME, save_embedding_layers=False)
        absent = {*result.missing_keys}
        missing += sorted(name for name in wanted if name.endswith("bias") and name in absent)
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} weights that its adapter_config.json asks for (missing adapter keys: "
            f"{', '.join(missing[:3])}). The adapter is not whole."
        )
    left = sorted(name for name in result.unexpected_keys if not _TWICE.search(name))
    if left:
        raise ModelError(
            f"{folder} holds {len(left)} weights that have no place in its base by adapter_config.json "
            f"({', '.join(left[:3])}). It is an adapter of another model, or its configuration is another adapter's."
        )


def merge_into(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """A loaded base with the adapter of a folder merged into it; its weights keep their number format.

    Tied embeddings of which the adapter changes one are two matrices from then on; where it keeps them one, they stay
    so. Raises ModelError.
    """
    import torch

    tied = tied_modules(base)
    placed = put_on(base, folder)
    one, said = tied is not None and placed.one_matrix(*tied), getattr(base.config, "tie_word_embeddings", None)
    for name, layer in placed.layers.items():
        own = layer.get_base_layer()
        weight, bias = placed.merge(name, own.weight, getattr(own, "bias", None))
        own.weight = torch.nn.Parameter(weight.to(own.weight.dtype))
        if bias is not None:
            own.bias = torch.nn.Parameter(bias.to(own.bias.dtype))
        layer.merged_adapters.append(_NAME)  # so that PEFT adds nothing more
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            merged: PreTrainedModel = placed.peft.merge_and_unload()
    except Exception as error:
        raise _not_merged(folder, error) from error
    if one:
        merged.get_output_embeddings().weight = merged.get_input_embeddings().weight
        if said is not None:
            merged.config.tie_word_embeddings = said
    return merged


def tied_modules(model: Any) -> tuple[str, str] | None:
    """Names of the embedding and the output head where they are one matrix; None where they are two."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    configs = (model.config.get_text_config(), model.config)  # of a multimodal model one of them says it
    said = next((bool(one.tie_word_embeddings) for one in configs if hasattr(one, "tie_word_embeddings")), False)
    if table is None or head is None or not (table.weight is head.weight or said):
        return None
    names = {id(module): name for name, module in model.named_modules()}
    return names[id(table)], names[id(head)]


def _not_merged(folder: Path, error: Exception) -> ModelError:
    return ModelError(f"{folder} could not be merged into its base: {first_line(error)}")
