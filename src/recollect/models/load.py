"""From a resolved name to a loaded model. A LoRA adapter is merged into its base, or kept beside a quantised one."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recollect.core.machine import Machine, prepare
from recollect.core.phases import phase
from recollect.core.settings import Name, Settings
from recollect.errors import InputError, ModelError, ModelWarning, RecollectError
from recollect.models.adapter import merge_into
from recollect.models.automatic import format_on_processor
from recollect.models.files import all_finite
from recollect.models.find import adapter_base, find_model, hash_ahead, is_adapter
from recollect.models.gguf_file import widened_from
from recollect.models.parts import model_class
from recollect.models.quantised import Quantize, check_loadable, check_packable, described, loading
from recollect.models.ref import ModelRef, base_changed, resolve
from recollect.models.silence import not_loaded, quiet
from recollect.models.unmerged import put_beside
from recollect.models.whole import check_report, check_vocabulary, empty_model, load_tokenizer
from recollect.shipped import POCKET

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ModelSettings(Settings):
    """Which model, and how to hold it. Part of every step that runs a model.

    Examples:
        >>> from recollect import ModelSettings
        >>> ModelSettings.make(model="pocket", device="cpu").device
        'cpu'
    """

    later_fields: ClassVar[set[str]] = {"quantize"}

    model: Name = POCKET
    """A folder, a Hugging Face name, "pocket" (shipped), or a fetched one such as "smollm2" (recollect models)."""
    revision: str | None = None
    """Hub revision; with trust_remote_code, the pin of the code (a folder's: the hash the refusal prints)."""
    trust_remote_code: bool = False
    """Let code inside the model's folder run. Needs --revision. Off, and better left off."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a CUDA device when there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; auto takes bfloat16 on a GPU that has it, and on a CPU that computes in it for a
    model that is stored in it and not small; else float32."""
    quantize: Quantize = "none"
    """Quantise the weights while they are loaded, with bitsandbytes (the extra "quantized"): 4bit is NF4 with its
    scales quantised too, 8bit is int8. Less memory, other numbers. An adapter then stays beside its base, unmerged."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, with its tokenizer and what is known of it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    folder: Path
    fingerprint: str
    machine: Machine
    quantize: Quantize = "none"
    """To what the weights were quantised while they were loaded."""

    @property
    def device(self) -> str:
        """The device the weights are on."""
        return self.machine.device


def load(settings: ModelSettings, ref: ModelRef | None = None) -> LoadedModel:
    """Load the model of `settings` in evaluation mode; `ref` is that model where it is resolved already.

    A LoRA adapter folder is loaded on its base and merged into it (on a quantised base it stays beside it), with a
    ModelWarning when that base is not the one it was trained on any more. Raises ModelError.

    Examples:
        >>> from recollect import ModelSettings, load_model
        >>> loaded = load_model(ModelSettings.make(model="pocket"))
        >>> loaded.model.num_parameters()
        1303680
    """
    ref = ref or resolve(settings)
    machine = machine_of(settings, ref.folder)
    model, tokenizer = load_weights(ref, machine)
    if ref.base and (changed := base_changed(ref, ref.base)):
        warnings.warn(changed, ModelWarning, stacklevel=2)
    return LoadedModel(model, tokenizer, ref.folder, ref.fingerprint, machine, ref.quantize)


def machine_of(settings: ModelSettings, folder: Path | None = None) -> Machine:
    """The device and number format that a step with these settings holds its model in; `folder` is the model's.

    Without a folder it is looked for; where there is none, that is for the step to say. The first time this imports
    torch, which takes a second, and has the model hashed meanwhile.
    """
    if "torch" not in sys.modules:
        hash_ahead(settings.model)
    machine = prepare(settings.device, settings.dtype)
    automatic = settings.dtype == "auto" and machine.device == "cpu"
    try:
        found = folder or (find_model(settings.model, settings.revision) if automatic else None)
        if automatic and found:
            dtype, reason = format_on_processor(found)
            machine = replace(machine, dtype=dtype, dtype_reason=reason)
        more = _said_of(found, settings.quantize) if found else ""
    except (RecollectError, OSError):
        return machine
    return replace(machine, dtype_reason=f"{machine.dtype_reason}; {more}") if more else machine


def _said_of(folder: Path, quantize: Quantize) -> str:
    """What else is to be said of a model's numbers: that they were quantised, or are."""
    whole = adapter_base(folder) if is_adapter(folder) else folder
    return widened_from(whole) or described(whole, quantize)


def held_for(settings: ModelSettings, held: LoadedModel) -> LoadedModel:
    """`held` where it is on the device and in the number format that `settings` ask for, else the same model loaded so.

    For several steps that share one model in memory while each has a format of its own.
    """
    machine = machine_of(settings, held.folder)
    ours = (machine.device, machine.dtype, settings.quantize)
    if ours == (held.machine.device, held.machine.dtype, held.quantize):
        return held
    ref = ModelRef.at(held.folder, settings.revision, settings.trust_remote_code, settings.quantize)
    model, tokenizer = load_weights(ref, machine)
    return LoadedModel(model, tokenizer, held.folder, held.fingerprint, machine, ref.quantize)


def check_held(settings: ModelSettings, held: LoadedModel) -> None:
    """Refuse a model in memory that is not what the settings name; `auto` takes it as it is. Raises InputError."""
    for name, value in (("dtype", held.machine.dtype), ("device", held.machine.device)):
        wanted = getattr(settings, name)
        if wanted not in ("auto", value):
            raise InputError(
                f"{name} is {wanted!r} in the settings, but the model in memory has {value!r}. Leave it at auto, or "
                "give a model loaded with these settings."
            )
    if settings.quantize != held.quantize:
        raise InputError(
            f"quantize is {settings.quantize!r} in the settings, but the model in memory was loaded with "
            f"{held.quantize!r}. Give a model loaded with these settings."
        )


def load_weights(ref: ModelRef, machine: Machine) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, in evaluation mode, and its tokenizer; an adapter is merged into its base, or beside a quantised one.

    Raises ModelError when a weight is missing, NaN or infinite, or the files do not fit together.
    """
    with phase("transformers"):
        import transformers.modeling_utils  # noqa: F401  # imported here, so that its time is told apart
    with phase("loading the model"):
        return _load_checked(ref, machine)


def _load_checked(ref: ModelRef, machine: Machine) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    tokenizer = check_whole(ref)
    model = _read_weights(ref, machine)
    if ref.base:
        model = put_beside(model, ref.folder) if ref.quantised else merge_into(model, ref.folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    for name, parameter in model.named_parameters():
        if not all_finite(parameter):
            raise ModelError(f"{ref.folder}: the weight {name} holds NaN or infinite values. The checkpoint is broken.")
    return (model if ref.quantised else model.to(machine.device)).eval(), tokenizer


def check_whole(ref: ModelRef) -> PreTrainedTokenizerBase:
    """Refuse all that loading refuses before it reads weights, for commands that load a model only later on.

    Weights that are missing, unused or misshapen, a tokenizer that is broken or goes beyond the embedding: ModelError.
    Returns the tokenizer.
    """
    check_loadable(ref.whole, ref.quantize)
    model = empty_model(ref.whole, ref.runs_code)
    tokenizer = load_tokenizer(ref.whole, ref.runs_code)
    check_vocabulary(ref.whole, tokenizer, model)
    return tokenizer


def _read_weights(ref: ModelRef, machine: Machine) -> PreTrainedModel:
    try:
        with quiet():
            model: PreTrainedModel
            model, report = model_class(ref.whole).from_pretrained(
                ref.whole,
                dtype=machine.torch_dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=ref.runs_code,
                output_loading_info=True,
                **loading(ref.whole, ref.quantize, machine),
            )
    except Exception as error:  # transformers raises many kinds for a broken folder: all the input's fault
        raise not_loaded(ref.whole, error) from error
    if ref.quantised:  # of others the names were checked before
        check_report(ref.whole, report)
        check_packable(model, ref.whole, machine.device)
    return model
