"""How much memory and disk a plan needs: from the parameters, the number formats and the batch; nothing is loaded.

Notable choices
- A full training holds weights, gradients and AdamW's two moments; mixed precision keeps them in float32. The base lies
  beside it, since every training starts from a copy of it.
- Activations follow *Reducing Activation Recomputation in Large Transformer Models* (arXiv 2205.05198, eq. 1 without
  the attention scores, which the fused kernels do not keep): 34 bytes a token, layer and width in half precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from recollect.core.machine import Machine
from recollect.evaluate import EvaluateSettings
from recollect.experiments.plan.known import KnownModel
from recollect.models import machine_of
from recollect.train import TrainSettings, training_machine
from recollect.train.model import mixed_precision

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_ACTIVATIONS = 34
"""Bytes a token, layer and width, in a format of two bytes."""
_ADAPTERS = 0.02
"""Share of the parameters that adapters of rank 16 on every linear layer are, at most: 3.6 % of SmolLM2's are in it at
rank 32."""
_TEXT = 25
"""Bytes on disk of a stored completion: 482,738 of 66,738 draws on the pocket are 7; longer ones take more."""
_FACT = 260
"""Bytes on disk of a fact's row of levels: 804,652 of 3,124 facts on the pocket."""
_ANSWER = 35
"""Bytes on disk of a stored answer: 48,894 of 1,584 on the pocket."""
_TOKEN = 40
"""Bytes on disk of a compared token: 489,259 of some 17,000 on the pocket."""
_STEP = 20_000
"""Bytes of a step's manifest and small tables."""
_PAGE = 800_000
"""Bytes of an experiment's page with its record: a curve of the pocket with 19 steps is 1.26 million in all."""


@dataclass(frozen=True)
class Asked:
    """What a model in memory is asked at once."""

    rows: int
    """Texts side by side."""
    tokens: float
    """Of each, at most."""


def number_bytes(dtype: str) -> int:
    """Bytes of one number of a format."""
    return _BYTES.get(dtype, 4)


def asking_bytes(model: KnownModel, machine: Machine, asked: Asked) -> int | None:
    """Of a model that answers; None where its size is not known."""
    if model.parameters is None:
        return None
    size = number_bytes(machine.dtype)
    logits = asked.rows * (model.vocabulary or 0) * 4 * 2
    cache = asked.rows * asked.tokens * (model.cached or 0) * size
    return math.ceil(model.parameters * size + logits + cache)


def training_bytes(model: KnownModel, settings: TrainSettings, machine: Machine, tokens: float) -> int | None:
    """Of one training, without the base beside it; tokens: of an example, padded."""
    if model.parameters is None:
        return None
    mixed = mixed_precision(settings, machine.device, model.ref.quantised if model.ref else "")
    size = 4 if mixed else number_bytes(machine.dtype)
    copies = 4.0 if settings.method == "full" else 1 + 4 * _ADAPTERS  # weights; gradients, two moments of what trains
    held = model.parameters * copies * size
    piece = settings.batch_size / settings.gradient_accumulation
    computed = 2 if mixed else size
    kept = _ACTIVATIONS * (model.layers or 0) * (model.width or 0) * computed / 2
    if settings.gradient_checkpointing:
        kept = kept / max(1.0, math.sqrt(model.layers or 1))
    return math.ceil(held + piece * tokens * (kept + 3 * 4 * (model.vocabulary or 0)))


def cell_bytes(model: KnownModel, train: TrainSettings, evaluate: EvaluateSettings, tokens: float) -> int | None:
    """Of a cell: the base in memory, and beside it the training, or the model that is asked."""
    machine = machine_of(evaluate)
    base = asking_bytes(model, machine, Asked(0, 0))
    training = training_bytes(model, train, training_machine(train), tokens)
    asking = asking_bytes(model, machine, Asked(evaluate.batch_size, tokens + 16))
    if base is None or training is None or asking is None:
        return None
    return held_now(machine) + base + max(training, asking)


def held_now(machine: Machine) -> int:
    """Bytes that this process holds with its libraries, before a model; nothing of it is on a GPU."""
    import psutil

    return 0 if machine.device.startswith("cuda") else int(psutil.Process().memory_info().rss)


def stored_bytes(model: KnownModel, settings: TrainSettings) -> int | None:
    """Of the weights that a training leaves."""
    if model.parameters is None:
        return None
    if settings.method == "lora":
        return math.ceil(model.parameters * _ADAPTERS * 4)
    if settings.save_dtype != "base":
        return model.parameters * number_bytes(settings.save_dtype)
    return model.stored or model.parameters * 2


def weights_kept(each: int, trainings: float, all_of_them: bool) -> float:
    """Bytes of trained models at the most at one time: of all, or of the one at work."""
    return each * (trainings if all_of_them else min(1, trainings))


def checkpoint_bytes(model: KnownModel, settings: TrainSettings, machine: Machine) -> int | None:
    """Of a checkpoint that a training resumes from: weights and AdamW's moments."""
    if model.parameters is None:
        return None
    trained = model.parameters * (1 if settings.method == "full" else _ADAPTERS)
    return math.ceil(trained * 3 * number_bytes(machine.dtype))


@dataclass(frozen=True)
class Stored:
    """What an experiment leaves on disk, in counts."""

    completions: float = 0.0
    facts: float = 0.0
    answers: float = 0.0
    compared: float = 0.0
    steps: int = 0
    pages: int = 0
    weights: float = 0.0
    """Bytes of models and checkpoints, at the most at one time."""

    @property
    def bytes(self) -> int:
        """All together."""
        rows = self.completions * _TEXT + self.facts * _FACT + self.answers * _ANSWER + self.compared * _TOKEN
        return math.ceil(rows + self.steps * _STEP + self.pages * _PAGE + self.weights)
