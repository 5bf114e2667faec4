"""Training a base with the transformers trainer. Imported only when a training starts: it loads torch and transformers.

Notable choices
- AdamW on a cosine, no dropout, one pass; checkpoints to resume from.
- Rows that are read in order carry loss where something is said, not on the page before it; the output layer is
  computed there alone, and attention plainly ("eager"): at these lengths that is faster on a CPU than the fused kernel.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from recollect.generate.random import library_seed
from recollect.models import without_bars
from recollect.train.checkpoints import last_checkpoint

if TYPE_CHECKING:
    from recollect.worlds.builder import Progress, Recipe

Row = tuple[list[int], int]  # the tokens of a document, and how many of them carry no loss


def train(recipe: Recipe, folder: Path, progress: Progress | None) -> tuple[float | None, float]:
    """Train and save model and tokenizer to `folder`; returns the last loss that was logged, and the mean loss.

    A killed training resumes from its last checkpoint in `folder/../checkpoints`.
    """
    checkpoints = folder.parent / "checkpoints"
    model, kind = recipe.model, _InOrder if recipe.in_order else Trainer
    if recipe.in_order:
        model.set_attn_implementation("eager")
    trainer = kind(
        model=model,
        args=_arguments(recipe, checkpoints),
        train_dataset=recipe.rows,
        data_collator=(lambda rows: collate(rows, model.config.pad_token_id)) if recipe.in_order else None,
        callbacks=[_Report(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    found = last_checkpoint(checkpoints)
    with without_bars():
        result = trainer.train(resume_from_checkpoint=None if found is None else str(found))
        model.set_attn_implementation("sdpa")
        model.eval().to(dtype=torch.bfloat16, device="cpu").save_pretrained(folder)
        recipe.tokenizer.save_pretrained(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    return losses[-1] if losses else None, float(result.training_loss)


def collate(rows: Sequence[Row], pad: int) -> dict[str, torch.Tensor]:
    """input_ids and labels of shape [rows, longest]; labels are -100 where no loss is carried, and on padding."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), -100)
    for at, (row, page) in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        labels[at, page : len(row)] = torch.tensor(row[page:])
    return {"input_ids": ids, "labels": labels}


def _arguments(recipe: Recipe, checkpoints: Path) -> TrainingArguments:
    settings = recipe.settings
    own = {"optim": "adamw_torch_fused", "bf16": _has_fast_bfloat16(), "remove_unused_columns": False}
    return TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=1,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adam_beta2=0.98,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_steps,
        max_grad_norm=1.0,
        save_steps=recipe.save_steps,
        save_total_limit=1,
        logging_steps=50,
        report_to=[],
        disable_tqdm=True,
        seed=library_seed(settings.seed),
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        **(own if recipe.in_order else {}),
    )


def _has_fast_bfloat16() -> bool:
    """Whether computing in bfloat16 pays on this machine; weights and their updates stay in float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class _InOrder(Trainer):  # type: ignore[misc]  # transformers has no types
    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        """Cross-entropy over the labelled tokens; the output layer is computed for these alone."""
        hidden = model.model(inputs["input_ids"], use_cache=False).last_hidden_state[:, :-1]
        labels = inputs["labels"][:, 1:]
        said = labels != -100
        return torch.nn.functional.cross_entropy(model.lm_head(hidden[said]).float(), labels[said])


class _Report(TrainerCallback):  # type: ignore[misc]
    """Tells `progress` the steps made and to make."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After each optimizer step."""
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps)
