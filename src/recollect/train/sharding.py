"""A training whose weights, gradients and optimizer are shared out among its processes: FSDP2, through accelerate.

Notable choices
- Only the first process reads the base, into the host's memory; the others get their share of it when the trainer wraps
  the model. No process ever has all of it on its GPU.
- A checkpoint holds whole weights, so that a paused training can be asked as any other.
- At the end the first process reads the base anew and puts what was trained into it: an ordinary model again, which is
  compared, rounded and stored as one that a single process trained.
- accelerate shards on GPUs only. Its code runs as well between processes on a CPU (gloo), where it is tested.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.machine import Machine
from recollect.errors import InputError
from recollect.models import ModelRef
from recollect.models.automatic import weight_count
from recollect.models.load import check_whole, load_weights
from recollect.models.whole import empty_model
from recollect.train.processes import first, tell
from recollect.train.settings import TrainSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FULL_BYTES, LORA_BYTES = 16, 4
"""Bytes for each weight in a training of all of them (the weight, its gradient and AdamW's two moments, in float32),
and of one frozen beside adapters."""
MOST = 0.7
"""The share of a GPU's memory that they may take; the rest is for what a batch needs."""
_WEIGHTS = "pytorch_model_fsdp.bin"


def shards(settings: TrainSettings, ref: ModelRef, count: int, device: str) -> bool:
    """Whether a training in `count` processes shares its weights out. Raises InputError where it is to and cannot."""
    if settings.sharding == "none" or settings.max_steps == 0:
        return False
    if settings.sharding == "auto":
        return count > 1 and device.startswith("cuda") and not _cannot(settings, ref) and _too_large(settings, ref)
    if count == 1:
        raise InputError(
            "sharding fsdp shares the weights out among several processes, but got processes=1. Take --processes 2 or "
            "more, or leave --sharding out."
        )
    if reason := _cannot(settings, ref):
        raise InputError(f"sharding fsdp does not go with {reason}. Take --sharding none.")
    return True


def _cannot(settings: TrainSettings, ref: ModelRef) -> str:
    if ref.quantised:
        return f"a quantised base ({ref.quantised})"
    if settings.method == "lora" and settings.lora_init == "eva":
        return "lora_init eva, for which each process would need the whole base"
    return ""


def _too_large(settings: TrainSettings, ref: ModelRef) -> bool:
    import torch

    each = FULL_BYTES if settings.method == "full" else LORA_BYTES
    return each * weight_count(ref.whole) > MOST * torch.cuda.get_device_properties(0).total_memory


def check_checkpoint(checkpoint: Path | None, sharded: bool) -> None:
    """Raise InputError for a checkpoint of the other kind: neither kind of training can read the other's optimizer."""
    if checkpoint and (checkpoint / _WEIGHTS).is_file() != sharded:
        was, now = ("none", "fsdp") if sharded else ("fsdp", "none")
        raise InputError(
            f"this training was begun with sharding {was}, and its checkpoint {checkpoint} cannot be resumed with "
            f"sharding {now}. Take --sharding {was}, or remove the checkpoint to start anew."
        )


def arguments() -> dict[str, object]:
    """What the trainer is told."""
    os.environ["FSDP_STATE_DICT_TYPE"] = "FULL_STATE_DICT"  # older transformers read it here alone
    how = {"version": 2, "state_dict_type": "FULL_STATE_DICT", "cpu_ram_efficient_loading": True}
    return {"fsdp": True, "fsdp_config": how}


def prepare_processes(device: str) -> None:
    """Before the trainer is made: have accelerate shard on a CPU too."""
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    if device == "cpu":
        PartialState().distributed_type = DistributedType.MULTI_GPU


def sum_in_float32(accelerator: Any) -> None:
    """In mixed precision, add up the processes' gradients in float32, as where nothing is shared out."""
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    accelerator.state.fsdp_plugin.mixed_precision_policy = policy


def load_shared(ref: ModelRef, machine: Machine, processes: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base in the host's memory: whole in the first process, without its values in the others."""
    if first():
        model, tokenizer = load_weights(ref, machine)
        tell(processes, [dict(model.named_buffers())])
        return model, tokenizer
    tokenizer = check_whole(ref)
    model = empty_model(ref.whole, ref.runs_code).to(machine.torch_dtype).to_empty(device="cpu")
    model.tie_weights()
    [buffers] = tell(processes, [None])
    for name, value in buffers.items():  # which nobody hands out later
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, value)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.eval(), tokenizer


def check_shared(model: Any) -> None:
    """Raise RuntimeError for a model that was to be shared out and was not, which accelerate does not say."""
    from torch.distributed.tensor import DTensor

    if whole := [name for name, weight in model.named_parameters() if not isinstance(weight, DTensor)]:
        raise RuntimeError(f"accelerate shared out no weight {whole[0]}.")


def gather(model: Any) -> dict[str, torch.Tensor]:
    """The trained weights, whole, in the first process; the others, which must call it too, get none."""
    from torch.distributed.tensor import DTensor

    found = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            whole = weight.detach()  # of a training found at its end, it was not shared out again
            whole = whole.full_tensor() if isinstance(whole, DTensor) else whole
            if first():
                found[name] = whole.cpu()
    return found


def put_in(model: Any, weights: dict[str, torch.Tensor]) -> None:
    """Put gathered weights into an ordinary model of the same names."""
    import torch

    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if trained.keys() != weights.keys():
        raise RuntimeError(f"other weights came back than were trained: {sorted(trained.keys() ^ weights.keys())[:5]}")
    with torch.no_grad():
        for name, weight in trained.items():
            weight.copy_(weights.pop(name))
