"""One training in a pass: what it reads next, what an update did to it, and how it ends, pauses or leaves.

Its state is the transformers trainer's own, entry by entry, so that the step's files are those of a training alone.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerControl, TrainerState

from recollect.core.workspace import Step
from recollect.errors import ModelError
from recollect.models.stacked import Factors, Stacked
from recollect.train.checkpoints import last_checkpoint
from recollect.train.found import PausedTraining, TrainResult
from recollect.train.lora import Adapted
from recollect.train.model import refuse_diverged, write_lora
from recollect.train.stack.batch import Piece, Told
from recollect.train.stack.checkpoint import read_checkpoint, write_checkpoint
from recollect.train.stack.order import Order, random_of
from recollect.train.stack.steps import Steps
from recollect.train.trainer import Watch
from recollect.train.training import Begun, Ended, Training, finish, found_of, paused, write_ended

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Outcome = TrainResult | PausedTraining | Exception


@dataclass(eq=False)
class Lane:
    """A training that passes with others, once its base is loaded and its adapter made."""

    training: Training
    step: Step
    opened: ExitStack
    """Closes the step."""
    begun: Begun
    shell: Any
    """What PEFT made: it knows how the adapter is configured and written, and is on no model any more."""
    factors: Factors
    """The first ones."""
    tokenizer: PreTrainedTokenizerBase
    device: str
    flops: float
    """Of one token, as the trainer counts them."""
    seconds: float = 0.0
    """This training's share of the pass."""
    state: TrainerState = field(init=False)

    def __post_init__(self) -> None:
        settings = self.begun.settings
        self.ranks = {name: product.a.shape[0] for name, product in self.factors.items()}
        self.scratch: Path = self.step.scratch()
        self.watch = Watch(self.training.progress, self.training.share, self.training.judge)
        self.control = TrainerControl()
        self.generator = random_of(settings, "cpu")
        on_device = self.device == "cpu"
        self.dropping = self.generator if on_device else random_of(settings, self.device)
        self.order = Order(len(self.begun.learned.examples), settings, self.generator)
        steps = self.order.steps
        self.state = TrainerState(
            max_steps=steps,
            num_train_epochs=math.ceil(steps / self.order.updates if settings.max_steps else float(settings.epochs)),
            logging_steps=1,
            save_steps=settings.save_every or 500,
            train_batch_size=self.order.piece,
            stateful_callbacks=[self.control],
        )

    @property
    def done(self) -> int:
        """Updates made."""
        return int(self.state.global_step)

    def sit(self, stacked: Stacked, number: int) -> None:
        """Take a place among the pass's adapters; from the last checkpoint, if there is one."""
        self.number = number
        group, row = stacked.home(number)
        self.stacked = stacked
        self.steps = Steps(group, row, self.ranks, self.begun.settings, self.order.steps)
        if checkpoint := last_checkpoint(self.scratch):
            self.state = read_checkpoint(checkpoint, self)
            if self.order.within(self.done):  # the epoch's order was drawn before those random states
                self.order.update(self.done)
                read_checkpoint(checkpoint, self)

    def rise(self) -> None:
        """Leave the place, whose memory is given back; what is to be kept is saved before."""
        for own in ("stacked", "steps"):
            self.__dict__.pop(own, None)

    def pieces(self) -> list[Piece]:
        """Begin an update: its pieces."""
        self._before = [self.generator.get_state(), self.dropping.get_state()]
        examples, settings = self.begun.learned.examples, self.begun.settings
        chosen = [[examples[place] for place in piece] for piece in self.order.update(self.done)]
        answers = sum(sum(mask[1:]) for piece in chosen for _, mask in piece)
        weight = 1 / max(1, answers)
        return [Piece(self.number, piece, weight, settings.dropout, self.dropping) for piece in chosen]

    def undo(self) -> None:
        """As before the update was begun: nothing drawn, nothing summed up."""
        for generator, state in zip((self.generator, self.dropping), self._before, strict=True):
            generator.set_state(state)
        self.order.forget(self.done)
        self.steps.gradient.zero_()

    def updated(self, length: float, pieces: list[Piece], told: list[Told]) -> Outcome | None:
        """Log the update that was made, of what its pieces told, and say how the training ended, if it did.

        length: of the gradient, before it was clipped.
        """
        state, tokens = self.state, sum(piece.tokens for piece in pieces)
        state.epoch = self.order.epoch_after(self.done)
        state.global_step += 1
        state.total_flos += self.flops * tokens
        last = state.log_history[-1] if state.log_history else {}
        real = sum(len(ids) for piece in pieces for ids, _ in piece.examples)
        state.log_history.append(
            {
                "loss": sum(one.loss for one in told),
                "grad_norm": length,
                "learning_rate": self.steps.last_rate,
                "entropy": sum(one.entropy for one in told) / len(told),
                "mean_token_accuracy": sum(one.accuracy for one in told) / len(told),
                "num_tokens": last.get("num_tokens", 0.0) + real,
                "epoch": state.epoch,
                "step": state.global_step,
            }
        )
        return self._outcome()

    def _outcome(self) -> Outcome | None:
        control, state, settings = self.control, self.state, self.begun.settings
        control.should_save = settings.save_every is not None and self.done % settings.save_every == 0
        self.watch.on_step_end(None, state, control)
        self.watch.on_log(None, state, control, state.log_history[-1])
        if control.should_save and not self.watch.stopped and self.watch.diverged_at is None:
            self.save()
        if self.watch.stopped:
            return ModelError(self.watch.stopped)
        if self.watch.diverged_at is None and self.watch.paused_at is not None:
            return paused(self.training, self.step.path, last_checkpoint(self.scratch))
        if self.watch.diverged_at is not None or self.done >= state.max_steps:
            return self.finish()
        return None

    def save(self) -> None:
        """Write a checkpoint from which this training resumes, together with others or alone."""
        write_checkpoint(self)
        self.watch.on_save(SimpleNamespace(output_dir=self.scratch), self.state, self.control)

    def weights(self) -> dict[str, torch.Tensor]:
        """The adapter's parameters by the names that they have with PEFT."""
        found = {}
        for name, product in self.stacked.factors(self.number, self.ranks).items():
            for side, value in (("A", product.a), ("B", product.b)):
                found[f"base_model.model.{name}.lora_{side}.default.weight"] = value.contiguous()
        return found

    def finish(self) -> Outcome:
        """Write the step; the error of a training that diverged."""
        weights, settings = self.weights(), self.begun.settings
        try:
            refuse_diverged(weights, self.watch.diverged_at, settings)
        except ModelError as error:
            return error
        log = [entry for entry in self.state.log_history if "loss" in entry]
        self.control.should_training_stop = True
        mean = sum(entry["loss"] for entry in log) / len(log)
        last = {"total_flos": self.state.total_flos, "train_loss": mean}
        self.state.log_history.append({**last, "epoch": self.state.epoch, "step": self.done})
        trained = sum(value.numel() for value in weights.values())
        ended = Ended(self.state, log, trained, self.seconds)
        adapted = Adapted(self.shell, weights=weights)
        notes = write_lora(self.step, adapted, self.tokenizer, settings, self.training.ref.folder)
        write_ended(self.begun, self.step, ended, notes)
        return finish(self.training, self.step, found_of(self.begun, ended))
