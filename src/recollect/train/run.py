"""One training run: a base model and a selection in, a model folder and its log out.

Notable choices
- The loss is on the answer and the end token only; the prompt carries none.
- A training starts from the base exactly as stored: a copy in memory that has rounded it is read from disk again.
- Zero steps store the base exactly as stored: every comparison with "no training" starts from there.
- Loading, computing and storing are three number formats; the metrics name all three and what rounding took away.
- The stored configuration is the base's own, whatever the trainer wrote into it on the way.
- With several processes (accelerate launch, torchrun), the first one alone opens and writes the step.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, open_step, step_input
from recollect.errors import InputError, ModelError
from recollect.generate.encoding import check_context
from recollect.models import LoadedModel, check_folder, find_model, model_fingerprint
from recollect.models.stored import cast_as_stored, format_warnings
from recollect.prompt import check_answers, encode_example
from recollect.train.checkpoints import last_checkpoint
from recollect.train.settings import TrainSettings
from recollect.train.start import load_base, mixed_precision, with_adapters
from recollect.train.store import refuse_broken, write_model

if TYPE_CHECKING:
    pass

Judge = Callable[[Sequence[tuple[int, float]]], str]
"""Given the losses so far as (update, loss): why to stop the training, or nothing."""

_CHECKPOINTS = "parts"  # scratch of a step: removed when it finishes


@dataclass(frozen=True)
class TrainResult:
    """The step directory and the run's metrics."""

    path: Path
    metrics: dict[str, Any]

    @property
    def model_folder(self) -> Path:
        """The trained model, or the adapter."""
        return self.path / "model"


@dataclass(frozen=True)
class PausedTraining:
    """A training that stopped on the way, with all it needs to go on; `run_train` with the same arguments finishes it.

    Kept are weights, optimizer, schedule, random states and the place in the data.
    """

    path: Path
    """Where the step directory will be when it is finished."""
    model_folder: Path
    """The model, or the adapter, as it is now; it moves on with the training."""
    step: int
    """Updates made."""
    steps: int
    """Updates of the whole training, for which the schedule is sized."""
    log: tuple[dict[str, float], ...]
    """Loss and learning rate of every update so far."""


@dataclass(frozen=True)
class _Until:
    """Where a training ends before its end: at a share of its updates, or when the judge says so."""

    share: float | None = None
    judge: Judge | None = None


def run_train(
    settings: TrainSettings,
    selection: Path,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    base: LoadedModel | None = None,
) -> TrainResult:
    """Fine-tune the base on the facts of a select step; stores `model/` and `log.parquet` (step, loss,
    learning_rate).

    `base`, when it is loaded already, is copied and left as it is; it must be the model that `settings`
    names. Where it is held in a number format that has rounded the stored weights, or on another device than the
    settings name, its folder is read again, so that every training starts from the base as stored. Raises InputError
    for an example longer than max_length or LoRA targets that are not there, and ModelError when the base is broken or
    the run diverges to NaN. A paused training goes on where it was.
    """
    result = _run(settings, selection, out, root, progress, base, _Until())
    assert isinstance(result, TrainResult)
    return result


def run_train_until(
    settings: TrainSettings,
    selection: Path,
    share: float,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    base: LoadedModel | None = None,
    judge: Judge | None = None,
) -> TrainResult | PausedTraining:
    """Train to a share (above 0, up to 1) of the updates and pause there; the schedule is that of the whole training.

    Finishing the training later, with `run_train` or a larger share, gives what an uninterrupted one gives: the same
    bytes on a CPU. With share 1, or where rounding leaves nothing to do, the result is the finished training.

    judge: called after every update with the losses so far, as (update, loss); when it returns a reason, the training
    stops at once with a ModelError of it. Raises what `run_train` raises, and InputError for a share that is none.
    """
    if not 0 < share <= 1:
        raise InputError(f"share must be above 0 and at most 1, but got {share!r}.")
    return _run(settings, selection, out, root, progress, base, _Until(None if share == 1 else share, judge))


def _run(
    settings: TrainSettings,
    selection: Path,
    out: Path | None,
    root: Path,
    progress: Callable[[int, int], None] | None,
    base: LoadedModel | None,
    until: _Until,
) -> TrainResult | PausedTraining:
    step_input(selection, "select")
    rows = pl.read_parquet(selection / "selection.parquet", glob=False, columns=["fact_id", "question", "object"])
    folder = base.folder if base else find_model(settings.model, settings.revision)
    check_folder(folder, trust_remote_code=settings.trust_remote_code, revision=settings.revision)
    if settings.method == "lora" and (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder} is an adapter itself; LoRA needs a base with weights of its own. Take --method full."
        )
    inputs = {
        "model": base.fingerprint if base else model_fingerprint(folder),
        "selection": fingerprint(rows.to_dict(as_series=False)),
    }
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if rank > 0:
        return _follow(settings, rows, folder, base, world, progress, until)
    with open_step("train", settings.fingerprint_values(), inputs, out, root) as step:
        _share(world, [str(step.folder), step.done])
        if not step.done:
            if until.share is not None and (found := _paused(step, until.share)):
                return found
            metrics = _train(settings, rows, folder, base, world, step.folder, progress, step, until)
            if metrics.get("paused_at"):
                paused = _paused(step, until.share or 1.0)
                assert paused is not None
                return paused
            step.finish({**metrics, "sources": {"model": settings.model, "selection": str(selection)}})
        return TrainResult(step.path, step.metrics)


def _train(
    settings: TrainSettings,
    rows: pl.DataFrame,
    folder: Path,
    base: LoadedModel | None,
    world: int,
    target: Path,
    progress: Callable[[int, int], None] | None,
    step: Step | None,
    until: _Until,
) -> dict[str, Any]:
    """Load, train and, where `step` is given (the first process), write. Returns the metrics; of a training that paused
    nothing but the update."""
    model, tokenizer, device = load_base(settings, folder, base)
    trained_in = str(model.dtype).removeprefix("torch.")
    if step:
        mixed = mixed_precision(settings, device) and settings.max_steps != 0
        step.pin(device=device, dtype=trained_in, computed_in="bfloat16" if mixed else trained_in, processes=world)
    config, generation = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    examples = [
        encode_example(tokenizer, row["question"], row["object"], settings.prompt_template)
        for row in rows.iter_rows(named=True)
    ]
    for row, (ids, _) in zip(rows.iter_rows(named=True), examples, strict=True):
        if len(ids) > settings.max_length:
            raise InputError(
                f"fact {row['fact_id']} has {len(ids)} tokens; max_length is {settings.max_length}. "
                "Raise --max-length or leave the fact out."
            )
    names = [f"the example of fact {fact_id}" for fact_id in rows["fact_id"]]
    check_context(model.config, [ids for ids, _ in examples], names, remedy="Leave the fact out or take another model.")
    notes = check_answers(tokenizer, examples, rows["object"].to_list())
    from recollect.train import trainer as _trainer

    started = time.monotonic()
    watch = _trainer.Watch(progress, until.share, until.judge)
    with _trainer.undisturbed(device):
        log: list[dict[str, Any]] = []
        if settings.method == "lora":
            model = with_adapters(model, settings)
        if settings.max_steps != 0:
            checkpoints = target / _CHECKPOINTS
            trainer = _trainer.build_trainer(
                model,
                tokenizer,
                examples,
                settings,
                device=device,
                mixed=mixed_precision(settings, device),
                world=world,
                folder=checkpoints,
                watch=watch,
            )
            trainer.train_from(last_checkpoint(checkpoints))
            log = [entry for entry in trainer.state.log_history if "loss" in entry]
            if watch.stopped:
                raise ModelError(watch.stopped)
            if watch.paused_at is not None and watch.diverged_at is None:
                return {"paused_at": watch.paused_at}
            model = trainer.accelerator.unwrap_model(trainer.model)
    seconds = time.monotonic() - started
    refuse_broken(model, watch.diverged_at, settings)
    plain = model.get_base_model() if settings.method == "lora" else model
    plain.config, plain.generation_config = config, generation
    moved = cast_as_stored(model, folder, settings.save_dtype) if settings.method == "full" else None
    if step:
        write_model(step, model, tokenizer, settings, folder, log)
    return {
        "steps": len(log),
        "examples": rows.height,
        "notes": notes,
        "answer_tokens": sum(sum(mask) for _, mask in examples),
        "first_loss": log[0]["loss"] if log else None,
        "last_loss": log[-1]["loss"] if log else None,
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "weights_moved": None if moved is None else moved.trained,
        "weights_moved_as_stored": None if moved is None else moved.stored,
        "warnings": format_warnings(moved, trained_in) if log and settings.method == "full" else [],
        "seconds": round(seconds, 3),
    }


def _paused(step: Step, share: float) -> PausedTraining | None:
    """The training as its last checkpoint has it, if that is at the share or beyond."""
    from recollect.train.trainer import pause_step

    checkpoint = last_checkpoint(step.folder / _CHECKPOINTS)
    if checkpoint is None:
        return None
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    done, steps = int(state["global_step"]), int(state["max_steps"])
    if done < pause_step(share, steps):
        return None
    log = tuple(
        {"step": float(entry["step"]), "loss": float(entry["loss"]), "learning_rate": float(entry["learning_rate"])}
        for entry in state["log_history"]
        if "loss" in entry
    )
    return PausedTraining(step.path, checkpoint, done, steps, log)


def _share(world: int, message: list[Any]) -> list[Any]:
    """Send the first process's message to all; with one process, nothing happens."""
    if world > 1:
        from accelerate.utils import broadcast_object_list

        _join()
        broadcast_object_list(message)
    return message


def _join() -> None:
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())


def _follow(
    settings: TrainSettings,
    rows: pl.DataFrame,
    folder: Path,
    base: LoadedModel | None,
    world: int,
    progress: Callable[[int, int], None] | None,
    until: _Until,
) -> TrainResult:
    """The other processes: train along with the first one, write nothing."""
    target, done = _share(world, [None, None])
    partial = Path(target)
    final = partial.with_name(partial.name.removesuffix(".partial"))
    metrics = {} if done else _train(settings, rows, folder, base, world, partial, progress, None, until)
    return TrainResult(final, metrics)
