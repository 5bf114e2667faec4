"""How a training comes into a pass: its examples tokenised, its adapter made by PEFT and taken off again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from recollect.core.workspace import Step
from recollect.models.stacked import NotByRows, factors_of
from recollect.train.lora import with_adapters
from recollect.train.stack.lane import Lane
from recollect.train.training import Begun, Training

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_DRAWS = ("drop", "jitter")
"""What the rates are called by which models draw: `dropout`, `hidden_dropout`, `attn_pdrop`, `router_jitter_noise`."""


def dropout_of_base(model: Any) -> str:
    """Why a base cannot pass many: it drops activations itself, by draws that would be of all rows together."""
    for name, module in model.named_modules():
        rates = {own: rate for own, rate in vars(module).items() if any(word in own for word in _DRAWS)}
        rates |= {"p": module.p} if isinstance(module, torch.nn.Dropout) else {}
        for own, rate in rates.items():
            if isinstance(rate, float) and rate > 0:
                return f"the base has dropout of its own ({f'{name}.{own}'.lstrip('.')} is {rate:g})"
    return ""


def seat(
    training: Training,
    step: Step,
    opened: ExitStack,
    begun: Begun,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    device: str,
) -> Lane:
    """A training with the first factors that PEFT gives it; the model is as before. Raises InputError, and NotByRows
    for adapters that are no products of rows."""
    try:
        adapted = with_adapters(model, begun.settings, begun.learned.examples).model
    except BaseException:
        _bare(model)  # the adapter may be there in part
        raise
    try:
        factors = factors_of(adapted)
        flops = 6.0 * adapted.num_parameters(exclude_embeddings=True)
        if isinstance(adapted.get_base_model().get_output_embeddings(), BaseTunerLayer):
            raise NotByRows("its adapter changes the output head, which sees the answers' places alone")
    finally:
        adapted.unload()
        model.requires_grad_(False)
    return Lane(training, step, opened, begun, adapted, factors, tokenizer, device, flops)


def _bare(model: Any) -> None:
    """Take off what PEFT has put on a model when it failed on the way."""
    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
    model.requires_grad_(False)
