"""Run a search: probe the base if need be, try settings under one loop, ask the finalists unseen questions, report.

Notable choices
- The search is a step directory. The ledger, every trial and every answer lie in it, so a killed search resumes with
  the same command and loses at most the work since a training's last checkpoint.
- The budget may be raised while a search is unfinished; everything else that decides the result may not change.
- Weights go at the end, except the best's, unless they are to be kept; answers, losses and scores stay.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recollect.core.settings import source_of
from recollect.core.workspace import Step, is_finished, open_step, write_atomic
from recollect.errors import RecollectError, StepError
from recollect.experiments.cell import drop_weights
from recollect.experiments.executors import Executor, Place, executor_class, make_executor
from recollect.experiments.found import Stage, unheard
from recollect.experiments.many.measure import Pays
from recollect.experiments.remaining import Remaining
from recollect.experiments.search.first import FirstTrials
from recollect.experiments.search.held_out_test import BASE, HeldOut, choose_finalists, held_out_test
from recollect.experiments.search.journal import held, lock_of
from recollect.experiments.search.loop import Told, run_loop
from recollect.experiments.search.prepare import Prepared, check_place
from recollect.experiments.search.results import (
    BEST,
    SearchFound,
    SearchResult,
    best_yaml,
    losses_table,
    rungs_table,
    size_used,
    test_table,
    trials_table,
)
from recollect.experiments.search.rung_file import ASIDE, damaged, disagreement
from recollect.experiments.search.runner import FACTS, SPLIT, TRIALS, Task, TrialRunner
from recollect.experiments.search.schedule import Scheduler
from recollect.experiments.search.storage import Kept, open_storage, told_in_one_line
from recollect.experiments.search.trial import Job, Outcome, Trial, trial_name
from recollect.experiments.search.validation import broken_share, split
from recollect.experiments.under_way import UNDER_WAY, watched
from recollect.models import held_for
from recollect.probe import run_probe

JOURNAL = "ledger.journal"
_BASE_ASKED = "base-validation"
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
class Watching:
    """Who is told of what goes on."""

    stage: Stage
    watch: Watch | None
    say: Say
    """Told what went other than expected."""
    note: Say = unheard
    """Told what is good to know."""


def search_once(
    prepared: Prepared, out: Path | None, root: Path, with_: Watching, home: Path | None = None
) -> SearchResult:
    """One search with one seed; see `run_search`. `home`: where its folder will lie at last, if not at `out`."""
    settings = prepared.settings
    with open_step("search", settings, prepared.inputs, out, root) as step:
        if settings.resume and not step.done and not step.resumed:
            raise StepError(f"there is no search at {step.path} to resume. Leave --resume out to begin one.")
        if not (done := step.done):
            _Search(step, prepared, with_, home or step.path).work()
        found = SearchFound.read(step.path)
        if done and settings.trials not in (None, found.trials):
            with_.say(
                f"this search is finished, with {found.trials} settings tried, and is not extended. Give "
                "--out another name for one with another number."
            )
        return SearchResult(step.path, found)


class _Search:
    """One search at work."""

    def __init__(self, step: Step, prepared: Prepared, with_: Watching, home: Path) -> None:
        self.step, self.prepared, self.folder, self.home = step, prepared, step.folder, home
        self.stage, self.watch, self.say, self.note = with_.stage, with_.watch, with_.say, with_.note
        self.settings = prepared.settings
        self.plan = prepared.settings.plan()

    def work(self) -> None:
        """Everything, from the levels to the manifest."""
        started = time.monotonic()
        if not is_finished(self.folder / _BASE_ASKED):
            self._check_doors()
        runner = TrialRunner(self._task())
        try:
            self._begin(runner)
            with self._scheduler(runner) as scheduler:
                self._check_folders(scheduler)
                self._loop(scheduler, runner)
                found = scheduler.trials
                chosen = choose_finalists(found, self.plan.last, self.settings.finalists)
                if not chosen:
                    raise RecollectError(_nothing_finished(found))
                held_out = self._end(runner, chosen)
                self._write(scheduler, runner, held_out, started)
        finally:
            runner.release()

    def _check_doors(self) -> None:
        """Refuse a storage that cannot be opened and a Ray that does not answer before minutes of work, not after."""
        storage = self._storage()
        if isinstance(storage, Path):
            check_place(storage)
            with held(storage):
                pass
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
        prepared = self.prepared
        facts = _absolute(self.settings.facts)
        if prepared.handed_over:  # the workers read them too
            self.step.write_table(FACTS, prepared.facts.table())
            facts = str(self.folder.resolve() / FACTS)
        return Task(
            folder=str(self.folder.resolve()),
            facts=facts,
            facts_fingerprint=prepared.facts.fingerprint(),
            levels=None,
            train=prepared.train.model_copy(update={"model": _absolute(prepared.train.model)}),
            select=prepared.select,
            evaluate=prepared.evaluate,
            in_json=prepared.in_json,
        )

    def _begin(self, runner: TrialRunner) -> None:
        """Levels, slices, and the untouched base on the validation slice."""
        prepared = self.prepared
        with self.stage("loading the model", ""):
            base = runner.base.load()
        if prepared.probe is not None:
            held = held_for(prepared.probe, base)
            with self.stage("probing the base", "prompts") as progress:
                run_probe(prepared.probe, prepared.facts, self.folder / "probe", progress=progress, loaded=held)
            levels: str | None = str(self.folder.resolve() / "probe")
        else:
            levels = None if prepared.levels is None else _absolute(self.settings.levels)
        runner.task = task = replace(runner.task, levels=levels)
        self._split(runner)
        runner.check("test")
        with self.stage("asking the base", "questions") as progress:
            asked = runner.ask(None, "validation", self.folder / _BASE_ASKED, progress)
        outputs = asked.outputs()
        share, _ = broken_share(outputs["output"].to_list(), outputs["object"].to_list(), in_json=task.in_json)
        runner.task = replace(task, base_broken=share)

    def _split(self, runner: TrialRunner) -> None:
        table = runner.levels
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

    def _scheduler(self, runner: TrialRunner) -> Scheduler:
        settings, prepared = self.settings, self.prepared
        runner.updates(prepared.starts[0])  # settings that no training takes are refused here
        return Scheduler(
            prepared.space,
            self.plan,
            settings.seed,
            Kept(self._storage(), settings.study),
            starts=prepared.starts,
            steps=runner.updates,
            settle=lambda values, taken: runner.settle(values, prepared.space),
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

    def _executor(self, runner: TrialRunner, scheduler: Scheduler) -> Executor[Job, Outcome]:
        name, place = self.settings.executor, self._place()
        if executor_class(name, place).in_process:
            first = self.plan.startup - sum(trial.state != "running" for trial in scheduler.trials)
            if first > 1 and runner.task.train.method == "lora" and not self.settings.one_by_one:
                return FirstTrials(runner, first, Pays(self.note))
            return make_executor(name, runner, place)  # its own model and facts are used again
        runner.release()
        return make_executor(name, runner.task, place)

    def _loop(self, scheduler: Scheduler, runner: TrialRunner) -> None:
        if scheduler.done:
            return
        wanted = self.plan.trials
        trials = Remaining((), self.folder / UNDER_WAY)  # how many are to come is the scheduler's to say
        unit = "trials" if wanted else "% of the budget"
        with watched(trials.folder), self.stage("searching", unit, trials.at_work) as progress:
            executor = self._executor(runner, scheduler)

            def told(one: Told) -> None:
                found = scheduler.trials
                settled = sum(trial.state != "running" for trial in found)
                best = scheduler.summary().best
                if progress is not None:
                    spent = round(100 * (scheduler.spent() or 0.0))
                    progress(*((settled, max(wanted, settled)) if wanted else (spent, max(100, spent))))
                if self.watch:
                    incumbent = None if best is None else best.scores[self.plan.last]
                    trial = found[one.outcome.trial]
                    self.watch(Event(one, trial, len(found), wanted, scheduler.spent(), incumbent))

            try:
                queue = self.folder / QUEUE
                run_loop(scheduler, executor, order=self.settings.order, watch=told, queue=queue)
                queue.unlink(missing_ok=True)
            finally:
                executor.close()

    def _end(self, runner: TrialRunner, chosen: list[Trial]) -> HeldOut:
        """Ask the finalists, the baseline and the base what the search has not asked."""
        test, validation = {}, {BASE: self.folder / _BASE_ASKED}
        with self.stage("asking the unseen questions", "models") as progress:
            for done, trial in enumerate([None, *chosen]):
                if progress is not None:
                    progress(done, len(chosen) + 1)
                if trial is None:
                    test[BASE] = runner.ask(None, "test", self.folder / "base-test").path
                    continue
                folder = self.folder / TRIALS / trial_name(trial.number)
                validation[trial.number] = folder / f"validation-{self.plan.last}"
                test[trial.number] = runner.ask(folder / "train", "test", folder / "test").path
        return held_out_test(chosen, validation, test, runner.task.evaluate.least_per_level)

    def _write(self, scheduler: Scheduler, runner: TrialRunner, held_out: HeldOut, started: float) -> None:
        from recollect.experiments.search.collect import collect
        from recollect.report import write_report

        step, found = self.step, scheduler.trials
        self._tell_of_aside()
        step.write_table("trials.parquet", trials_table(found, self.prepared.space, self.plan, self.folder))
        step.write_table("rungs.parquet", rungs_table(found, self.plan))
        step.write_table("losses.parquet", losses_table(found, self.folder))
        step.write_table("test.parquet", test_table(held_out))
        best = held_out.best.trial
        size = size_used(self.folder, best.number)
        text = best_yaml(self.prepared, runner, held_out, size, self.home, len(found))
        write_atomic(self.folder / BEST, lambda file: file.write(text.encode()))
        chosen = SearchFound.of(scheduler.summary(), held_out, size, runner.selection(best.values).level)
        with self.stage("writing the report", ""):
            write_report(collect(step, self.prepared, runner, scheduler, held_out, chosen, text), step.folder)
        if not self.settings.keep_models:
            self._drop_weights(found, best.number)
        lock_of(self.folder / JOURNAL).unlink(missing_ok=True)
        more = {
            "model": str(self.home / TRIALS / trial_name(best.number) / "train"),
            "sources": {
                "model": self.settings.model,
                "facts": source_of(self.settings, "facts", self.prepared.facts if self.prepared.handed_over else None),
                "levels": self.settings.levels,
            },
            "report": str(self.home / "report.html"),
            "seconds": round(time.monotonic() - started, 3),
        }
        step.finish(chosen.model_copy(update=more))

    def _tell_of_aside(self) -> None:
        """Trainings that a cut ledger did not decide again take no part, and are named."""
        if found := sorted(folder.name for folder in (self.folder / TRIALS).glob(f"*{ASIDE}*")):
            self.say(
                f"{len(found)} trainings from before the ledger was cut have other settings now and take no part; they "
                f"are kept as {', '.join(found[:10])} in {self.home / TRIALS}."
            )

    def _drop_weights(self, found: list[Trial], best: int) -> None:
        for trial in found:
            folder = self.folder / TRIALS / trial_name(trial.number)
            shutil.rmtree(folder / "train.partial", ignore_errors=True)
            if trial.number != best:
                drop_weights(folder / "train")


def warn(text: str) -> None:
    """Say it as a warning of Python's."""
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
