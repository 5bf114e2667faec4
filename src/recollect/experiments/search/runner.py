"""One job for real: choose the examples, train to the rung, ask the validation questions.

Notable choices
- Everything of a trial is in its own folder. Each of its steps can be resumed, so a killed job resumes where it was: at
  the last checkpoint, or at the batch of questions.
- A finished rung leaves `rung-N.json`. The same job again reads it and trains nothing.
- All trials of a search draw their examples and train with the search's seed, so they differ by their settings alone.
- A trial that raises or does not fit into memory is an outcome. A full disk is not: it stops the search.
"""

from __future__ import annotations

import errno
import gc
import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from recollect.core.interrupt import interrupted
from recollect.core.machine import give_back_memory
from recollect.core.progress import Progress
from recollect.core.workspace import is_finished
from recollect.core.workspace.lease import refuse_lost
from recollect.errors import InputError, ModelError, StepBusy, StepError, memory_ran_out
from recollect.evaluate import EvaluateResult, EvaluateSettings, asked_facts, check_asking, run_evaluate
from recollect.experiments.base import Base
from recollect.experiments.cell import Cell, Context, Watch, measure_cell, train_cell
from recollect.experiments.search.hold import expanded
from recollect.experiments.search.parameters import Choice, Int
from recollect.experiments.search.rung_file import claim, read_outcome, updates_told, write_outcome
from recollect.experiments.search.space import SELECT_NAMES, Space
from recollect.experiments.search.trial import Job, Outcome, TrialValues, trial_name
from recollect.experiments.search.validation import Knowledge, degenerate_answers, exploded, runs_away, score_of
from recollect.experiments.under_way import UNDER_WAY, Telling
from recollect.facts import FactSet, load_facts
from recollect.select import SelectSettings, available, read_levels
from recollect.train import PausedTraining, TrainResult, TrainSettings
from recollect.train.auto import updates_of

TRIALS = "trials"
SPLIT = "split.parquet"
FACTS = "facts.parquet"
"""The facts, where they were handed over and lie nowhere else."""
_SHARED = ("revision", "trust_remote_code", "device")  # which model, and where: one for training and asking


@dataclass(frozen=True)
class Task:
    """What every trial of a search has in common; plain values and paths, so that it can be sent to other processes."""

    folder: str
    """The search's folder, on a path that all workers share; split.parquet stands in it."""
    facts: str
    facts_fingerprint: str
    levels: str | None
    train: TrainSettings
    """Settings of every training, model and seed among them."""
    select: SelectSettings
    evaluate: EvaluateSettings
    in_json: bool
    """The answers are JSON objects."""
    base_broken: float = 0.0
    """The share of broken answers of the untouched base."""
    parts: str = "test"
    """Parts of the validation slice to ask; the score is of its test part alone."""
    knowledge: Knowledge = field(default_factory=Knowledge)
    """What a trial is charged for forgetting."""

    def start(self) -> Callable[[Job], Outcome]:
        """Called once in each worker; the model is loaded at the first job."""
        return TrialRunner(self).run


class _Made:
    """What one job has done so far, also one that raises: its updates, and all losses of its training."""

    def __init__(self) -> None:
        self.here, self.of = 0, 0
        self.losses: tuple[tuple[int, float], ...] = ()

    def since(self, before: int) -> Callable[[int, int], None]:
        """A progress callback; `before` updates were told by earlier rungs."""

        def progress(step: int, steps: int) -> None:
            self.here, self.of = step - before, steps

        return progress

    def judge(self, losses: Sequence[tuple[int, float]]) -> str:
        """Keep the losses; why to stop here, or nothing."""
        self.losses = tuple(losses)
        return runs_away(losses)


class TrialRunner:
    """Runs the jobs of one search in this process, with the model and the facts in memory."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.folder = Path(task.folder)
        self._counts: dict[tuple[str, float], int] = {}

    @cached_property
    def facts(self) -> FactSet:
        """All facts, checked to be those that the search began with."""
        facts = load_facts(self.task.facts)
        if facts.fingerprint() != self.task.facts_fingerprint:
            raise InputError(f"the facts at {self.task.facts} have changed since the search began. Put them back.")
        return facts

    @cached_property
    def levels(self) -> pl.DataFrame | None:
        """The levels table, where there is one."""
        return None if self.task.levels is None else read_levels(Path(self.task.levels))

    @cached_property
    def base(self) -> Base:
        """The untouched base; every training starts from a copy of it."""
        return Base(self._asking(None))

    def start(self) -> Callable[[Job], Outcome]:
        """Work for this very process: its own model and facts are used again."""
        return self.run

    def release(self) -> None:
        """Give the base's memory back; it is loaded again when it is needed."""
        self.base.release()
        give_back_memory()

    def slice(self, name: str) -> FactSet:
        """The facts of `validation` or `test`, as the search has cut them."""
        table = pl.read_parquet(self.folder / SPLIT, glob=False)
        return self.facts.only(table.filter(pl.col("slice") == name)["fact_id"].to_list())

    def settings(self, values: TrialValues) -> TrainSettings:
        """The settings of a trial's training."""
        chosen = {name: value for name, value in expanded(values).items() if name not in SELECT_NAMES}
        return TrainSettings.make(**self.task.train.model_dump(exclude_unset=True) | chosen)

    def _select(self, values: TrialValues) -> SelectSettings:
        """The settings of a trial's examples as they are wanted."""
        chosen = {name: values[name] for name in SELECT_NAMES if name in values}
        known = {"seed": self.task.train.seed, "facts": self.task.facts, "levels": self.task.levels}
        return SelectSettings.make(**self.task.select.model_dump(exclude_unset=True) | chosen | known)

    def selection(self, values: TrialValues) -> SelectSettings:
        """The settings of a trial's examples; a level with fewer examples than the size gives all it has."""
        made = self._select(values)
        if made.size == "all":
            return made
        return made.model_copy(update={"size": max(1, min(made.size, self._available(made)))})

    def settle(self, values: TrialValues, space: Space) -> TrialValues:
        """The point of the space that stands for all that train the same: a size beyond what the level has is the least
        such one."""
        size, parameter = values.get("size"), space.parameters.get("size")
        if size is None or not isinstance(parameter, Choice | Int):
            return dict(values)
        most = self._available(self._select({name: one for name, one in values.items() if name != "size"}))
        if isinstance(parameter, Choice):
            if not (size == "all" or (isinstance(size, int) and size > most)):
                return dict(values)
            enough = [one for one in parameter.options if isinstance(one, int) and one >= most]
            return {**values, "size": min(enough, default=size)}
        assert isinstance(size, int)
        over = max(0, size - most) // parameter.step * parameter.step
        return {**values, "size": max(parameter.low, size - over)}

    def updates(self, values: TrialValues) -> int:
        """Updates of a trial's whole training. Raises InputError for settings that no training takes."""
        chosen = self.selection(values)
        settings = self.settings(values)
        examples = self._available(chosen) if chosen.size == "all" else chosen.size
        return updates_of(settings, examples, float(settings.epochs))

    def _available(self, chosen: SelectSettings) -> int:
        place = chosen.level, chosen.min_level_confidence
        if place not in self._counts:
            self._counts[place] = available(self.facts, self.levels, *place)
        return self._counts[place]

    def run(self, job: Job) -> Outcome:
        """Train to the rung and score. Raises what stops the whole search: Ctrl-C and a full disk."""
        folder = self.folder / TRIALS / trial_name(job.trial)
        claim(folder, job)
        if (found := read_outcome(folder, job)) is not None:
            return found
        started = time.monotonic()
        made = _Made()
        try:
            outcome = _patiently(lambda: self._run(job, folder, made))
        except StepError:
            raise  # another process holds the trial, or its folder is not ours: no fault of the settings
        except Exception as error:
            if interrupted():
                raise KeyboardInterrupt from error
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            seconds = round(time.monotonic() - started, 3)
            return replace(_failure(job, error), steps=made.here, total_steps=made.of, seconds=seconds)
        finally:
            Telling(self.folder / UNDER_WAY, folder.name).end()
        outcome = replace(outcome, seconds=round(time.monotonic() - started, 3))
        write_outcome(folder, job, outcome)
        return outcome

    def cell(self, job: Job) -> tuple[Context, Cell]:
        """A job's work, and where it is."""
        folder, told = self.folder / TRIALS / trial_name(job.trial), self.folder / UNDER_WAY
        asked = self.slice("validation")
        context = Context(folder, self.base, self.facts, self.levels, asked, keep_models=True, told=told)
        settings = self.settings(job.values)
        every = settings.save_every or max(20, math.ceil(self.updates(job.values) / 10))
        settings = settings.model_copy(update={"save_every": every})
        name = f"validation-{job.rung}"
        asking = self._asking(None, self.task.parts)
        return context, Cell("{step}", self.selection(job.values), settings, asking, name, job.share)

    def _run(self, job: Job, folder: Path, made: _Made) -> Outcome:
        context, cell = self.cell(job)
        before, telling = updates_told(folder, job.rung), context.telling(cell)
        self.base.load()
        try:
            with _set_aside():
                trained = train_cell(context, cell, Watch(made.since(before), made.judge), telling)
        except ModelError as error:  # the loss ran away, or it or a weight is no number any more
            broken = Outcome(job.trial, job.rung, "degenerate", reason=_first_sentence(error), losses=made.losses)
            return replace(broken, steps=made.here, total_steps=made.of)
        losses, total, steps = _log(trained)
        found = Outcome(job.trial, job.rung, "degenerate", steps=total - before, total_steps=steps, losses=losses)
        if reason := exploded(losses):
            return replace(found, reason=reason)
        try:
            measure_cell(context, cell, trained, telling)
        except ModelError:  # the loss of a model with such weights was not asked for any more
            return replace(found, reason=f"a weight is not a finite number after update {total}")
        evaluation = EvaluateResult(folder / cell.evaluate_as)
        outputs = evaluation.outputs()
        reason = degenerate_answers(
            outputs["output"].to_list(),
            outputs["object"].to_list(),
            base_broken=self.task.base_broken,
            at_end=job.share == 1,
            in_json=self.task.in_json,
        )
        score = score_of(evaluation.path, least=self.task.evaluate.least_per_level)
        score = self.task.knowledge.charged(score, evaluation.path)
        items = evaluation.path.relative_to(self.folder.resolve()).as_posix()
        return replace(found, kind="degenerate" if reason else "scored", score=score, reason=reason, items=items)

    def _asking(self, model: Path | None, parts: str = "test") -> EvaluateSettings:
        """How a trained model, or the base, is asked; the number format is the section evaluate's own."""
        train = self.task.train
        shared = {name: getattr(train, name) for name in _SHARED if name in train.model_fields_set}
        named = {"model": str(model or train.model), "facts": self.task.facts, "parts": parts}
        named |= {} if self.task.levels is None else {"levels": self.task.levels}
        return EvaluateSettings.make(**shared | self.task.evaluate.model_dump(exclude_unset=True) | named)

    def check(self, slice_name: str) -> None:
        """InputError where a question of a slice does not fit in the model's context: before the search, not at its
        end."""
        facts = self.slice(slice_name)
        settings = self._asking(None, "test" if slice_name == "validation" else "test,ood")
        check_asking(settings, facts, asked_facts(settings, facts), self.base.load())

    def ask(self, model: Path | None, slice_name: str, out: Path, progress: Progress | None = None) -> EvaluateResult:
        """Ask a trained model, or the base, the questions of one slice."""
        if is_finished(out):  # its model's weights may be gone by now; the search's fingerprint covers it
            return EvaluateResult(out)
        facts = self.slice(slice_name)
        settings = self._asking(model, "test" if slice_name == "validation" else "test,ood")
        with nullcontext(self.base.load()) if model is None else self.base.holding(settings) as loaded:
            return run_evaluate(settings, facts, self.levels, out=out, loaded=loaded, progress=progress)


def _log(trained: TrainResult | PausedTraining) -> tuple[tuple[tuple[int, float], ...], int, int]:
    """Losses by update, updates made, updates of the whole schedule."""
    if isinstance(trained, PausedTraining):
        rows = [(int(row["step"]), float(row["loss"])) for row in trained.log]
        return tuple(rows), trained.step, trained.steps
    table = pl.read_parquet(trained.path / "log.parquet", glob=False)
    rows = [(int(step), float(loss)) for step, loss in table.select("step", "loss").iter_rows()]
    return tuple(rows), len(rows), len(rows)


@contextmanager
def _set_aside() -> Iterator[None]:
    """Keep the collector from what lives longer than a training: the trainer collects garbage after each, and half a
    second goes into walking through the base, the facts and the libraries. What the caller set aside stays so."""
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _patiently(run: Callable[[], Outcome], seconds: float = 30.0) -> Outcome:
    """Run; when a worker of a killed loop still holds the trial's folder, wait for its end."""
    until = time.monotonic() + seconds
    while True:
        try:
            return run()
        except StepBusy:
            refuse_lost()  # what is another worker's now is not waited for
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _failure(job: Job, error: Exception) -> Outcome:
    text = f"{type(error).__name__}: {_first_sentence(error)}"
    if not memory_ran_out(error):
        return Outcome(job.trial, job.rung, "failed", None, text)
    error.__traceback__ = None  # its frames hold the tensors
    give_back_memory()
    return Outcome(job.trial, job.rung, "memory", None, text)


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else "no message")[:300]
