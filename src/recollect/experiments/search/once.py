"""Run a search: probe the base if need be, try settings under one loop, ask the finalists unseen questions, report.

Notable choices
- The search is a step directory. The ledger, every trial and every answer lie in it, so a killed search goes on with
  the same command and loses at most the work since a training's last checkpoint.
- The budget may be raised while a search is unfinished; everything else that decides the result may not change.
- Weights go at the end, except the best's, unless they are to be kept; answers, losses and scores stay.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.workspace import DEFAULT_ROOT, Step, is_finished, open_step, write_atomic
from recollect.errors import RecollectError, StepError
from recollect.experiments.executors import Executor, Place, executor_class, make_executor
from recollect.experiments.search.degenerate import broken_share
from recollect.experiments.search.ending import BASE, Ending, choose_finalists, judge_ending
from recollect.experiments.search.journal import check_place
from recollect.experiments.search.lock import FileLock
from recollect.experiments.search.loop import Told, run_loop
from recollect.experiments.search.prepare import Prepared, prepare
from recollect.experiments.search.rung_file import ASIDE, damaged, disagreement
from recollect.experiments.search.schedule import Scheduler
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.search.split import split
from recollect.experiments.search.storage import open_storage, told_in_one_line
from recollect.experiments.search.tables import losses_table, rungs_table, size_used, test_table, trials_table
from recollect.experiments.search.trial import SPLIT, TRIALS, Task, Trials, trial_name
from recollect.experiments.search.trials import Trial
from recollect.experiments.search.types import Job, Outcome
from recollect.experiments.search.words import best_yaml, metrics_of
from recollect.facts import FactSet
from recollect.models import held_for
from recollect.probe import run_probe

Progress = Callable[[int, int], None]
Stage = Callable[[str, str], AbstractContextManager[Progress | None]]
JOURNAL = "ledger.journal"
_BASE_ASKED = "base-validation"
BEST = "best.yaml"
QUEUE = "queue.json"


@dataclass(frozen=True)
class Event:
    """One finished rung, and where the search stands then."""

    told: Told
    trial: Trial
    trials: int
    """Trials begun so far."""
    of: int | None
    """Trials wanted; None for as many as the budget allows."""
    spent: float | None
    """Share of the budget in updates or hours that is spent; None without one."""
    incumbent: float | None
    """The best final score so far."""


Watch = Callable[[Event], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class SearchResult:
    """A finished search: `path` holds best.yaml, report.html, the tables, the ledger and `trials/`."""

    path: Path
    metrics: dict[str, Any]

    @property
    def best(self) -> Path:
        """The best settings, for `recollect train --config`."""
        return self.path / BEST

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    def trials(self) -> pl.DataFrame:
        """One row per trial: its settings, state, scores and cost."""
        return pl.read_parquet(self.path / "trials.parquet", glob=False)

    def rungs(self) -> pl.DataFrame:
        """One row per scored rung: trial, rung, share, score."""
        return pl.read_parquet(self.path / "rungs.parquet", glob=False)

    def losses(self) -> pl.DataFrame:
        """One row per update of any trial: trial, update, share, loss."""
        return pl.read_parquet(self.path / "losses.parquet", glob=False)

    def test(self) -> pl.DataFrame:
        """The finalists by part: score, gain over the baseline, intervals, items."""
        return pl.read_parquet(self.path / "test.parquet", glob=False)

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        hidden = ("lines", "sources")
        return {**{key: value for key, value in self.metrics.items() if key not in hidden}, "out": str(self.path)}


def search_once(
    settings: SearchSettings,
    out: Path | None,
    root: Path = DEFAULT_ROOT,
    *,
    stage: Stage | None,
    watch: Watch | None,
    facts: FactSet | None,
    say: Say | None,
) -> SearchResult:
    """One search with one seed; see `run_search`."""
    prepared = prepare(settings, facts)
    with open_step("search", prepared.fingerprint_values(), prepared.inputs, out, root) as step:
        if settings.resume and not step.done and not step.resumed:
            raise StepError(f"there is no search at {step.path} to go on with. Leave --resume out to begin one.")
        if not step.done:
            _Search(step, prepared, stage or (lambda what, unit: nullcontext(None)), watch, say or _warn).work()
        elif settings.trials not in (None, step.metrics["trials"]):
            (say or _warn)(
                f"this search is finished, with {step.metrics['trials']} settings tried, and is not extended. Give "
                "--out another name for one with another number."
            )
        return SearchResult(step.path, step.metrics)


class _Search:
    """One search at work."""

    def __init__(self, step: Step, prepared: Prepared, stage: Stage, watch: Watch | None, say: Say) -> None:
        self.step, self.prepared, self.stage, self.watch, self.say = step, prepared, stage, watch, say
        self.settings = prepared.settings
        self.folder = step.folder
        self.last = len(prepared.plan.rungs) - 1

    def work(self) -> None:
        """Everything, from the levels to the manifest."""
        started = time.monotonic()
        if not is_finished(self.folder / _BASE_ASKED):
            self._check_doors()
        trials = Trials(self._task())
        try:
            self._begin(trials)
            with self._scheduler(trials) as scheduler:
                self._check_folders(scheduler)
                self._loop(scheduler, trials)
                found = scheduler.trials
                chosen = choose_finalists(found, self.last, self.settings.finalists)
                if not chosen:
                    raise RecollectError(_nothing_finished(found))
                ending = self._end(trials, chosen)
                self._write(scheduler, trials, ending, started)
        finally:
            trials.release()

    def _check_doors(self) -> None:
        """Refuse a storage that cannot be opened and a Ray that does not answer before minutes of work, not after."""
        storage = self._storage()
        if isinstance(storage, Path):
            check_place(storage)
            FileLock(storage).release()
        else:
            with told_in_one_line(storage, opening=True):
                open_storage(storage).remove_session()
        executor_class(self.settings.executor, self._place()).check(self._place())

    def _storage(self) -> str | Path:
        if self.settings.storage is None:
            return self.folder / JOURNAL
        return self.settings.journal or self.settings.storage.get_secret_value()

    def _task(self) -> Task:
        """What the trials have in common, as far as it is known before the base was asked."""
        prepared, train = self.prepared, {**self.prepared.train, "seed": self.settings.seed}
        return Task(
            folder=str(self.folder.resolve()),
            facts=_absolute(self.settings.facts),
            facts_fingerprint=prepared.facts.fingerprint(),
            levels=None,
            train={**train, "model": _absolute(str(train["model"]))},
            select=prepared.select,
            evaluate=prepared.evaluate,
            seed=self.settings.seed,
            in_json=prepared.in_json,
        )

    def _begin(self, trials: Trials) -> None:
        """Levels, slices, and the untouched base on the validation slice."""
        prepared = self.prepared
        with self.stage("loading the model", ""):
            _ = trials.base
        if prepared.probe is not None:
            held = held_for(prepared.probe, trials.base)
            with self.stage("probing the base", "prompts") as progress:
                run_probe(prepared.probe, prepared.facts, self.folder / "probe", progress=progress, loaded=held)
            levels: str | None = str(self.folder.resolve() / "probe")
        else:
            levels = None if prepared.levels is None else _absolute(self.settings.levels)
        trials.task = task = replace(trials.task, levels=levels)
        self._split(trials)
        with self.stage("asking the base", "questions"):
            base = trials.ask(None, "validation", self.folder / _BASE_ASKED)
        outputs = base.outputs()
        share, _ = broken_share(outputs["output"].to_list(), outputs["object"].to_list(), in_json=task.in_json)
        trials.task = replace(task, base_broken=share)

    def _split(self, trials: Trials) -> None:
        table = trials.levels
        slices = split(
            self.prepared.facts,
            None if table is None else dict(zip(table["fact_id"].to_list(), table["level"].to_list(), strict=True)),
            share=self.settings.validation_share,
            most=self.settings.validation,
            seed=self.settings.seed,
            by_subject=self.prepared.in_json,
        )
        rows = [(fact.id, name) for name in ("validation", "test") for fact in getattr(slices, name)]
        self.step.write_table(SPLIT, pl.DataFrame(rows, schema=["fact_id", "slice"], orient="row"))

    def _scheduler(self, trials: Trials) -> Scheduler:
        settings, prepared = self.settings, self.prepared
        trials.updates(prepared.starts[0])  # settings that no training takes are refused here
        return Scheduler(
            prepared.space,
            prepared.plan,
            settings.seed,
            self._storage(),
            starts=prepared.starts,
            steps=trials.updates,
            settle=lambda values: trials.settle(values, prepared.space),
            name=settings.study,
        )

    def _check_folders(self, scheduler: Scheduler) -> None:
        """A storage of its own may know of trials whose folders are elsewhere; a score stands in the ledger and in the
        trial's folder, and must be the same in both."""
        if scheduler.repaired:
            self.say(scheduler.repaired)
        for trial in scheduler.trials:
            folder = self.folder / TRIALS / trial_name(trial.number)
            if trial.state != "running" and (file := damaged(folder)):
                raise StepError(
                    f"{file} is damaged. Put a copy back; or delete it, move the ledger away and run the command "
                    "again: that rung is then judged anew, and other trainings are taken as they are."
                )
            if other := disagreement(folder, trial):
                raise StepError(
                    f"trial {trial.number} scored {other.ledger:g} by the ledger but {other.file:g} by {other.path}: "
                    "one of them is damaged. Put a copy back, or move the ledger away and run the command again; "
                    "finished trainings are then taken from the trials' folders."
                )
            if trial.scores and not folder.is_dir():
                raise StepError(
                    f"the study in the storage has trial {trial.number}, but its folder is not in {self.folder}. Give "
                    "the folder that the search began in with --out, or another --study."
                )

    def _place(self) -> Place:
        address = self.settings.address
        return Place(
            workers=self.settings.workers,
            retries=self.settings.retries,
            gpus=self.settings.gpus_per_trial,
            address=None if address is None else address.get_secret_value(),
            folder=self.folder.resolve(),
        )

    def _executor(self, trials: Trials) -> Executor[Job, Outcome]:
        name, place = self.settings.executor, self._place()
        if executor_class(name, place).in_process:
            return make_executor(name, trials, place)  # its own model and facts are used again
        trials.release()
        return make_executor(name, trials.task, place)

    def _loop(self, scheduler: Scheduler, trials: Trials) -> None:
        if scheduler.done:
            return
        wanted = self.prepared.plan.trials
        with self.stage("searching", "trials" if wanted else "% of the budget") as progress:
            executor = self._executor(trials)

            def told(one: Told) -> None:
                found = scheduler.trials
                settled = sum(trial.state != "running" for trial in found)
                best = scheduler.summary().best
                if progress is not None:
                    spent = round(100 * (scheduler.spent() or 0.0))
                    progress(*((settled, max(wanted, settled)) if wanted else (spent, max(100, spent))))
                if self.watch:
                    incumbent = None if best is None else best.scores[self.last]
                    trial = found[one.outcome.trial]
                    self.watch(Event(one, trial, len(found), wanted, scheduler.spent(), incumbent))

            try:
                queue = self.folder / QUEUE
                run_loop(scheduler, executor, order=self.settings.order, watch=told, queue=queue)
                queue.unlink(missing_ok=True)
            finally:
                executor.close()

    def _end(self, trials: Trials, chosen: list[Trial]) -> Ending:
        """Ask the finalists, the baseline and the base what the search has not asked."""
        test, validation = {}, {BASE: self.folder / _BASE_ASKED}
        with self.stage("asking the unseen questions", "models") as progress:
            for done, trial in enumerate([None, *chosen]):
                if progress is not None:
                    progress(done, len(chosen) + 1)
                if trial is None:
                    test[BASE] = trials.ask(None, "test", self.folder / "base-test").path
                    continue
                folder = self.folder / TRIALS / trial_name(trial.number)
                validation[trial.number] = folder / f"validation-{self.last}"
                test[trial.number] = trials.ask(folder / "train", "test", folder / "test").path
        return judge_ending(chosen, validation, test, trials.least_per_level)

    def _write(self, scheduler: Scheduler, trials: Trials, ending: Ending, started: float) -> None:
        from recollect.experiments.search.collect import collect
        from recollect.report import write_report

        step, found = self.step, scheduler.trials
        self._tell_of_aside()
        step.write_table("trials.parquet", trials_table(found, self.prepared.space, self.prepared.plan, self.folder))
        step.write_table("rungs.parquet", rungs_table(found, self.prepared.plan))
        step.write_table("losses.parquet", losses_table(found, self.folder))
        step.write_table("test.parquet", test_table(ending))
        best = ending.best.trial
        size = size_used(self.folder, best.number)
        text = best_yaml(self.settings, trials, ending, size, step.path, len(found))
        write_atomic(self.folder / BEST, lambda file: file.write(text.encode()))
        metrics = metrics_of(scheduler.summary(), ending, size, trials.selection(best.values).level)
        with self.stage("writing the report", ""):
            write_report(collect(step, self.prepared, trials, scheduler, ending, metrics, text), step.folder)
        if not self.settings.keep_models:
            self._drop_weights(found, best.number)
        (self.folder / f"{JOURNAL}.search-lock").unlink(missing_ok=True)
        metrics["model"] = str(step.path / TRIALS / trial_name(best.number) / "train")
        metrics["sources"] = {name: str(getattr(self.settings, name)) for name in ("model", "facts", "levels")}
        step.finish(
            {**metrics, "report": str(step.path / "report.html"), "seconds": round(time.monotonic() - started, 3)}
        )

    def _tell_of_aside(self) -> None:
        """Trainings that a cut ledger did not decide again take no part, and are named."""
        if found := sorted(folder.name for folder in (self.folder / TRIALS).glob(f"*{ASIDE}*")):
            self.say(
                f"{len(found)} trainings from before the ledger was cut have other settings now and take no part; they "
                f"are kept as {', '.join(found[:10])} in {self.step.path / TRIALS}."
            )

    def _drop_weights(self, found: list[Trial], best: int) -> None:
        for trial in found:
            folder = self.folder / TRIALS / trial_name(trial.number)
            shutil.rmtree(folder / "train.partial", ignore_errors=True)
            if trial.number != best:
                for file in (folder / "train" / "model").glob("*.safetensors"):
                    file.unlink()


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _absolute(name: str) -> str:
    """A path as every worker can find it; a name that is no path stays."""
    path = Path(name)
    return str(path.resolve()) if path.exists() else name


def _nothing_finished(found: list[Trial]) -> str:
    states = [trial.state for trial in found]
    last = next((trial for trial in reversed(found) if trial.reason), None)
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("paused", "degenerate", "failed") if state in states
    )
    why = f" The last reason: {last.reason}." if last else ""
    return (
        f"no trial was trained to its end ({counts or 'none was begun'}).{why} Raise the budget and run the command "
        "again, or start with gentler settings in a new folder."
    )
