"""TRL's SFTTrainer, made quiet: no telemetry, no model card, no printing; and its arguments from our settings.

Imported only when a run starts: it loads torch, transformers and TRL.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import datasets
import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.utils.data import DataLoader, RandomSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTConfig, SFTTrainer

from recollect.errors import RecollectWarning
from recollect.generate.random import library_seed
from recollect.models import without_bars
from recollect.train.anchor import Anchor
from recollect.train.checkpoints import seal_checkpoint
from recollect.train.found import pause_step
from recollect.train.processes import started
from recollect.train.sharding import arguments, check_shared, prepare_processes, sum_in_float32
from recollect.train.shares import EvenBatches
from recollect.train.trackers import trackers_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from recollect.train.launch import Judge
    from recollect.train.settings import TrainSettings
    from recollect.train.training import Begun, Training

Example = tuple[list[int], list[int]]  # token ids, completion mask

_NAMES = {field.name for field in dataclasses.fields(SFTConfig)}
_CHECKPOINTING = "activation_checkpointing" if "activation_checkpointing" in _NAMES else "gradient_checkpointing"
"""The newer name where there is one: transformers warns of the older. The oldest version allowed knows that alone."""


class QuietTrainer(SFTTrainer):  # type: ignore[misc]  # TRL has no types
    """SFTTrainer without its calls to the outside and its model cards."""

    def _send_telemetry(self) -> None:
        """Nothing is sent anywhere. TRL's public way is an environment variable, which is the whole process's."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is written besides our own files."""

    def get_train_dataloader(self) -> Any:
        """With several processes, rows that are shared out evenly; the data's last row is the blank one."""
        if self.args.world_size == 1:
            return super().get_train_dataloader()
        rows = len(self.train_dataset) - 1
        batches = EvenBatches(
            RandomSampler(range(rows)), self.args.per_device_train_batch_size, self.args.world_size, blank=rows
        )
        pinned = self.args.dataloader_pin_memory
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator, pin_memory=pinned)
        return self.accelerator.prepare(loader)

    def train_from(self, checkpoint: Path | None) -> None:
        """Train to the end from a checkpoint, or from the start.

        The trainers count the tokens that were read (`num_tokens` of the log) and sum up the losses (`train_loss`, at
        the end) from where they began. So a training that resumes goes on from the last count that was logged, and its
        mean loss is that of all updates, as in one that was never stopped.
        A checkpoint of the last update is taken as it is: the transformers trainer would look whether it is at the end
        only after one more update (5.x, where the end is not that of an epoch). Loading alone has no public name there.
        """
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            if state.global_step >= state.max_steps:
                self._load_from_checkpoint(str(checkpoint))
                self.state = state
                last = [entry for entry in state.log_history if "loss" in entry][-1:]
                for entry in last:  # whoever watches the losses has its say of the last one
                    self.callback_handler.on_log(self.args, state, self.control, entry)
                return
            counted = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
            self._total_train_tokens = int(counted[-1]) if counted else 0
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        losses = [float(entry["loss"]) for entry in self.state.log_history if "loss" in entry]
        for entry in self.state.log_history[-1:] if checkpoint is not None else ():
            if "train_loss" in entry:
                entry["train_loss"] = sum(losses) / len(losses)
        if self.args.fsdp:
            check_shared(self.model)


class HeadTrainer(QuietTrainer):
    """For a model with an adapter on its output head, which TRL's own loss would pass over, and which it refuses.

    The loss is the model's own over all logits: the same number, for more memory.
    """

    def __init__(self, model: Any, **given: Any) -> None:
        model.get_output_embeddings = lambda: None  # what it is refused by
        try:
            super().__init__(model=model, **given)
        finally:
            del model.get_output_embeddings

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """As the transformers trainer does, not as TRL's."""
        return Trainer.compute_loss(self, model, {**inputs, "use_cache": False}, return_outputs, num_items_in_batch)


class AnchoredTrainer(HeadTrainer):
    """For a model that is held to its base while it learns: the answers' loss plus what the anchor asks for."""

    anchor: Anchor

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The next update's pieces; the anchor counts their tokens together, so that more pieces change nothing."""
        pieces, items = super().get_batch_samples(*args, **kwargs)
        self.anchor.begin(self.state.global_step, pieces)
        return pieces, items

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The base is asked first: while it is, the adapters are off."""
        read = self.anchor.piece(inputs, self.accelerator.device)
        with self.accelerator.autocast():
            base = self.anchor.base_logits(model, read)
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        own = outputs.logits if self.anchor.on_inputs else model(**read, use_cache=False).logits
        divided_later = not (self.model_accepts_loss_kwargs and num_items_in_batch is not None)
        added = self.anchor.loss(base, own, read["attention_mask"])
        loss = loss + added * (self.current_gradient_accumulation_steps if divided_later else 1)
        return (loss, outputs) if return_outputs else loss


def trainer_of(model: Any, anchor: Anchor | None = None) -> type[QuietTrainer]:
    """The trainer that a model needs."""
    if anchor is not None:
        return AnchoredTrainer
    head = model.get_output_embeddings()
    return HeadTrainer if isinstance(head, BaseTunerLayer) else QuietTrainer


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Reports progress, stops a run whose loss is no longer a number or that `judge` finds a reason to stop, and pauses
    one at a share of its updates."""

    def __init__(
        self,
        progress: Callable[[int, int], None] | None,
        pause_at: float = 1.0,
        judge: Judge | None = None,
    ) -> None:
        self.progress, self.pause_at, self.judge = progress, pause_at, judge
        self.diverged_at: int | None = None
        self.stopped = ""
        self.paused_at: int | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell how far the run is; at the pause, save everything and stop."""
        if self.progress and state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps)
        if pause_step(self.pause_at, state.max_steps) <= state.global_step < state.max_steps:
            self.paused_at = state.global_step
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seal the checkpoint that was just written."""
        if state.is_world_process_zero:
            seal_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Stop at the first loss that is not finite, or that the judge finds fault with."""
        if not logs or "loss" not in logs or self.diverged_at is not None or self.stopped:
            return
        if not math.isfinite(float(logs["loss"])):
            self.diverged_at = state.global_step
        elif self.judge is not None:
            rows = [(int(entry["step"]), float(entry["loss"])) for entry in state.log_history if "loss" in entry]
            self.stopped = self.judge(rows)
        if self.diverged_at is not None or self.stopped:
            control.should_training_stop = True


@dataclasses.dataclass(frozen=True)
class Setup:
    """How and where a trainer computes: device, mixed precision or not, processes, and the folder of checkpoints."""

    settings: TrainSettings
    device: str
    mixed: bool
    processes: int
    checkpoints: Path
    sharded: bool = False
    """The processes share out the weights as well."""
    anchor: Anchor | None = None
    """What holds the model to its base."""

    @classmethod
    def of(cls, training: Training, begun: Begun, device: str, checkpoints: Path, anchor: Anchor | None) -> Self:
        """Of a training that begins."""
        shared = training.processes, checkpoints, training.sharded
        return cls(begun.settings, device, begun.mixed, *shared, anchor)


def build_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    setup: Setup,
    watch: Watch,
) -> QuietTrainer:
    """A trainer over tokenised examples; only tokens of mask 1 carry loss."""
    settings, pieces = setup.settings, setup.settings.gradient_accumulation * setup.processes
    config = SFTConfig(
        output_dir=str(setup.checkpoints),
        per_device_train_batch_size=settings.batch_size // pieces,
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        max_steps=-1 if settings.max_steps is None else settings.max_steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        warmup_steps=settings.warmup_ratio,  # transformers 5: a value under 1 is a share of the steps
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        seed=library_seed(settings.seed),
        bf16=setup.mixed,
        fp16=False,
        use_cpu=setup.device == "cpu",
        max_length=None,  # lengths are checked before; nothing is cut
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},  # tokenised already; else TRL maps the data twice
        dataloader_num_workers=0,
        dataloader_pin_memory=setup.device != "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no" if settings.save_every is None else "steps",
        save_steps=settings.save_every or 500,
        save_total_limit=1,
        ddp_find_unused_parameters=False,
        report_to=trackers_of(settings.report_to) or "none",
        disable_tqdm=True,
        **{_CHECKPOINTING: settings.gradient_checkpointing},
        **(arguments() if setup.sharded else {}),
        **({"router_aux_loss_coef": 0.0} if "router_aux_loss_coef" in _NAMES else {}),  # the answers' loss alone
    )
    if config.n_gpu > 1:
        # One process that sees several GPUs takes the first, never nn.DataParallel. transformers gives n_gpu no setter;
        # the other way, CUDA_VISIBLE_DEVICES, works only before CUDA is first used and for the whole process.
        config._n_gpu = 1
    if setup.sharded:
        prepare_processes(setup.device)
    with _unrounded(model):
        trainer = trainer_of(model, setup.anchor)(
            model=model,
            args=config,
            train_dataset=_dataset([*examples, *([_blank(examples)] if setup.processes > 1 else [])]),
            processing_class=tokenizer,
            callbacks=[watch],
        )
    if isinstance(trainer, AnchoredTrainer) and setup.anchor is not None:
        trainer.anchor = setup.anchor
    if setup.sharded and setup.mixed:
        sum_in_float32(trainer.accelerator)
    trainer.remove_callback(PrinterCallback)
    return trainer


@contextlib.contextmanager
def _unrounded(model: PreTrainedModel) -> Iterator[None]:
    """Keep the number format of what is trained: TRL rounds adapters of a quantised base to bfloat16, in which a small
    update changes nothing."""
    before = [(weight, weight.data) for weight in model.parameters() if weight.requires_grad]
    yield
    for weight, exact in before:
        if weight.dtype != exact.dtype:
            weight.data = exact


def _blank(examples: Sequence[Example]) -> Example:
    """A row without tokens to learn, of the shortest example's."""
    ids = min((ids for ids, _ in examples), key=len)
    return ids, [0] * len(ids)


def _dataset(examples: Sequence[Example]) -> datasets.Dataset:
    labels = [[token if counts else -100 for token, counts in zip(ids, mask, strict=True)] for ids, mask in examples]
    return datasets.Dataset.from_dict({"input_ids": [ids for ids, _ in examples], "labels": labels})


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Give the process back as it was: environment, threads, random states (Python, numpy, torch on the CPU), and the
    progress bars of transformers, which it draws when it writes a model, too."""
    environment, threads = dict(os.environ), torch.get_num_threads()
    python, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]), without_bars():
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            random.setstate(python)
            np.random.set_state(numpy_state)
            for name in os.environ.keys() - environment:
                del os.environ[name]
            os.environ.update(environment)


@contextlib.contextmanager
def quiet(device: str) -> Iterator[None]:
    """No warnings or log lines but ours; on a GPU its random states are kept, and kernels are deterministic where there
    are such. All of it ends with the block."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    loggers = [logging.getLogger(name) for name in ("transformers", "trl", "peft", "accelerate", "datasets")]
    levels = [logger.level for logger in loggers]
    cuda = list(range(torch.cuda.device_count())) if device.startswith("cuda") else []
    if cuda and started() > 1:
        cuda = [torch.cuda.current_device()]  # the others' memory is other processes'
    with torch.random.fork_rng(devices=cuda), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", RecollectWarning)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        if cuda:
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
