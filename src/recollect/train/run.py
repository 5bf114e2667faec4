"""One training run: a base model and a selection in, a model folder and its log out.

Notable choices
- The loss is on what is learned only (see `examples`): an answer and its end, or turns of the assistant.
- A training starts from the base exactly as stored: a copy in memory that has rounded it is read from disk again.
- Zero steps store the base exactly as stored: every comparison with "no training" starts from there.
- Loading, computing and storing are three number formats; the result names all three and what rounding took away.
- The stored configuration is the base's own, whatever the trainer wrote into it on the way.
- With several processes (`--processes`, or a launcher), the first one alone opens and writes the step. It tells the
  others which checkpoint to resume from and, when all is written, what became of the training.
"""

from __future__ import annotations

import copy
import json
import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.chat.asking import Asking, settled
from recollect.core.progress import Progress
from recollect.core.workspace import DEFAULT_ROOT, Step, open_step
from recollect.errors import InputError, ModelError, RecollectWarning
from recollect.models import LoadedModel, ModelRef, begin_input, resolve_name
from recollect.models.formats import cast_as_stored, format_warnings
from recollect.models.quantised import refuse_quantised
from recollect.train import auto as _auto
from recollect.train.card import training_card, write_card
from recollect.train.checkpoints import last_checkpoint
from recollect.train.examples import Source, learn, read_source
from recollect.train.found import PausedTraining, TrainFound, TrainResult
from recollect.train.launch import Hears, Judge, launch
from recollect.train.lora import Factors, with_adapters
from recollect.train.model import (
    beforehand,
    load_again,
    load_base,
    mixed_precision,
    refuse_broken,
    training_machine,
    write_model,
)
from recollect.train.processes import check_room, first, processes_of, started, tell
from recollect.train.records import write_log, write_records
from recollect.train.settings import TrainSettings
from recollect.train.sharding import check_checkpoint, gather, put_in, shards
from recollect.train.trackers import check_trackers, place_of_logs

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from recollect.train.trainer import Example


@dataclass(frozen=True)
class _Training:
    """One training as every process of it knows it."""

    settings: TrainSettings
    source: Source
    """What is learned."""
    ref: ModelRef
    """What is trained."""
    base: LoadedModel | None
    """The same in memory."""
    processes: int
    sharded: bool
    """They share out the weights, too."""
    progress: Progress | None
    share: float = 1.0
    """Pause after this share of the updates."""
    judge: Judge | None = None


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
    result = _run(_read(*read_source(settings, selection, data), progress, base), out, root)
    assert isinstance(result, TrainResult)
    return result


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
    if not 0 < share <= 1:
        raise InputError(f"share must be above 0 and at most 1, but got {share!r}.")
    if share < 1 and settings.method == "lora" and settings.lora_init.startswith("pissa_niter"):
        raise InputError(
            f"a training that pauses cannot start by {settings.lora_init}: what it took out of the base is random, and "
            "is known when it is finished only. Take --lora-init pissa."
        )
    training = _read(*read_source(settings, selection, None), progress, base)
    return _run(replace(training, share=share, judge=judge), out, root)


def _read(settings: TrainSettings, source: Source, progress: Progress | None, base: LoadedModel | None) -> _Training:
    """What is to be trained on what; raises InputError and ModelError for what cannot be."""
    check_trackers(settings.report_to)
    name = str(base.folder) if base else settings.model
    ref = resolve_name(name, settings.revision, settings.trust_remote_code, settings.quantize)
    if settings.method == "full":
        _check_plain(ref)
    if settings.method == "lora" and ref.base:
        raise InputError(
            f"{ref.folder} is an adapter itself; LoRA needs a base with weights of its own. Take --method full."
        )
    settings = settings.model_copy(update={"prompt": settled(settings.asked_in(), ref)})
    count = processes_of(settings)
    sharded = shards(settings, ref, count, _device(settings, ref, base) if count > 1 else "cpu")
    return _Training(settings, source, ref, base, count, sharded, progress)


def _device(settings: TrainSettings, ref: ModelRef, base: LoadedModel | None) -> str:
    return training_machine(settings, base, ref.quantised).device


def _check_plain(ref: ModelRef) -> None:
    """Refuse to train all weights of a quantised model: an update is far smaller than the steps between its levels."""
    if ref.quantize != "none":
        raise InputError(
            f"method full trains all weights, but quantize is {ref.quantize!r}. Take --method lora, or --quantize none."
        )
    refuse_quantised(ref.whole, "a full training", "Take --method lora, which trains beside it. ")


def _run(training: _Training, out: Path | None, root: Path) -> TrainResult | PausedTraining:
    if training.processes > started():
        return _start_processes(training, out, root)
    if not first():
        return _follow(training)
    with _open(training, out, root) as step:
        scratch = step.scratch()
        checkpoint = None if step.done else last_checkpoint(scratch)
        check_checkpoint(checkpoint, training.sharded)
        ended = _finished(step) if step.done else _paused(training, step.path, checkpoint)
        tell(training.processes, [scratch, checkpoint, ended])
        if ended is None:
            found = _train(training, scratch, checkpoint, step)
            if found is None:
                ended = _paused(training, step.path, last_checkpoint(scratch))
            else:
                ended = _finish(training, step, found)
            assert ended is not None
            tell(training.processes, [ended])
        return ended


def _open(training: _Training, out: Path | None, root: Path) -> AbstractContextManager[Step]:
    base = training.base
    inputs = {"model": base.fingerprint if base else training.ref.fingerprint, **training.source.inputs}
    inputs |= begin_input(training.ref.whole) | _auto.auto_input(training.settings)
    return open_step("train", training.settings, inputs, out, root)


def _finish(training: _Training, step: Step, found: TrainFound) -> TrainResult:
    settings, source = training.settings, training.source
    write_card(step.folder / "model", training_card(settings, found, training.ref.whole, source.path))
    step.finish(found.model_copy(update={"sources": {"model": settings.model, source.kind: str(source.path)}}))
    return _finished(step)


def _start_processes(training: _Training, out: Path | None, root: Path) -> TrainResult | PausedTraining:
    """Have the training's processes started; what is in the way of the step is refused before."""
    device = _device(training.settings, training.ref, training.base)
    with _open(training, out, root) as step:
        if step.done:
            return _finished(step)
    check_room(training.processes, device)
    work = partial(_join, replace(training, base=None, progress=None, judge=None), out, root)
    return launch(work, training.processes, Hears(training.progress, training.judge), device)


def _join(training: _Training, out: Path | None, root: Path, hears: Hears) -> TrainResult | PausedTraining:
    """The life of one of them."""
    return _run(replace(training, progress=hears.progress, judge=hears.judge), out, root)


def _follow(training: _Training) -> TrainResult | PausedTraining:
    """The other processes: train along with the first one, write nothing."""
    scratch, checkpoint, told = tell(training.processes, [None, None, None])
    if told is None:
        _train(training, scratch, checkpoint, None)
        [told] = tell(training.processes, [None])
    ended: TrainResult | PausedTraining = told
    return ended


def _finished(step: Step) -> TrainResult:
    return TrainResult(step.path, TrainFound.read(step.path))


def _train(training: _Training, scratch: Path, checkpoint: Path | None, step: Step | None) -> TrainFound | None:
    """Load, train and, where `step` is given (the first process), write; None when the training paused."""
    from transformers import TrainerState

    from recollect.train import trainer as _trainer

    with _trainer.undisturbed():
        sharing = training.processes if training.sharded else 1
        model, tokenizer, device = load_base(training.settings, training.ref, training.base, sharing)
        learned = learn(training.source, training.settings, tokenizer, model.config)
        settings, chosen = _with_rate(training.settings, len(learned.examples), model)
        trained_in, mixed = (
            str(model.dtype).removeprefix("torch."),
            mixed_precision(settings, device, training.ref.quantised),
        )
        if step:
            computed_in = "bfloat16" if mixed and settings.max_steps != 0 else trained_in
            shared = {"sharding": "fsdp"} if training.sharded else {}
            step.pin(device=device, dtype=trained_in, computed_in=computed_in, processes=training.processes, **shared)
            for text in beforehand(settings, chosen, model, mixed):
                warnings.warn(text, RecollectWarning, stacklevel=2)
        config, generation = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
        started = time.monotonic()
        watch = _trainer.Watch(training.progress, training.share, training.judge)
        with _trainer.quiet(device):
            log: list[Any] = []
            start: Factors = {}
            state = TrainerState()
            if settings.method == "lora":
                adapted = with_adapters(model, settings, learned.examples)
                model, start = adapted.model, adapted.start
            if settings.max_steps != 0:
                setup = _trainer.Setup(settings, device, mixed, training.processes, scratch, training.sharded)
                if step:
                    place_of_logs(step.path)
                trainer = _trainer.build_trainer(model, tokenizer, learned.examples, setup, watch)
                trainer.train_from(checkpoint)
                state = trainer.state
                log = [entry for entry in trainer.state.log_history if "loss" in entry]
                if watch.stopped:
                    raise ModelError(watch.stopped)
                if watch.paused_at is not None and watch.diverged_at is None:
                    return None
                model = trainer.accelerator.unwrap_model(trainer.model)
                if training.sharded:
                    weights = gather(model)
                    if not step:
                        return None
                    del trainer
                    model = _whole_again(training, learned.examples, weights)
        seconds = time.monotonic() - started
        refuse_broken(model, watch.diverged_at, settings)
        plain = model.get_base_model() if settings.method == "lora" else model
        plain.config, plain.generation_config = config, generation
        full = settings.method == "full"
        moved = cast_as_stored(model, training.ref.folder, settings.save_dtype) if full else None
        if step:
            learned.notes.extend(write_model(step, model, tokenizer, settings, training.ref.folder, start))
            write_log(step, log)
            write_records(step.folder, state, len(learned.examples))
        answer_tokens = sum(sum(mask) for _, mask in learned.examples)
        return TrainFound(
            steps=len(log),
            examples=len(learned.examples),
            notes=(*learned.notes, *([chosen.note] if chosen.note else [])),
            answer_tokens=answer_tokens,
            masked_tokens=sum(len(ids) for ids, _ in learned.examples) - answer_tokens,
            conversations=learned.conversations,
            prompt=Asking.of(settings).written,
            first_loss=log[0]["loss"] if log else None,
            last_loss=log[-1]["loss"] if log else None,
            learning_rate=chosen.learning_rate,
            epochs=chosen.epochs,
            trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            weights_moved=None if moved is None else moved.trained,
            weights_moved_as_stored=None if moved is None else moved.stored,
            warnings=(
                *(format_warnings(moved, trained_in) if log and full else ()),
                *([chosen.warning] if chosen.warning and log else []),
            ),
            seconds=round(seconds, 3),
        )


def _whole_again(training: _Training, examples: Sequence[Example], weights: dict[str, torch.Tensor]) -> Any:
    """An ordinary model with the weights of one that was shared out."""
    model: Any = load_again(training.settings, training.ref)
    if training.settings.method == "lora":
        model = with_adapters(model, training.settings, examples).model
    put_in(model, weights)
    return model


def _with_rate(settings: TrainSettings, examples: int, model: PreTrainedModel) -> tuple[TrainSettings, _auto.Plan]:
    """The settings with the rate and the epochs that were left to us."""
    chosen = _auto.plan(settings, examples, int(model.config.get_text_config().hidden_size))
    return settings.model_copy(update={"learning_rate": chosen.learning_rate, "epochs": chosen.epochs}), chosen


def _paused(training: _Training, path: Path, checkpoint: Path | None) -> PausedTraining | None:
    """The training as its last checkpoint has it, if it is to pause and that is at the share or beyond."""
    from recollect.train.trainer import pause_step

    if checkpoint is None or training.share >= 1:
        return None
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    done, steps = int(state["global_step"]), int(state["max_steps"])
    if done < pause_step(training.share, steps):
        return None
    log = tuple(
        {name: float(entry[name]) for name in ("step", "loss", "learning_rate")}
        for entry in state["log_history"]
        if "loss" in entry
    )
    return PausedTraining(path, checkpoint, done, steps, log)
