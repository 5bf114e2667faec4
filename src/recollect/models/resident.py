"""One base in memory that is, for a while, each of the models trained from it: weights are exchanged in place.

    resident = Resident(base)
    with resident.holding(settings) as loaded:   # the model of `settings`, in the base's own modules
        ...                                      # afterwards the base is as it was, to the bit

Notable choices
- The base's weights are not written over but set aside and put back, so nothing can be left of the other model.
- A fully tuned model is read by name, as the base's own files must give the base in memory; an adapter is merged by the
  code that `load` merges with, of the base in memory. So the weights are those that `load` gives.
- Where any of that does not hold (another configuration, other tensors, a quantised base, an adapter that stores more
  than products, another number format), the model is loaded as ever, beside the base.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.json_object import JsonObject
from recollect.core.phases import phase
from recollect.errors import ModelWarning
from recollect.models.adapter import put_on
from recollect.models.files import Stored, all_finite
from recollect.models.find import is_adapter, tokenizer_fingerprint
from recollect.models.load import LoadedModel, ModelSettings, load, machine_of
from recollect.models.parts import other_parts
from recollect.models.ref import ModelRef, base_changed, resolve
from recollect.models.silence import quiet
from recollect.models.whole import HARMLESS, bare_model, check_vocabulary, load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from recollect.models.stacked import Factors, Product

_UNSAID = ("_name_or_path", "dtype", "torch_dtype", "transformers_version")
"""What of a configuration may differ: where it was, and who wrote it."""


@dataclass(frozen=True)
class _Weights:
    """A model's weights by the names of the base's parameters, and the tokenizer that goes with them."""

    values: Mapping[str, torch.Tensor]
    tokenizer: PreTrainedTokenizerBase


class Resident:
    """A base in memory that takes other models' weights for a while.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect.models import ModelSettings, load
        >>> from recollect.models.resident import Resident
        >>> base = load(ModelSettings.make(model="pocket"))
        >>> with Resident(base).holding(ModelSettings.make(model=str(tuned))) as loaded:
        ...     loaded.model is base.model, loaded.fingerprint == base.fingerprint
        (True, False)
    """

    def __init__(self, base: LoadedModel) -> None:
        self.base = base
        self._held = False
        self._tokenizers: dict[str, PreTrainedTokenizerBase | None] = {}
        """By a folder's tokenizer and configuration; None where these are not the base's kind."""

    def ref_of(self, settings: ModelSettings) -> ModelRef:
        """The model of the settings; of an adapter of this very base the base is not read again. As `resolve`."""
        ref = resolve(settings)
        if ref.base is None or ref.base.folder.resolve() != self.base.folder.resolve():
            return ref
        known = replace(ref.base)
        known.__dict__["fingerprint"] = self.base.fingerprint
        return replace(ref, base=known)

    def is_base(self, settings: ModelSettings) -> bool:
        """Whether the settings name the base itself, held as it is."""
        ref = resolve(settings)
        machine = machine_of(settings, ref.folder)
        held = (machine.device, machine.dtype, settings.quantize) == self._format
        return held and not self._held and ref.fingerprint == self.base.fingerprint

    @property
    def _format(self) -> tuple[str, str, str]:
        return self.base.machine.device, self.base.machine.dtype, self.base.quantize

    @contextmanager
    def holding(
        self, settings: ModelSettings, written_over: bool = False, factors: Factors | None = None
    ) -> Iterator[LoadedModel]:
        """The model of `settings`, as `load` gives it, in the base's place while the block is open, where that can be;
        else loaded beside it. Raises what `load` raises.

        written_over: whoever holds it writes into its weights, so it must share none with the base. factors: the
        adapter's, where they are in memory and it is nothing else; its file is then not read again.
        """
        ref = self.ref_of(settings)
        machine = machine_of(settings, ref.folder)
        wanted = (machine.device, machine.dtype, settings.quantize)
        found = self._weights(ref, factors) if wanted == self._format and not self._held else None
        if found is None:
            yield load(settings, ref)
            return
        if ref.base and (changed := base_changed(ref, ref.base)):
            warnings.warn(changed, ModelWarning, stacklevel=3)
        self._held = True
        try:
            with _exchanged(self.base.model, found.values, written_over):
                yield replace(
                    self.base,
                    tokenizer=found.tokenizer,
                    folder=ref.folder,
                    fingerprint=ref.fingerprint,
                    machine=machine,
                )
        finally:
            self._held = False

    def _weights(self, ref: ModelRef, factors: Factors | None) -> _Weights | None:
        """The weights that make the base the model `ref`; None where they cannot be exchanged, or are broken."""
        if ref.quantised or ref.runs_code or getattr(self.base.model, "is_quantized", False):
            return None
        with phase("loading the model"):
            found = self._of_adapter(ref, factors) if ref.base else self._of_folder(ref.folder)
        broken = found is not None and not all(map(all_finite, found.values.values()))
        return None if broken else found  # whose error `load` tells

    def _of_adapter(self, ref: ModelRef, factors: Factors | None) -> _Weights | None:
        if ref.base is None or ref.base.fingerprint != self.base.fingerprint or not self._is_as_stored:
            return None
        if factors is not None:
            return _Weights(
                {f"{name}.weight": self._sum(name, one) for name, one in factors.items()}, self.base.tokenizer
            )
        placed = put_on(bare_model(ref.whole), ref.folder)
        if (
            placed.odd()
            or placed.replaced()
            or any(type(one).__name__ == "Embedding" for one in placed.layers.values())
        ):
            return None
        model, values = self.base.model, dict[str, "torch.Tensor"]()
        for name in placed.layers:
            module: Any = model.get_submodule(name)
            own = {
                side: getattr(module, side) for side in ("weight", "bias") if getattr(module, side, None) is not None
            }
            merged = placed.merge(name, own["weight"].cpu(), own["bias"].cpu() if "bias" in own else None)
            sides = zip(("weight", "bias"), merged, strict=True)
            values |= {f"{name}.{side}": value.to(own[side]) for side, value in sides if value is not None}
        return _Weights(values, self.base.tokenizer)

    def _sum(self, name: str, product: Product) -> torch.Tensor:
        """A weight with an adapter's product added, as PEFT adds it."""
        module: Any = self.base.model.get_submodule(name)
        change = product.b.cpu().float() @ product.a.cpu().float()
        transposed = type(module).__name__ == "Conv1D"
        weight: torch.Tensor = (
            module.weight.detach().cpu().float() + (change.T if transposed else change) * product.scale
        )
        return weight.to(module.weight)

    def _of_folder(self, folder: Path) -> _Weights | None:
        if not self._is_as_stored or (tokenizer := self._tokenizer_of(folder)) is None:
            return None
        values = self._read(folder)
        return None if values is None else _Weights(values, tokenizer)

    @cached_property
    def _is_as_stored(self) -> bool:
        """Whether the base in memory is what its folder says, read by name: so another folder can be read so too."""
        import torch

        if is_adapter(self.base.folder) or other_parts(self.base.model):
            return False
        values = self._read(self.base.folder)
        known = dict(self.base.model.named_parameters(remove_duplicate=False))
        return values is not None and all(torch.equal(value, known[name]) for name, value in values.items())

    def _read(self, folder: Path) -> dict[str, torch.Tensor] | None:
        """Every parameter of the base's model as a folder stores it, in the base's format; what is tied gets one value.
        None where the folder's tensors are not the same ones."""
        import torch

        model = self.base.model
        prefix, places = (
            str(getattr(model, "base_model_prefix", "")),
            dict(model.named_parameters(remove_duplicate=False)),
        )
        found, used = dict[int, Any](), set[str]()
        with Stored(folder) as stored:
            shapes = stored.shapes()
            for name, parameter in places.items():
                at = stored.name_of(name, prefix)
                if at is None:
                    continue
                used.add(at)
                if shapes[at] != list(parameter.shape):
                    return None
                value = stored.tensor(at).to(parameter)
                if not torch.equal(found.setdefault(id(parameter), value), value):
                    return None
        left = [name for name in shapes.keys() - used if not HARMLESS.search(name)]
        if left or any(id(parameter) not in found for parameter in places.values()):
            return None
        return {name: found[id(parameter)] for name, parameter in places.items()}

    def _tokenizer_of(self, folder: Path) -> PreTrainedTokenizerBase | None:
        key = tokenizer_fingerprint(folder)
        if key not in self._tokenizers:
            self._tokenizers[key] = self._same_kind(folder)
        return self._tokenizers[key]

    def _same_kind(self, folder: Path) -> PreTrainedTokenizerBase | None:
        """The folder's tokenizer, where its configurations are the base's."""
        from transformers import AutoConfig, GenerationConfig

        model = self.base.model
        with quiet():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            try:
                generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
            except OSError:
                generation = GenerationConfig.from_model_config(config)
        own = (type(model.config), _said(model.config.to_dict()), _said(model.generation_config.to_dict()))
        if own != (type(config), _said(config.to_dict()), _said(generation.to_dict())):
            return None
        tokenizer = load_tokenizer(folder)
        check_vocabulary(folder, tokenizer, model)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer


def _said(values: JsonObject) -> JsonObject:
    return {name: value for name, value in values.items() if name not in _UNSAID}


@contextmanager
def _exchanged(model: Any, values: Mapping[str, torch.Tensor], copied: bool) -> Iterator[None]:
    """The model with these parameters while the block is open; those of one tensor are one parameter.

    copied: the others are copies of the model's. Each asks for a gradient where the one that it replaces does: torch
    chooses by that how it multiplies, and took 2.7 times as long for tokens one by one where they did not.
    """
    import torch

    before = dict(model.named_parameters(remove_duplicate=False))
    if copied:
        copies = {id(one): one.detach().clone() for name, one in before.items() if name not in values}
        values = {name: values[name] if name in values else copies[id(one)] for name, one in before.items()}
    new = {
        id(value): torch.nn.Parameter(value, requires_grad=before[name].requires_grad) for name, value in values.items()
    }
    try:
        for name, value in values.items():
            _put(model, name, new[id(value)])
        yield
    finally:
        for name in values:
            _put(model, name, before[name])


def _put(model: Any, name: str, parameter: torch.nn.Parameter) -> None:
    place, _, own = name.rpartition(".")
    model.get_submodule(place)._parameters[own] = parameter
