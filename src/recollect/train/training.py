"""What every training goes through, alone or with others in one pass: how it opens, begins, pauses and is written.

Notable choices
- A training starts from the base exactly as stored, and zero steps store the base exactly.
- Loading, computing and storing are three number formats; the result names all three and what rounding took away.
- The stored configuration is the base's own, whatever a trainer wrote into it on the way.
"""

from __future__ import annotations

import copy
import json
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.chat.asking import Asking, settled
from recollect.core.progress import Progress
from recollect.core.workspace import Step, fingerprint, open_step
from recollect.errors import InputError, RecollectWarning
from recollect.models import LoadedModel, ModelRef, begin_input, resolve_name
from recollect.models.formats import Moved, format_warnings
from recollect.models.quantised import refuse_quantised
from recollect.train import auto as _auto
from recollect.train.anchor import anchor_texts
from recollect.train.card import training_card, write_card
from recollect.train.examples import Learned, Source, learn
from recollect.train.found import PausedTraining, TrainFound, TrainResult, pause_step
from recollect.train.launch import Judge
from recollect.train.model import beforehand, mixed_precision, training_machine
from recollect.train.processes import processes_of
from recollect.train.records import write_log, write_records
from recollect.train.settings import TrainSettings
from recollect.train.sharding import shards
from recollect.train.trackers import check_trackers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState


@dataclass(frozen=True)
class Training:
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
    texts: tuple[str, ...] = ()
    """General text on which it is held to its base."""

    @property
    def device(self) -> str:
        """Where it computes."""
        return training_machine(self.settings, self.base, self.ref.quantised).device


def check_share(settings: TrainSettings, share: float) -> None:
    """Raise InputError for a share of the updates that is none, or at which such a training cannot pause."""
    if not 0 < share <= 1:
        raise InputError(f"share must be above 0 and at most 1, but got {share!r}.")
    if share < 1 and settings.method == "lora" and settings.lora_init.startswith("pissa_niter"):
        raise InputError(
            f"a training that pauses cannot start by {settings.lora_init}: what it took out of the base is random, and "
            "is known when it is finished only. Take --lora-init pissa."
        )


def read_training(
    settings: TrainSettings, source: Source, progress: Progress | None, base: LoadedModel | None
) -> Training:
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
    device = training_machine(settings, base, ref.quantised).device if count > 1 else "cpu"
    texts = anchor_texts(settings, ref, count)
    return Training(settings, source, ref, base, count, shards(settings, ref, count, device), progress, texts=texts)


def _check_plain(ref: ModelRef) -> None:
    """Refuse to train all weights of a quantised model: an update is far smaller than the steps between its levels."""
    if ref.quantize != "none":
        raise InputError(
            f"method full trains all weights, but quantize is {ref.quantize!r}. Take --method lora, or --quantize none."
        )
    refuse_quantised(ref.whole, "a full training", "Take --method lora, which trains beside it. ")


def open_training(training: Training, out: Path | None, root: Path) -> AbstractContextManager[Step]:
    """Its step directory."""
    base = training.base
    inputs = {"model": base.fingerprint if base else training.ref.fingerprint, **training.source.inputs}
    inputs |= begin_input(training.ref.whole) | _auto.auto_input(training.settings)
    inputs |= {"anchor_text": fingerprint(list(training.texts))} if training.texts else {}
    return open_step("train", training.settings, inputs, out, root)


@dataclass(frozen=True)
class Begun:
    """A training whose base is loaded and whose examples are tokenised."""

    settings: TrainSettings
    """With the rate and the epochs that were left to us."""
    chosen: _auto.Plan
    learned: Learned
    trained_in: str
    """Number format of the weights in memory."""
    mixed: bool
    config: Any
    """The base's own configurations, as they were before."""
    generation: Any


def begin(
    training: Training,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    device: str,
    step: Step | None,
    learned: Learned | None = None,
) -> Begun:
    """Tokenise, choose the rate, and say in `step` (the first process's) what is computed how. Raises InputError.

    learned: the examples, where another training has tokenised the same.
    """
    learned = learned or learn(training.source, training.settings, tokenizer, model.config)
    width = int(model.config.get_text_config().hidden_size)
    chosen = _auto.plan(training.settings, len(learned.examples), width)
    settings = training.settings.model_copy(update={"learning_rate": chosen.learning_rate, "epochs": chosen.epochs})
    trained_in = str(model.dtype).removeprefix("torch.")
    mixed = mixed_precision(settings, device, training.ref.quantised)
    if step:
        computed_in = "bfloat16" if mixed and settings.max_steps != 0 else trained_in
        shared = {"sharding": "fsdp"} if training.sharded else {}
        step.pin(device=device, dtype=trained_in, computed_in=computed_in, processes=training.processes, **shared)
        for text in beforehand(settings, chosen, model, mixed):
            warnings.warn(text, RecollectWarning, stacklevel=2)
    return Begun(
        settings,
        chosen,
        learned,
        trained_in,
        mixed,
        copy.deepcopy(model.config),
        copy.deepcopy(model.generation_config),
    )


@dataclass(frozen=True)
class Ended:
    """What a training did, beside the weights."""

    state: TrainerState
    log: list[Any]
    """The entries of its updates."""
    trained_parameters: int
    seconds: float
    moved: Moved | None = None
    """Of a training of all parameters."""


def same_examples(training: Training) -> str:
    """What trainings of one base share that learn the same examples."""
    named = ("prompt", "prompt_template", "train_on", "bad_rows", "max_length")
    values = {name: getattr(training.settings, name) for name in named}
    return fingerprint([training.source.inputs, str(training.source.path), values])


def write_ended(begun: Begun, step: Step, ended: Ended, notes: tuple[str, ...]) -> None:
    """Write the log and the records of a training; its model is there, with `notes` on it."""
    begun.learned.notes.extend(notes)
    write_log(step, ended.log)
    write_records(step.folder, ended.state, len(begun.learned.examples))


def found_of(begun: Begun, ended: Ended) -> TrainFound:
    """What the step will say it found."""
    learned, chosen, log, moved = begun.learned, begun.chosen, ended.log, ended.moved
    answer_tokens = sum(sum(mask) for _, mask in learned.examples)
    return TrainFound(
        steps=len(log),
        examples=len(learned.examples),
        notes=(*learned.notes, *([chosen.note] if chosen.note else [])),
        answer_tokens=answer_tokens,
        masked_tokens=sum(len(ids) for ids, _ in learned.examples) - answer_tokens,
        conversations=learned.conversations,
        prompt=Asking.of(begun.settings).written,
        first_loss=log[0]["loss"] if log else None,
        last_loss=log[-1]["loss"] if log else None,
        learning_rate=chosen.learning_rate,
        epochs=chosen.epochs,
        trained_parameters=ended.trained_parameters,
        weights_moved=None if moved is None else moved.trained,
        weights_moved_as_stored=None if moved is None else moved.stored,
        warnings=(
            *(format_warnings(moved, begun.trained_in) if log and moved else ()),
            *([chosen.warning] if chosen.warning and log else []),
        ),
        seconds=round(ended.seconds, 3),
    )


def finish(training: Training, step: Step, found: TrainFound) -> TrainResult:
    """Write the model's card and close the step."""
    settings, source = training.settings, training.source
    file = None if source.facts is not None and source.conversations else source.path  # the data's name, or a choice's
    write_card(step.folder / "model", training_card(settings, found, training.ref.whole, file))
    step.finish(found.model_copy(update={"sources": {"model": settings.model, source.kind: str(source.path)}}))
    return finished(step)


def finished(step: Step) -> TrainResult:
    """The result of a step that is done."""
    return TrainResult(step.path, TrainFound.read(step.path))


def paused(training: Training, path: Path, checkpoint: Path | None) -> PausedTraining | None:
    """The training as its last checkpoint has it, if it is to pause and that is at the share or beyond."""
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
