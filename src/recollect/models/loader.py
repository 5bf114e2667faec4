"""From a name to a loaded base model: find it, refuse what is unsafe, load it, check it, fingerprint it.

Notable choices
- safetensors only; a folder with nothing but pickled weights is refused, not converted in silence.
- Code that comes with a model does not run unless the user asks for it *and* pins its revision.
- A model's JSON files are read as an attacker's: no weights outside the folder, no code from elsewhere.
- A name that looks like a path is looked up on disk first and never sent to a hub.
- LoRA adapter folders load as their base with the adapter merged into it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.core.machine import Machine, prepare
from recollect.core.settings import Settings
from recollect.errors import InputError, ModelError, ModelWarning
from recollect.models.adapter import merge_into
from recollect.models.base_fingerprint import base_changed
from recollect.models.base_fingerprint import write_base_fingerprint as write_base_fingerprint
from recollect.models.check import adapter_base as adapter_base
from recollect.models.check import check_folder as check_folder
from recollect.models.check import model_fingerprint as model_fingerprint
from recollect.models.check import wants_code
from recollect.models.find import find_model as find_model
from recollect.models.tensors import build_empty, not_loaded, quiet
from recollect.models.tokenizer import check_vocabulary, load_tokenizer
from recollect.shipped import POCKET

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ModelSettings(Settings):
    """Which model, and how to hold it. Part of every step that runs a model."""

    model: str = POCKET
    """A folder, a Hugging Face name, or "pocket" for the small base model shipped with Recollect."""
    revision: str | None = None
    """Hub revision; with trust_remote_code, the pin of the code (a folder's: the hash the refusal prints)."""
    trust_remote_code: bool = False
    """Let code inside the model's folder run. Needs --revision. Off, and better left off."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a CUDA device when there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; auto takes bfloat16 on a GPU that has it, else float32."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, with its tokenizer and what is known of it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    folder: Path
    fingerprint: str
    machine: Machine

    @property
    def device(self) -> str:
        """The device the weights are on."""
        return self.machine.device


def load(settings: ModelSettings) -> LoadedModel:
    """Find, check and load the model of `settings`, in evaluation mode; raises ModelError.

    A LoRA adapter folder is loaded on its base and merged into it, with a ModelWarning when that base is not the one
    it was trained on any more.
    """
    folder = find_model(settings.model, settings.revision)
    check_folder(folder, trust_remote_code=settings.trust_remote_code, revision=settings.revision)
    machine = machine_of(settings)
    model, tokenizer = load_folder(folder, machine, trust_remote_code=settings.trust_remote_code)
    base_print = None
    if (folder / "adapter_config.json").is_file():
        base_print = model_fingerprint(adapter_base(folder))
        if changed := base_changed(folder, adapter_base(folder), base_print):
            warnings.warn(changed, ModelWarning, stacklevel=2)
    return LoadedModel(model, tokenizer, folder, model_fingerprint(folder, base_print), machine)


def machine_of(settings: ModelSettings) -> Machine:
    """The device and number format that a step with these settings holds its model in."""
    return prepare(settings.device, settings.dtype)


def held_for(settings: ModelSettings, held: LoadedModel) -> LoadedModel:
    """`held` where it is on the device and in the number format that `settings` ask for, else the same model loaded so.

    For several steps that share one model in memory while each has a format of its own.
    """
    machine = machine_of(settings)
    if (machine.device, machine.dtype) == (held.machine.device, held.machine.dtype):
        return held
    model, tokenizer = load_folder(held.folder, machine, trust_remote_code=settings.trust_remote_code)
    return LoadedModel(model, tokenizer, held.folder, held.fingerprint, machine)


def check_held(settings: ModelSettings, held: LoadedModel) -> None:
    """Refuse a model in memory that is not what the settings name; `auto` takes it as it is. Raises InputError."""
    for name, value in (("dtype", held.machine.dtype), ("device", held.machine.device)):
        wanted = getattr(settings, name)
        if wanted not in ("auto", value):
            raise InputError(
                f"{name} is {wanted!r} in the settings, but the model in memory has {value!r}. Leave it at auto, or "
                "give a model loaded with these settings."
            )


def load_folder(
    folder: Path, machine: Machine, *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a folder that `check_folder` has passed, in evaluation mode.

    Raises ModelError when a weight is missing, NaN or infinite, or the files do not fit together.
    """
    import torch

    adapter = (folder / "adapter_config.json").is_file()
    base = adapter_base(folder) if adapter else folder
    trust = trust_remote_code and wants_code(base)  # no code was pinned unless some was declared
    tokenizer = check_whole(base, trust)
    model = _load_weights(base, machine, trust)
    if adapter:
        model = merge_into(model, folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ModelError(f"{folder}: the weight {name} holds NaN or infinite values. The checkpoint is broken.")
    model = model.to(machine.device).eval()
    return model, tokenizer


def _load_weights(base: Path, machine: Machine, trust: bool) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                base,
                dtype=machine.torch_dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust,
            )
    except Exception as error:  # transformers raises many kinds for a broken folder: all the input's fault
        raise not_loaded(base, error) from error
    return model


def check_whole(base: Path, trust: bool = False) -> PreTrainedTokenizerBase:
    """Refuse a base that `check_folder` has passed but whose weights, configuration and tokenizer do not fit together.

    No weight is read. `trust`: code of the folder may run. Returns the tokenizer. Raises ModelError.
    """
    model = build_empty(base, trust)
    tokenizer = load_tokenizer(base, trust)
    check_vocabulary(base, tokenizer, model)
    return tokenizer


def check_model(folder: Path, *, trust_remote_code: bool = False, revision: str | None = None) -> None:
    """Everything that `load` refuses before it reads weights: for commands that load a model only later on.

    Raises ModelError: what `check_folder` refuses, weights that are missing, unused or misshapen, a tokenizer that is
    broken or goes beyond the embedding.
    """
    check_folder(folder, trust_remote_code=trust_remote_code, revision=revision)
    base = adapter_base(folder) if (folder / "adapter_config.json").is_file() else folder
    check_whole(base, trust_remote_code and wants_code(base))
