"""Learning rate and epochs that fit the model and the number of examples, and what will not move a model.

Notable choices
- What decides is the sum of the rates of all updates, here rate x updates. On SmolLM2-135M (random EntityQuestions
  facts, batch 8) the gain came at 0.8e-3 to 1.2e-3, with 15 examples as with 60; below 0.5e-3 the answers stayed the
  base's; above 2e-3 some were worse again and some not. One training a row, and the rule was read off the same rows:
  the table is in docs/training.md; benchmarks/rates_real.py makes it.
- With the width of the model the rate falls as 1 / width (Tensor Programs V, arXiv 2203.03466). From SmolLM2's 576 that
  leads to 0.7e-5 to 2.8e-5 at a width of 4,096: the studies' 1e-5 to 2e-5 for models of 7 B and 8 B lie in it.
- Adapters get ten times the rate, as "LoRA Without Regret" (2025) found, and it falls more slowly with the width, as
  width ** -0.781: the exponent that Tinker's cookbook gives for Llama. On SmolLM2, with adapters on every linear layer,
  ten times the rate moved the answers as training all parameters does, a third of it did not, and three times it did
  so less; adapters on q_proj and v_proj alone moved little at any of them (docs/lora.md, benchmarks/lora_real.py).
- Few epochs: 15 examples read twelve times at 5e-5 scored less than read three times at 2e-4 (one training each).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from recollect.train.settings import PRESETS, TrainSettings

VERSION = 1
"""Part of the fingerprint of a training that leaves a choice to this file; raised when the choice changes."""
SUM = 1e-3
"""Rate x updates that is aimed at, at the width `WIDTH`."""
LEAST_SUM = 5e-4
"""Below this the measured models answered as the base does."""
LOWEST, HIGHEST = 5e-5, 2e-4
"""Rates at the width `WIDTH` between which the choice stays."""
WIDTH = 576
"""Of SmolLM2-135M, on which the numbers were measured."""
LORA = 10.0
LORA_WIDTH = 0.781
"""Exponent of the width in the rate of adapters; 1 for all parameters."""
LORA_STARTS = {"pissa": 1 / 3, "pissa_niter_4": 1 / 3, "pissa_niter_16": 1 / 3, "olora": 1 / 10}
"""The share of that rate for adapters that start with parts of the base, which move it by more: measured there too."""
LORA_VERSION = 2
"""As VERSION, for adapters: 2 knows LORA_WIDTH and LORA_STARTS, and puts them on every linear layer with an alpha for
their rank."""
_UPDATES, _EPOCHS = 8, 3
HARDLY = "can hardly move this model"
"""In the warning, by which who chooses rates on purpose can pass over it."""


@dataclass(frozen=True)
class Plan:
    """How a training will go."""

    learning_rate: float
    epochs: float
    updates: int
    """Of the whole schedule."""
    note: str = ""
    """What was chosen and why; empty where nothing was."""
    warning: str = ""
    """Why the training can hardly move the model; empty otherwise."""


def auto_input(settings: TrainSettings) -> dict[str, str]:
    """For the fingerprint of whatever trains: by which version of this file it chooses, where it does."""
    lora = settings.method == "lora"
    found = {"auto": str(VERSION)} if "auto" in (settings.learning_rate, settings.epochs) else {}
    if found and lora:
        found["auto"] = str(LORA_VERSION)
    said = {*settings.model_fields_set, *PRESETS.get(settings.preset or "", {})}
    if lora and not {"lora_targets", "lora_alpha"} <= said:  # a section of a study counts by what it says
        found["lora"] = str(LORA_VERSION)
    return found


def updates_of(settings: TrainSettings, examples: int, epochs: float) -> int:
    """Updates of the whole schedule, as the trainer counts them."""
    if settings.max_steps is not None:
        return settings.max_steps
    return math.ceil(epochs * math.ceil(examples / settings.batch_size))


def plan(settings: TrainSettings, examples: int, width: int) -> Plan:
    """The rate and the epochs of a training, where they are left to it, and what to say of them before it starts.

    width: the model's hidden size.

    Examples:
        >>> from recollect import TrainSettings
        >>> chosen = plan(TrainSettings(), 60, width=576)
        >>> chosen.learning_rate, chosen.epochs, chosen.updates
        (0.00013, 1.0, 8)
        >>> plan(TrainSettings.make(preset="C"), 15, width=576).warning
        '2 updates at rate 1e-05 ...'
    """
    each = math.ceil(examples / settings.batch_size)
    epochs = settings.epochs
    if epochs == "auto":
        epochs = float(min(_EPOCHS, math.ceil(_UPDATES / max(1, each))))
    updates = updates_of(settings, examples, epochs)
    adapters, power = 1.0, 1.0
    if settings.method == "lora":
        adapters, power = LORA * LORA_STARTS.get(settings.lora_init, 1.0), LORA_WIDTH
    scale = (WIDTH / width) ** power * adapters
    rate = settings.learning_rate
    if rate == "auto":
        rate = float(f"{min(HIGHEST, max(LOWEST, SUM / max(1, updates))) * scale:.1e}")
    note = ""
    if updates and "auto" in (settings.learning_rate, settings.epochs):
        note = (
            f"chosen for {examples:,} examples and a model of width {width:,}: rate {rate:g}{_whose(settings)}, "
            f"{epochs:g} epoch{'' if epochs == 1 else 's'}, {updates:,} update{'' if updates == 1 else 's'} of "
            f"{settings.batch_size} examples (--learning-rate and --epochs set them)"
        )
    warning = _stands_still(settings, examples, updates) or _hardly_moves(rate, updates, min(scale, adapters))
    return Plan(rate, epochs, updates, note, warning)


def factors(settings: TrainSettings, updates: int) -> list[float]:
    """What the highest rate is multiplied by in each update, by warm-up and schedule, as the trainer does it."""
    warm = math.ceil(settings.warmup_ratio * updates)
    found = []
    for update in range(updates):
        left = (updates - update) / max(1, updates - warm)
        if update < warm:
            found.append(update / warm)
        elif settings.schedule == "constant":
            found.append(1.0)
        else:
            found.append(left if settings.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left)))
    return found


def _stands_still(settings: TrainSettings, examples: int, updates: int) -> str:
    """Why a training changes nothing at all: every update has rate 0."""
    if not updates or any(factors(settings, updates)):
        return ""
    count = "its one update has" if updates == 1 else f"its {updates} updates have"
    return (
        f"this training will change nothing: {count} rate 0, since the rate only begins to rise there (warmup_ratio "
        f"{settings.warmup_ratio:g}); an epoch of {examples:,} examples at batch_size {settings.batch_size} has "
        f"{math.ceil(examples / settings.batch_size):,}. Set --warmup-ratio 0, or make more updates: a smaller "
        "--batch-size, more --epochs."
    )


def _whose(settings: TrainSettings) -> str:
    return (
        f" for adapters of rank {settings.lora_r} and scale {_scale(settings):.3g}" if settings.method == "lora" else ""
    )


def _scale(settings: TrainSettings) -> float:
    """What the product of the adapters' factors is multiplied by."""
    return settings.alpha / (math.sqrt(settings.lora_r) if settings.lora_rslora else settings.lora_r)


def _hardly_moves(rate: float, updates: int, scale: float) -> str:
    """Why so few updates do little. The rule's scale ends at 1: models narrower than the measured one move by less."""
    if not updates or rate * updates >= LEAST_SUM * scale:
        return ""
    wanted = LEAST_SUM * scale / rate
    return (
        f"{updates} update{'' if updates == 1 else 's'} at rate {rate:g} {HARDLY}: rate x updates is "
        f"{rate * updates:.1e}, and below {LEAST_SUM * scale:.1e} the models we measured answered as their base did. "
        f"Leave --learning-rate and --epochs at auto, raise the rate, or make {math.ceil(wanted):,} updates "
        "(docs/training.md#train)."
    )
