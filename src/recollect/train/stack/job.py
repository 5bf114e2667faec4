"""One training of many, and why one cannot pass together with others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recollect.core.progress import Progress
from recollect.core.workspace import DEFAULT_ROOT
from recollect.train.launch import Judge
from recollect.train.lora_fields import CHANGES_BASE
from recollect.train.settings import TrainSettings


@dataclass(frozen=True)
class TrainJob:
    """A training, as `run_train` and `run_train_until` take it; for `run_trains`.

    Examples:
        `chosen` is the folder of a `run_select`.

        >>> from recollect import TrainJob, TrainSettings
        >>> TrainJob(TrainSettings.make(preset="pocket", method="lora"), chosen).share
        1.0
    """

    settings: TrainSettings
    selection: Path | None = None
    data: Path | None = None
    out: Path | None = None
    root: Path = DEFAULT_ROOT
    share: float = 1.0
    """Pause after this share of the updates."""
    judge: Judge | None = None
    progress: Progress | None = None


def why_not_together(settings: TrainSettings) -> str:
    """Why a training with these settings passes alone; "" where it can pass together with others.

    Examples:
        >>> from recollect import TrainSettings
        >>> why_not_together(TrainSettings.make(method="lora"))
        ''
        >>> why_not_together(TrainSettings.make(method="lora", lora_dora=True))
        'lora_dora trains the length of each weight row beside its direction'
    """
    reasons = {
        "method full changes the base itself": settings.method == "full",
        "lora_dora trains the length of each weight row beside its direction": settings.lora_dora,
        f"lora_init {settings.lora_init} changes the base at the start": settings.lora_init in CHANGES_BASE,
        f"lora_bias {settings.lora_bias} trains biases of the base": settings.lora_bias != "none",
        "lora_modules_to_save trains modules of the base": bool(settings.lora_modules_to_save),
        f"anchor {settings.anchor:g} asks the base beside each update": settings.anchor > 0,
        "gradient_checkpointing computes activations again": settings.gradient_checkpointing,
        "it has processes of its own": settings.processes > 1,
        "report_to shows each training in trackers of its own": settings.report_to != "none",
        "max_steps 0 makes no update": settings.max_steps == 0,
    }
    return next((reason for reason, true in reasons.items() if true), "")
