"""One job for real: choose the examples, train to the rung, ask the validation questions.

Notable choices
- Everything of a trial is in its own folder. Each of its steps can be resumed, so a killed job goes on where it was: at
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
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.estimates import LEAST_PER_LEVEL
from recollect.core.workspace import is_finished
from recollect.errors import InputError, ModelError, StepBusy, StepError
from recollect.evaluate import EvaluateResult, EvaluateSettings, run_evaluate
from recollect.experiments.search.degenerate import degenerate_answers, exploded, runs_away
from recollect.experiments.search.parameters import Choice, Int
from recollect.experiments.search.rung_file import claim, read_outcome, updates_told, write_outcome
from recollect.experiments.search.score import score_of
from recollect.experiments.search.space import SELECT_NAMES, Space
from recollect.experiments.search.types import Job, Outcome
from recollect.facts import FactSet, load_facts
from recollect.models import LoadedModel, load
from recollect.select import SelectSettings, available, read_levels, run_select
from recollect.train import PausedTraining, TrainSettings, run_train_until

TRIALS = "trials"
SPLIT = "split.parquet"
_SHARED = ("revision", "trust_remote_code", "device")  # which model, and where: one for training and asking


def trial_name(trial: int) -> str:
    """The folder of a trial, inside `trials/`."""
    return f"{trial:03d}"


@dataclass(frozen=True)
class Task:
    """What every trial of a search has in common; plain values and paths, so that it can be sent to other processes."""

    folder: str
    """The search's folder, on a path that all workers share; split.parquet stands in it."""
    facts: str
    facts_fingerprint: str
    levels: str | None
    train: Mapping[str, Any]
    """Settings of every training, model and seed among them."""
    select: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    seed: int
    in_json: bool
    """The answers are JSON objects."""
    base_broken: float = 0.0
    """The share of broken answers of the untouched base."""

    def start(self) -> Callable[[Job], Outcome]:
        """Called once in each worker; the model is loaded at the first job."""
        return Trials(self).run


class Made:
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


class Trials:
    """Runs the jobs of one search in this process; holds the model and the facts."""

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

    @property
    def least_per_level(self) -> int:
        """Facts that a memory level needs to enter a score."""
        return int(self.task.evaluate.get("least_per_level", LEAST_PER_LEVEL))

    @cached_property
    def base(self) -> LoadedModel:
        """The untouched base; every training starts from a copy of it.

        The trainer collects garbage after each training; what lives as long as the search is set aside from that, which
        saves half a second a training.
        """
        loaded = load(self._asking(None))
        gc.collect()
        gc.freeze()
        return loaded

    def start(self) -> Callable[[Job], Outcome]:
        """Work for this very process: its own model and facts are used again."""
        return self.run

    def release(self) -> None:
        """Give the base's memory back; it is loaded again when it is needed."""
        self.__dict__.pop("base", None)
        gc.unfreeze()
        gc.collect()
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def slice(self, name: str) -> FactSet:
        """The facts of `validation` or `test`, as the search has cut them."""
        table = pl.read_parquet(self.folder / SPLIT, glob=False)
        return self.facts.only(table.filter(pl.col("slice") == name)["fact_id"].to_list())

    def settings(self, values: Mapping[str, Any]) -> TrainSettings:
        """The settings of a trial's training."""
        chosen = {name: value for name, value in values.items() if name not in SELECT_NAMES}
        return TrainSettings.make(**{**self.task.train, **chosen})

    def selection(self, values: Mapping[str, Any]) -> SelectSettings:
        """The settings of a trial's examples; a level with fewer examples than the size gives all it has."""
        chosen = {name: values[name] for name in SELECT_NAMES if name in values}
        known = {"seed": self.task.seed, "facts": self.task.facts, "levels": self.task.levels}
        made = SelectSettings.make(**{**self.task.select, **chosen, **known})
        if made.size == "all":
            return made
        most = self._available(made.level, made.min_level_confidence)
        return made.model_copy(update={"size": max(1, min(made.size, most))})

    def settle(self, values: Mapping[str, Any], space: Space) -> dict[str, Any]:
        """The point of the space that stands for all that train the same: a size beyond what the level has is the least
        such one."""
        size, parameter = values.get("size"), space.parameters.get("size")
        if size is None or not isinstance(parameter, Choice | Int):
            return dict(values)
        chosen = SelectSettings.make(**{**self.task.select, **{k: v for k, v in values.items() if k in SELECT_NAMES}})
        most = self._available(chosen.level, chosen.min_level_confidence)
        if isinstance(parameter, Choice):
            enough = [one for one in parameter.options if isinstance(one, int) and one >= most]
            return {**values, "size": min(enough, default=size) if size == "all" or size > most else size}
        over = max(0, size - most) // parameter.step * parameter.step
        return {**values, "size": max(parameter.low, size - over)}

    def updates(self, values: Mapping[str, Any]) -> int:
        """Updates of a trial's whole training. Raises InputError for settings that no training takes."""
        chosen = self.selection(values)
        size = self._available(chosen.level, chosen.min_level_confidence) if chosen.size == "all" else chosen.size
        return _updates(self.settings(values), size)

    def _available(self, level: str, confidence: float) -> int:
        if (level, confidence) not in self._counts:
            self._counts[level, confidence] = available(self.facts, self.levels, level, confidence)
        return self._counts[level, confidence]

    def run(self, job: Job) -> Outcome:
        """Train to the rung and score. Raises what stops the whole search: Ctrl-C and a full disk."""
        folder = self.folder / TRIALS / trial_name(job.trial)
        claim(folder, job)
        if (found := read_outcome(folder, job)) is not None:
            return found
        started = time.monotonic()
        made = Made()
        try:
            outcome = _patiently(lambda: self._run(job, folder, made))
        except StepError:
            raise  # another process holds the trial, or its folder is not ours: no fault of the settings
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            seconds = round(time.monotonic() - started, 3)
            return replace(_failure(job, error), steps=made.here, total_steps=made.of, seconds=seconds)
        outcome = replace(outcome, seconds=round(time.monotonic() - started, 3))
        write_outcome(folder, job, outcome)
        return outcome

    def _run(self, job: Job, folder: Path, made: Made) -> Outcome:
        base = self.base
        settings, chosen = self.settings(job.values), self.selection(job.values)
        selection = run_select(chosen, self.facts, self.levels, out=folder / "select")
        steps = _updates(settings, len(selection.facts))
        settings = settings.model_copy(update={"save_every": settings.save_every or max(20, math.ceil(steps / 10))})
        before = updates_told(folder, job.rung)
        try:
            trained = run_train_until(
                settings,
                selection.path,
                job.share,
                out=folder / "train",
                base=base,
                progress=made.since(before),
                judge=made.judge,
            )
        except ModelError as error:  # the loss ran away, or it or a weight is no number any more
            return Outcome(
                job.trial,
                job.rung,
                "degenerate",
                reason=_first_sentence(error),
                steps=made.here,
                total_steps=made.of,
                losses=made.losses,
            )
        losses, total, steps = _log(trained)
        known: dict[str, Any] = {"steps": total - before, "total_steps": steps, "losses": losses}
        if reason := exploded(losses):
            return Outcome(job.trial, job.rung, "degenerate", None, reason, **known)
        try:
            evaluation = self.ask(trained.model_folder, "validation", folder / f"validation-{job.rung}")
        except ModelError:  # the loss of a model with such weights was not asked for any more
            reason = f"a weight is not a finite number after update {total}"
            return Outcome(job.trial, job.rung, "degenerate", None, reason, **known)
        items = evaluation.path.relative_to(self.folder.resolve()).as_posix()
        outputs = evaluation.outputs()
        reason = degenerate_answers(
            outputs["output"].to_list(),
            outputs["object"].to_list(),
            base_broken=self.task.base_broken,
            at_end=job.share == 1,
            in_json=self.task.in_json,
        )
        score = score_of(evaluation.path, least=self.least_per_level)
        return Outcome(job.trial, job.rung, "degenerate" if reason else "scored", score, reason, items=items, **known)

    def _asking(self, model: Path | None, parts: str = "test") -> EvaluateSettings:
        """How a trained model, or the base, is asked; the number format is the section evaluate's own."""
        shared = {name: self.task.train[name] for name in _SHARED if name in self.task.train}
        named = {"model": str(model or self.task.train["model"]), "facts": self.task.facts, "parts": parts}
        named |= {} if self.task.levels is None else {"levels": self.task.levels}
        return EvaluateSettings.make(**{**shared, **self.task.evaluate, **named})

    def ask(self, model: Path | None, slice_name: str, out: Path) -> EvaluateResult:
        """Ask a trained model, or the base, the questions of one slice."""
        if is_finished(out):  # its model's weights may be gone by now; the search's fingerprint covers it
            return EvaluateResult(out)
        facts = self.slice(slice_name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # adapters on transformers 5 warn of names to come
            settings = self._asking(model, "test" if slice_name == "validation" else "test,ood")
            loaded = self.base if model is None else load(settings)
        return run_evaluate(settings, facts, self.levels, out=out, loaded=loaded)


def _updates(settings: TrainSettings, examples: int) -> int:
    """Updates of the whole schedule, as the trainer counts them."""
    if settings.max_steps is not None:
        return settings.max_steps
    return math.ceil(settings.epochs * math.ceil(examples / settings.batch_size))


def _log(trained: Any) -> tuple[tuple[tuple[int, float], ...], int, int]:
    """Losses by update, updates made, updates of the whole schedule."""
    if isinstance(trained, PausedTraining):
        rows = [(int(row["step"]), float(row["loss"])) for row in trained.log]
        return tuple(rows), trained.step, trained.steps
    table = pl.read_parquet(trained.path / "log.parquet", glob=False)
    rows = [(int(step), float(loss)) for step, loss in table.select("step", "loss").iter_rows()]
    return tuple(rows), len(rows), len(rows)


def _patiently(run: Callable[[], Outcome], seconds: float = 30.0) -> Outcome:
    """Run; when a worker of a killed loop still holds the trial's folder, wait for its end."""
    until = time.monotonic() + seconds
    while True:
        try:
            return run()
        except StepBusy:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _failure(job: Job, error: Exception) -> Outcome:
    text = f"{type(error).__name__}: {_first_sentence(error)}"
    if not _out_of_memory(error):
        return Outcome(job.trial, job.rung, "failed", None, text)
    error.__traceback__ = None  # its frames hold the tensors
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return Outcome(job.trial, job.rung, "memory", None, text)


def _out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, on the device or beside it."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else "no message")[:300]
