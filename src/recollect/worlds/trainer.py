"""Training a base with the transformers trainer: what both worlds share. Imported only when a training starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments


class Report(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Tells `progress` the steps made and to make."""

    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After each optimizer step."""
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps)


def arguments(
    checkpoints: Path, *, seed: int, batch_size: int, learning_rate: float, weight_decay: float, **own: Any
) -> TrainingArguments:
    """One quiet pass over the rows with AdamW on a cosine, with checkpoints; `own`: further settings of the world."""
    return TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=batch_size,
        num_train_epochs=1,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        adam_beta2=0.98,
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        save_total_limit=1,
        logging_steps=50,
        report_to=[],
        disable_tqdm=True,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        **own,
    )
