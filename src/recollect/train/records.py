"""The log of a training; and what dashboards read of it, in the files and words of Hugging Face's scripts.

`trainer_state.json` is the trainer's own; `train_results.json` and `all_results.json` hold the same few numbers. No
times, as in every table of a step: the same training writes the same files.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recollect.core.workspace import Step

if TYPE_CHECKING:
    from transformers import TrainerState

RESULTS = ("train_results.json", "all_results.json")
STATE = "trainer_state.json"
_TIMES = ("train_runtime", "train_samples_per_second", "train_steps_per_second")


def write_log(step: Step, log: Sequence[Any]) -> None:
    """Write `log.parquet`: loss and learning rate of every update."""
    table = pl.DataFrame(
        [(int(entry["step"]), float(entry["loss"]), float(entry["learning_rate"])) for entry in log],
        schema={"step": pl.Int64, "loss": pl.Float64, "learning_rate": pl.Float64},
        orient="row",
    )
    step.write_table("log.parquet", table)


def write_records(folder: Path, state: TrainerState, examples: int) -> None:
    """Write the three files into a train step; for a training that made no update, its empty state."""
    history = [{name: value for name, value in entry.items() if name not in _TIMES} for entry in state.log_history]
    kept = dataclasses.replace(state, log_history=[entry for entry in history if entry.keys() - {"epoch", "step"}])
    kept.save_to_json(str(folder / STATE))
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    found = {
        "epoch": state.epoch,
        "total_flos": state.total_flos,
        "train_loss": sum(losses) / len(losses) if losses else None,
        "train_samples": examples,
        "train_steps": state.global_step,
    }
    for name in RESULTS:
        text = json.dumps({key: value for key, value in found.items() if value is not None}, indent=4, sort_keys=True)
        (folder / name).write_text(text + "\n", encoding="utf-8")
