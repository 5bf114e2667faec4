"""What a training leaves: the model or the adapter, and its log; nothing of a training that broke."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recollect.core.workspace import Step
from recollect.errors import ModelError
from recollect.models import write_base_fingerprint
from recollect.shipped import SHIPPED
from recollect.train.settings import TrainSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def refuse_broken(model: Any, diverged_at: int | None, settings: TrainSettings) -> None:
    """Raise ModelError for a loss or a weight that is no number any more."""
    import torch

    bad = next((name for name, value in model.named_parameters() if not torch.isfinite(value).all()), None)
    if diverged_at is None and bad is None:
        return
    where = f"the loss of step {diverged_at}" if diverged_at else f"the weight {bad}"
    raise ModelError(
        f"the training diverged: {where} is not a finite number. Nothing was stored. "
        f"Lower --learning-rate (it was {settings.learning_rate:g})."
    )


def write_model(
    step: Step,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
    folder: Path,
    log: Sequence[dict[str, Any]],
) -> None:
    """Write `model/` and `log.parquet` into the step."""
    import torch

    target = step.folder / "model"
    shutil.rmtree(target, ignore_errors=True)
    if settings.method == "lora":
        base_name = settings.model if settings.model in SHIPPED else str(folder.resolve())
        config = model.peft_config["default"]
        config.base_model_name_or_path = base_name
        config.target_modules = _in_order(config.target_modules)  # a set: its order differs between processes
        if settings.save_dtype != "base":
            model = model.to(getattr(torch, settings.save_dtype))
        model.save_pretrained(target, save_embedding_layers=False)
        write_base_fingerprint(target, str(step.inputs["model"]))
        (target / "README.md").unlink(missing_ok=True)
    else:
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    table = pl.DataFrame(
        [(int(entry["step"]), float(entry["loss"]), float(entry["learning_rate"])) for entry in log],
        schema={"step": pl.Int64, "loss": pl.Float64, "learning_rate": pl.Float64},
        orient="row",
    )
    step.write_table("log.parquet", table)


def _in_order(names: Any) -> Any:
    """A set as a sorted list, so that equal trainings write equal bytes; anything else as it is."""
    return sorted(names) if isinstance(names, set) else names
