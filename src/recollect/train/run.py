"""One training run: a base model and a selection in, a model folder and its log out.

Notable choices
- The loss is on what is learned only (see `examples`): an answer and its end, or turns of the assistant.
- A training starts from the base exactly as stored: a copy in memory that has rounded it is read from disk again.
- What a training goes through whether it is alone or not is in `training`; many in one pass are in `stack`.
- With several processes (`--processes`, or a launcher), the first one alone opens and writes the step. It tells the
  others which checkpoint to resume from and, when all is written, what became of the training.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.progress import Progress
from recollect.core.workspace import DEFAULT_ROOT, Step
from recollect.errors import ModelError
from recollect.models import LoadedModel, resolve
from recollect.models.formats import cast_as_stored
from recollect.train.anchor import anchor_of, text_ids
from recollect.train.checkpoints import last_checkpoint
from recollect.train.examples import read_source
from recollect.train.found import PausedTraining, TrainFound, TrainResult
from recollect.train.launch import Hears, Judge, launch
from recollect.train.lora import Factors, refusing_uncalled, with_adapters
from recollect.train.model import load_again, load_base, refuse_broken, write_model
from recollect.train.processes import check_room, first, started, tell
from recollect.train.settings import TrainSettings
from recollect.train.sharding import check_checkpoint, gather, put_in
from recollect.train.trackers import place_of_logs
from recollect.train.training import (
    Ended,
    Training,
    begin,
    check_share,
    finish,
    finished,
    found_of,
    open_training,
    paused,
    read_training,
    write_ended,
)

if TYPE_CHECKING:
    import torch

    from recollect.train.trainer import Example


def run_train(
    settings: TrainSettings,
    selection: Path | None = None,
    *,
    data: Path | None = None,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
    base: LoadedModel | None = None,
) -> TrainResult:
    """Fine-tune the base on the facts of a select step, or on the conversations of `data`: the train part of a file or
    a folder of files, or of what a data step looked at. Stores `model/` and `log.parquet` (step, loss, learning_rate).

    `base`, when it is loaded already, is copied and left as it is; it must be the model that `settings` names. Where it
    is in memory in a number format that has rounded the stored weights, or on another device than the settings name,
    its folder is read again, so that every training starts from the base as stored. Raises InputError for an example
    longer than max_length or LoRA targets that are not there, and ModelError when the base is broken or the run
    diverges to NaN. A paused training resumes where it was.

    Examples:
        `chosen` is the folder of a `run_select`.

        >>> from recollect import TrainSettings, run_train
        >>> tuned = run_train(TrainSettings.make(preset="pocket", max_steps=2), chosen)
        >>> tuned.found.steps, tuned.found.examples
        (2, 8)
        >>> sorted(path.name for path in tuned.model_folder.glob("*.safetensors"))
        ['model.safetensors']
    """
    result = run_training(read_training(*read_source(settings, selection, data), progress, base), out, root)
    assert isinstance(result, TrainResult)
    return result


def check_train(settings: TrainSettings, selection: Path | None = None, data: Path | None = None) -> None:
    """Read what is to be learned and the base's folder, which `run_train` does first, without torch, which takes
    seconds. Raises what that raises for them."""
    settings, _ = read_source(settings, selection, data)
    resolve(settings)


def run_train_until(
    settings: TrainSettings,
    selection: Path,
    share: float,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
    base: LoadedModel | None = None,
    judge: Judge | None = None,
) -> TrainResult | PausedTraining:
    """Train to a share (above 0, up to 1) of the updates and pause there; the schedule is that of the whole training.

    Finishing the training later, with `run_train` or a larger share, gives what an uninterrupted one gives: the same
    bytes on a CPU. With share 1, or where rounding leaves nothing to do, the result is the finished training.

    judge: called after every update with the losses so far, as (update, loss); when it returns a reason, the training
    stops at once with a ModelError of it. Raises what `run_train` raises, and InputError for a share that is none.

    Examples:
        `chosen` is the folder of a `run_select`.

        >>> from recollect import TrainSettings, run_train, run_train_until
        >>> settings = TrainSettings.make(preset="pocket", max_steps=2)
        >>> paused = run_train_until(settings, chosen, share=0.5)
        >>> run_train(settings, chosen).found.steps  # finishes it: one step more
        2
    """
    check_share(settings, share)
    training = read_training(*read_source(settings, selection, None), progress, base)
    return run_training(replace(training, share=share, judge=judge), out, root)


def run_training(training: Training, out: Path | None, root: Path) -> TrainResult | PausedTraining:
    """The same of what `read_training` read."""
    if training.processes > started():
        return _start_processes(training, out, root)
    if not first():
        return _follow(training)
    with open_training(training, out, root) as step:
        scratch = step.scratch()
        checkpoint = None if step.done else last_checkpoint(scratch)
        check_checkpoint(checkpoint, training.sharded)
        ended = finished(step) if step.done else paused(training, step.path, checkpoint)
        tell(training.processes, [scratch, checkpoint, ended])
        if ended is None:
            found = _train(training, scratch, checkpoint, step)
            if found is None:
                ended = paused(training, step.path, last_checkpoint(scratch))
            else:
                ended = finish(training, step, found)
            assert ended is not None
            tell(training.processes, [ended])
        return ended


def _start_processes(training: Training, out: Path | None, root: Path) -> TrainResult | PausedTraining:
    """Have the training's processes started; what is in the way of the step is refused before."""
    device = training.device
    with open_training(training, out, root) as step:
        if step.done:
            return finished(step)
    check_room(training.processes, device)
    work = partial(_join, replace(training, base=None, progress=None, judge=None), out, root)
    return launch(work, training.processes, Hears(training.progress, training.judge), device)


def _join(training: Training, out: Path | None, root: Path, hears: Hears) -> TrainResult | PausedTraining:
    """The life of one of them."""
    return run_training(replace(training, progress=hears.progress, judge=hears.judge), out, root)


def _follow(training: Training) -> TrainResult | PausedTraining:
    """The other processes: train along with the first one, write nothing."""
    scratch, checkpoint, told = tell(training.processes, [None, None, None])
    if told is None:
        _train(training, scratch, checkpoint, None)
        [told] = tell(training.processes, [None])
    ended: TrainResult | PausedTraining = told
    return ended


def _train(training: Training, scratch: Path, checkpoint: Path | None, step: Step | None) -> TrainFound | None:
    """Load, train and, where `step` is given (the first process), write; None when the training paused."""
    from transformers import TrainerState

    from recollect.train import trainer as _trainer

    with _trainer.undisturbed():
        sharing = training.processes if training.sharded else 1
        model, tokenizer, device = load_base(training.settings, training.ref, training.base, sharing)
        begun = begin(training, model, tokenizer, device, step)
        settings, examples = begun.settings, begun.learned.examples
        started = time.monotonic()
        watch = _trainer.Watch(training.progress, training.share, training.judge)
        with _trainer.quiet(device):
            start: Factors = {}
            state = TrainerState()
            if settings.method == "lora":
                adapted = with_adapters(model, settings, examples)
                model, start = adapted.model, adapted.start
            if settings.max_steps != 0:
                anchor = anchor_of(settings, model, text_ids(tokenizer, training.texts, model.config))
                setup = _trainer.Setup.of(training, begun, device, scratch, anchor)
                if step:
                    place_of_logs(step.path)
                trainer = _trainer.build_trainer(model, tokenizer, examples, setup, watch)
                with refusing_uncalled(model):
                    trainer.train_from(checkpoint)
                state = trainer.state
                if watch.stopped:
                    raise ModelError(watch.stopped)
                if watch.paused_at is not None and watch.diverged_at is None:
                    return None
                begun.learned.notes.extend(anchor.notes if anchor else ())
                model = trainer.accelerator.unwrap_model(trainer.model)
                if training.sharded:
                    weights = gather(model)
                    if not step:
                        return None
                    del trainer
                    model = _whole_again(training, examples, weights)
        seconds = time.monotonic() - started
        refuse_broken(model, watch.diverged_at, settings)
        plain = model.get_base_model() if settings.method == "lora" else model
        plain.config, plain.generation_config = begun.config, begun.generation
        full = settings.method == "full"
        moved = cast_as_stored(model, training.ref.folder, settings.save_dtype) if full else None
        log = [entry for entry in state.log_history if "loss" in entry]
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        ended = Ended(state, log, trained, seconds, moved)
        if step:
            notes = write_model(step, model, tokenizer, settings, training.ref.folder, start)
            write_ended(begun, step, ended, notes)
        return found_of(begun, ended)


def _whole_again(training: Training, examples: Sequence[Example], weights: dict[str, torch.Tensor]) -> Any:
    """An ordinary model with the weights of one that was shared out."""
    model: Any = load_again(training.settings, training.ref)
    if training.settings.method == "lora":
        model = with_adapters(model, training.settings, examples).model
    put_in(model, weights)
    return model
