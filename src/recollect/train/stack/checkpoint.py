"""Checkpoints of one training in a pass, in the transformers trainer's own form: a training that was stopped among
others resumes alone, and the other way round."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import TrainerState
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_pt_utils import safe_globals

from recollect.generate.random import library_seed
from recollect.models.adapter import WEIGHTS
from recollect.train.lora_files import write_weights

if TYPE_CHECKING:
    from recollect.train.stack.lane import Lane

_RANDOM = "rng_state.pth"


def write_checkpoint(lane: Lane) -> None:
    """Write `checkpoint-N` into the training's scratch, the trainer's state last, and remove older ones."""
    older = list(lane.scratch.glob("checkpoint-*"))
    folder = lane.scratch / f"checkpoint-{lane.done}"
    shutil.rmtree(folder, ignore_errors=True)
    write_weights(folder, lane.shell.peft_config["default"], lane.weights())
    optimizer, schedule = lane.steps.state()
    torch.save(optimizer, folder / OPTIMIZER_NAME)
    torch.save(schedule, folder / SCHEDULER_NAME)
    torch.save(_random(lane), folder / _RANDOM)
    lane.state.stateful_callbacks["TrainerControl"] = lane.control.state()
    lane.state.save_to_json(str(folder / TRAINER_STATE_NAME))
    for path in older:
        if path != folder:
            shutil.rmtree(path)


def _random(lane: Lane) -> dict[str, object]:
    seed = library_seed(lane.begun.settings.seed)
    python = random.Random(seed)
    states: dict[str, object] = {
        "python": python.getstate(),
        "numpy": np.random.RandomState(seed).get_state(),
        "cpu": lane.generator.get_state(),
    }
    return states if lane.dropping is lane.generator else states | {"cuda": lane.dropping.get_state()}


def read_checkpoint(folder: Path, lane: Lane) -> TrainerState:
    """Take up weights, optimizer, schedule and random states; returns the trainer's state."""
    stored = load_file(folder / WEIGHTS)
    for name, product in lane.stacked.factors(lane.number, lane.ranks).items():
        product.a.copy_(stored[f"base_model.model.{name}.lora_A.weight"])
        product.b.copy_(stored[f"base_model.model.{name}.lora_B.weight"])
    with safe_globals():
        states = torch.load(folder / _RANDOM, weights_only=True)
    lane.steps.load(
        torch.load(folder / OPTIMIZER_NAME, weights_only=True), torch.load(folder / SCHEDULER_NAME, weights_only=True)
    )
    lane.generator.set_state(states["cpu"])
    if lane.dropping is not lane.generator and "cuda" in states:
        lane.dropping.set_state(states["cuda"])
    return TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
