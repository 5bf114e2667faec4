"""The model of a training: how it starts, the base exactly as stored, and how what became of it is stored."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.machine import Machine, prepare
from recollect.core.workspace import Step
from recollect.errors import InputError, ModelError
from recollect.models import LoadedModel, ModelRef, load_weights, write_base_fingerprint
from recollect.models.files import all_finite
from recollect.models.find import weights_fingerprint
from recollect.models.formats import copy_for_training, percent
from recollect.models.origin import licence_files
from recollect.models.parts import other_parts
from recollect.models.quantised import refuse_untrainable
from recollect.train.frozen import hold_still
from recollect.train.lora import Adapted, Factors
from recollect.train.lora_files import name_base, write_adapter
from recollect.train.settings import TrainSettings
from recollect.train.sharding import load_shared

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from recollect.train.auto import Plan

_PROCESSORS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
"""How images are read: the vision part of a model is still there."""
GENERATION = "generation_config.json"
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("vocab.txt", "merges.txt", "*.tiktoken", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    "chat_template.*",
)
"""The base's tokenizer beside an adapter, for those who load it elsewhere; Recollect itself asks the base for it."""


def training_machine(settings: TrainSettings, base: LoadedModel | None = None, quantised: str = "") -> Machine:
    """Where a training computes and in which number format its weights are in memory, with the reasons.

    The device is the one that the settings name, else that of `base`. Raises InputError for a device or a format that
    cannot be trained on.
    """
    device = base.machine.device if base and settings.device == "auto" else settings.device
    if device.startswith("cuda:") and device != "cuda:0":
        raise InputError(
            f"training runs on the first GPU it sees, but got device={device!r}. "
            f"Set CUDA_VISIBLE_DEVICES={device.removeprefix('cuda:')} and leave --device auto."
        )
    machine = prepare(device, settings.dtype)
    quantised = quantised or ("" if settings.quantize == "none" else settings.quantize)
    if settings.max_steps == 0 and not quantised:
        if settings.processes > 1:  # it may be one that no single GPU can hold
            machine = replace(machine, device="cpu", device_reason="no step is made")
        return replace(machine, dtype="float32", dtype_reason="no step is made: the weights are stored as the base's")
    if mixed_precision(settings, machine.device, quantised):
        return replace(machine, dtype="float32", dtype_reason="the weights; computing in bfloat16")
    if machine.dtype == "float16" and settings.method == "full":
        raise InputError(
            "dtype float16 cannot hold the weights of a full training: AdamW's smallest terms are zero in it. Leave "
            "--dtype auto (float32 weights; the result is stored in the base's own format), or take --method lora."
        )
    return machine


def mixed_precision(settings: TrainSettings, device: str, quantised: str = "") -> bool:
    """Whether weights stay float32 while the computing is in bfloat16.

    Never those of a base that is `quantised`: what of it is not is in the format that is computed in, and its adapter
    in float32 all the same.
    """
    import torch

    if quantised and settings.precision == "mixed":
        raise InputError(
            f"precision mixed keeps float32 weights, but the base is quantised ({quantised}). Leave it at auto."
        )
    if quantised:
        return False
    able = device.startswith("cuda") and torch.cuda.is_bf16_supported()
    if settings.precision == "auto":
        return able and settings.dtype == "auto"
    if settings.precision == "mixed" and settings.dtype not in ("auto", "float32"):
        raise InputError(f"precision mixed keeps float32 weights, but got dtype={settings.dtype!r}. Leave it at auto.")
    if settings.precision == "mixed" and not able:
        raise InputError(
            f"precision mixed needs a GPU with bfloat16, but the device is {device}. Take --precision auto."
        )
    return settings.precision == "mixed"


def load_base(
    settings: TrainSettings, ref: ModelRef, base: LoadedModel | None, sharing: int = 1
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    """The base in training mode, its tokenizer, and the device; a copy of one in memory where that is exact.

    sharing: the processes among which its weights will be shared out; until then it is in the host's memory.
    """
    machine = training_machine(settings, base, ref.quantised)
    if sharing > 1:
        model, tokenizer = load_shared(ref, replace(machine, device="cpu"), sharing)
        return _trainable(model, ref, settings), tokenizer, machine.device
    model = copy_for_training(base, machine.dtype, machine.device, ref.quantize) if base else None
    if base and model is not None:
        tokenizer = copy.deepcopy(base.tokenizer)
    else:
        model, tokenizer = load_weights(ref, machine)
    return _trainable(model, ref, settings), tokenizer, machine.device


def load_again(settings: TrainSettings, ref: ModelRef) -> PreTrainedModel:
    """The base as a training of shared weights began with it, but whole: in the host's memory."""
    machine = training_machine(settings, None, ref.quantised)
    return _trainable(load_weights(ref, replace(machine, device="cpu"))[0], ref, settings)


def _trainable(model: PreTrainedModel, ref: ModelRef, settings: TrainSettings) -> PreTrainedModel:
    """In training mode, with gradients for the language model's weights alone, less what is frozen."""
    if ref.quantised:
        refuse_untrainable(model, ref.whole)
    others = other_parts(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not ref.quantised and name not in others)
    if settings.method == "full":
        hold_still(model, settings.freeze)
    return model.train()


def beforehand(settings: TrainSettings, chosen: Plan, model: PreTrainedModel, mixed: bool) -> list[str]:
    """What is to be said before a training starts: that it can hardly move the model, and why.

    Raises InputError for a training in pure bfloat16 that nobody asked for by `precision pure` and in which most
    weights cannot move.
    """
    found = [chosen.warning] if chosen.warning else []
    if mixed or settings.method != "full" or str(model.dtype) != "torch.bfloat16" or settings.max_steps == 0:
        return found
    share = movable(model, chosen.learning_rate)
    text = f"at rate {chosen.learning_rate:g} an update can move {percent(share)} of the weights in pure bfloat16"
    if share < 0.5 and settings.precision == "auto":
        raise InputError(
            f"{text}; the others round back. Leave --dtype at auto (float32 weights), or take --precision pure "
            "to train so all the same."
        )
    return [*found, f"{text}; smaller changes round back"]


def movable(model: PreTrainedModel, rate: float) -> float:
    """The share of weights that one full update of AdamW, which is as long as the rate, changes in the weights' own
    number format."""
    import torch

    moved = n = 0
    with torch.no_grad():
        for weight in filter(lambda one: one.requires_grad, model.parameters()):
            moved += int((weight - rate != weight).sum())
            n += weight.numel()
    return moved / max(1, n)


def refuse_broken(model: Any, diverged_at: int | None, settings: TrainSettings) -> None:
    """Raise ModelError for a loss or a weight that is no number any more."""
    refuse_diverged(dict(model.named_parameters()), diverged_at, settings)


def refuse_diverged(weights: Mapping[str, torch.Tensor], diverged_at: int | None, settings: TrainSettings) -> None:
    """The same for weights by their names."""
    bad = next((name for name, value in weights.items() if not all_finite(value)), None)
    if diverged_at is None and bad is None:
        return
    where = f"the loss of step {diverged_at}" if diverged_at else f"the weight {bad}"
    raise ModelError(
        f"the training diverged: {where} is not a finite number. Nothing was stored. "
        f"Lower --learning-rate (it was {settings.learning_rate})."
    )


def write_model(
    step: Step, model: Any, tokenizer: Any, settings: TrainSettings, folder: Path, start: Factors | None = None
) -> tuple[str, ...]:
    """Write `model/` into the step: the whole model, or the adapter of the base in `folder`; returns notes on it.

    Each with all that others need to load it (tokenizer, chat template, generation settings, the base's licence). The
    card comes last, see `card`.

    start: the adapters' first factors, where they were taken out of the base.
    """
    if settings.method == "lora":
        return write_lora(step, Adapted(model, start or {}), tokenizer, settings, folder)
    target = step.folder / "model"
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    _copy([folder / name for name in _PROCESSORS if (folder / name).is_file()], target)
    _copy(licence_files(folder), target)
    return ()


def write_lora(step: Step, adapted: Adapted, tokenizer: Any, settings: TrainSettings, folder: Path) -> tuple[str, ...]:
    """The same for an adapter."""
    target = step.folder / "model"
    shutil.rmtree(target, ignore_errors=True)
    base = name_base(settings.model, folder, step.path / "model")
    write_adapter(target, adapted, settings, base)
    write_base_fingerprint(target, str(step.inputs["model"]), weights=weights_fingerprint(folder), name=base.ours)
    if not _copy([file for name in TOKENIZER for file in sorted(folder.glob(name))], target):
        tokenizer.save_pretrained(target)
    _copy([*folder.glob(GENERATION), *licence_files(folder)], target)
    return (base.note,) if base.note else ()


def _copy(files: Iterable[Path], target: Path) -> int:
    """Copy files of the base as they are; returns how many."""
    found = list(files)
    for file in found:
        shutil.copyfile(file, target / file.name)
    return len(found)
