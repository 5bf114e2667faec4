"""Many `train` steps at once, each with its own directory, files and fingerprint, as `run_train` makes them one by one.

Notable choices
- Together or one by one is no setting of a result: on a CPU both give the same up to rounding, and either finds what
  the other finished, and resumes what the other began.
- What cannot pass with the others (see `why_not_together`) is trained alone, after them, and said.
- PEFT itself makes each adapter, from the training's own seed, and is taken off again.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from recollect.core.progress import Progress
from recollect.errors import RecollectError, RecollectWarning, StepBusy
from recollect.models import LoadedModel
from recollect.train.checkpoints import last_checkpoint
from recollect.train.examples import Learned, read_source
from recollect.train.found import PausedTraining, TrainResult
from recollect.train.model import load_base, mixed_precision, training_machine
from recollect.train.run import run_training
from recollect.train.stack.job import TrainJob, why_not_together
from recollect.train.training import (
    Begun,
    Training,
    begin,
    check_share,
    finished,
    open_training,
    paused,
    read_training,
    same_examples,
)

if TYPE_CHECKING:
    from recollect.core.workspace import Step
    from recollect.train.stack.lane import Lane, Outcome


def run_trains(
    jobs: Sequence[TrainJob],
    *,
    base: LoadedModel | None = None,
    progress: Progress | None = None,
    deterministic: bool = False,
    most_tokens: int = 0,
) -> list[TrainResult | PausedTraining | RecollectError]:
    """Train many LoRA adapters of one base in one pass; what became of each, in the order of `jobs`.

    Each training has its own data, order, batch size, rate, schedule, rank, dropout, length and seed, and its own step
    directory. One that fails, diverges or is stopped by its judge leaves the pass with its error in its place of the
    list, and the rest goes on undisturbed. Trainings that cannot share a pass are done one by one after it, with a
    warning that says why.

    base: the model in memory, as for `run_train`; it is copied once for all.
    progress: called with the updates made and to make, of all trainings together.
    deterministic: each training's rows pass in calls of their own, so that it gives the same bytes whoever passes
    along; little is gained then.
    most_tokens: of one forward, padding included; 0 measures what memory has room for.

    Examples:
        `chosen` is the folder of a `run_select`.

        >>> from recollect import TrainJob, TrainSettings, run_trains
        >>> lora = {"preset": "pocket", "method": "lora", "learning_rate": 5e-3, "max_steps": 2}
        >>> jobs = [TrainJob(TrainSettings.make(**lora, lora_r=rank), chosen) for rank in (4, 8)]
        >>> [tuned.found.steps for tuned in run_trains(jobs)]
        [2, 2]
    """
    work = _Work(jobs, base, progress, deterministic, most_tokens)
    work.read()
    work.pass_together()
    work.pass_alone()
    return [work.results[number] for number in range(len(jobs))]


@dataclass
class _Work:
    jobs: Sequence[TrainJob]
    base: LoadedModel | None
    progress: Progress | None
    deterministic: bool
    most_tokens: int
    trainings: dict[int, Training] = field(default_factory=dict)
    """Those that pass together."""
    alone: dict[int, str] = field(default_factory=dict)
    """Those that do not, and why."""
    results: dict[int, Any] = field(default_factory=dict)
    lanes: dict[int, Lane] = field(default_factory=dict)

    def read(self) -> None:
        """Read what each job is to train on what."""
        for number, job in enumerate(self.jobs):
            try:
                check_share(job.settings, job.share)
                training = read_training(*read_source(job.settings, job.selection, job.data), job.progress, self.base)
                self.trainings[number] = replace(training, share=job.share, judge=job.judge)
                why = why_not_together(training.settings) or self._unlike_first(training)
            except RecollectError as error:
                self.results[number] = error
                continue
            if why:
                self._leave_out(number, why)

    def _unlike_first(self, training: Training) -> str:
        first, kind = next(iter(self.trainings.values())), _kind(training)
        if kind[0] != _kind(first)[0]:
            return f"it trains {training.ref.folder}, and the others {first.ref.folder}"
        return "" if kind == _kind(first) else "it computes in another format, or elsewhere, than the others"

    def _leave_out(self, number: int, why: str) -> None:
        self.alone[number] = why
        del self.trainings[number]

    def pass_together(self) -> None:
        """Train those that can pass together; whoever is interrupted keeps its checkpoints."""
        if not self.trainings:
            return
        from recollect.models.stacked import NotByRows
        from recollect.train import trainer as _trainer

        with ExitStack() as everything:
            steps: dict[int, tuple[Step, ExitStack]] = {}
            for number, training in self.trainings.items():
                opened = everything.enter_context(ExitStack())
                try:
                    step = opened.enter_context(open_training(training, self.jobs[number].out, self.jobs[number].root))
                except StepBusy:  # maybe by another of these, which is the same training: asked again afterwards
                    self.alone[number] = ""
                    continue
                except RecollectError as error:
                    self.results[number] = error
                    continue
                if (ended := _ended(training, step)) is not None:
                    self.results[number] = ended
                    opened.close()
                else:
                    steps[number] = (step, opened)
            if steps:
                with _trainer.undisturbed():
                    try:
                        self._pass(steps)
                    except NotByRows as error:
                        for number in [one for one in steps if one not in self.results and one not in self.alone]:
                            self._leave_out(number, str(error))

    def _pass(self, steps: dict[int, tuple[Step, ExitStack]]) -> None:
        from recollect.models.stacked import NotByRows
        from recollect.train import trainer as _trainer
        from recollect.train.stack.begin import dropout_of_base, seat
        from recollect.train.stack.memory import Room
        from recollect.train.stack.passing import Pass

        first = self.trainings[next(iter(steps))]
        model, tokenizer, device = load_base(first.settings, first.ref, self.base)
        model.requires_grad_(False)
        if why := dropout_of_base(model):
            raise NotByRows(why)
        begun: dict[int, Begun] = {}
        learned: dict[str, Learned] = {}
        for number, (step, opened) in steps.items():
            training = self.trainings[number]
            same = same_examples(training)
            try:
                one = begin(training, model, tokenizer, device, step, learned.get(same))
            except RecollectError as error:
                self._end(number, opened, error)
                continue
            learned[same] = one.learned
            begun[number] = replace(one, learned=replace(one.learned, notes=list(one.learned.notes)))
        with _trainer.quiet(device):
            for number, one in begun.items():
                step, opened = steps[number]
                try:
                    self.lanes[number] = seat(self.trainings[number], step, opened, one, model, tokenizer, device)
                except NotByRows as error:
                    opened.close()
                    self._leave_out(number, str(error))
                except RecollectError as error:
                    self._end(number, opened, error)
            if not self.lanes:
                return
            room = Room(device, self.most_tokens)
            mixed = mixed_precision(first.settings, device, first.ref.quantised)
            passing = Pass(
                model, tokenizer.pad_token_id or 0, device, mixed, self.deterministic, room, self._leave, self._tell
            )
            passing.run(list(self.lanes.values()))

    def _leave(self, lane: Lane, outcome: Outcome) -> None:
        from recollect.models.stacked import NotByRows

        number = next(number for number, one in self.lanes.items() if one is lane)
        if isinstance(outcome, NotByRows):
            lane.opened.close()
            self._leave_out(number, str(outcome))
        else:
            self._end(number, lane.opened, outcome)

    def _end(self, number: int, opened: ExitStack, outcome: Outcome) -> None:
        """Close a training's step; one that failed as it would fail alone."""
        self.results[number] = outcome
        if isinstance(outcome, RecollectError):
            try:
                opened.__exit__(type(outcome), outcome, outcome.__traceback__)
            except RecollectError:
                return
        opened.close()

    def _tell(self) -> None:
        if self.progress:
            lanes = self.lanes.values()
            self.progress(sum(lane.done for lane in lanes), sum(int(lane.state.max_steps) for lane in lanes))

    def pass_alone(self) -> None:
        """Train the others one by one."""
        for number, why in self.alone.items():
            job = self.jobs[number]
            if why:
                said = f"training {number + 1} of {len(self.jobs)} passes alone: {why}"
                warnings.warn(said, RecollectWarning, stacklevel=3)
            try:
                training = read_training(*read_source(job.settings, job.selection, job.data), job.progress, self.base)
                training = replace(training, share=job.share, judge=job.judge)
                self.results[number] = run_training(training, job.out, job.root)
            except RecollectError as error:
                self.results[number] = error


def _kind(training: Training) -> tuple[str, ...]:
    """What trainings must share to pass together: the base, and how it is computed with."""
    machine = training_machine(training.settings, training.base, training.ref.quantised)
    mixed = mixed_precision(training.settings, machine.device, training.ref.quantised)
    return str(training.ref.folder), training.ref.quantize, machine.device, machine.dtype, str(mixed)


def _ended(training: Training, step: Step) -> TrainResult | PausedTraining | None:
    """What a training that was finished before, or is paused far enough, is."""
    return finished(step) if step.done else paused(training, step.path, last_checkpoint(step.scratch()))
