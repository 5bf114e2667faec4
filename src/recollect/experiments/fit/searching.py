"""The search of a fit: the search's own scheduler and trials, each trial charged for what it makes the base forget.

Notable choices
- Amount, choice of data and settings are one space (`space.py`). A trial is judged early where early scores tell
  something (`cost.py`), only the promising are trained to the end, and the first start always is.
- A budget in time is what is left after the baselines, less what the end needs. It is measured, not planned: the
  seconds of finished stages say what a training and an evaluation take on this machine now.
- Where trials are adapters, the points to try first are trained in one pass where that is measured to pay. As many are
  given out as the time has room for one after the other, so a pass overruns no budget.
- A file named `stop` in the fit's folder ends the search after the job at work; the rest goes on as if the budget were
  spent.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recollect.core.workspace import write_parquet
from recollect.core.workspace.fit import TrialFound
from recollect.core.workspace.manifest import PARTIAL
from recollect.experiments.fit.answers import Answers, value_of
from recollect.experiments.fit.cost import (
    judged_at,
    most_updates,
    plain_point,
    plain_updates,
    pools_of,
    search_updates,
    space_of,
)
from recollect.experiments.fit.elsewhere import SEARCH, at_once, trial_executor
from recollect.experiments.fit.space import LONGEST, fit_starts, settled
from recollect.experiments.fit.stages import REPAIRS, Ground, plain_cell
from recollect.experiments.many.measure import WORTH
from recollect.experiments.remaining import Remaining
from recollect.experiments.search.first import FirstTrials
from recollect.experiments.search.loop import Told, run_loop
from recollect.experiments.search.runner import SPLIT, TRIALS, Task, TrialRunner
from recollect.experiments.search.schedule import Scheduler
from recollect.experiments.search.settings import Plan
from recollect.experiments.search.space import Space
from recollect.experiments.search.storage import Kept
from recollect.experiments.search.trial import Job, Outcome, Trial, TrialValues, trial_name
from recollect.experiments.search.validation import broken_share
from recollect.experiments.under_way import UNDER_WAY, watched
from recollect.select import SelectSettings
from recollect.train import TrainSettings
from recollect.train.auto import HARDLY

STOP = "stop"
"""A file of this name in the fit's folder asks it to end its search and finish with the best so far."""
FOLDER, FACTS, JOURNAL, QUEUE = SEARCH, "facts.parquet", "ledger.journal", "queue.json"
KEPT_BACK = 0.4
"""At most so much of the time that is left is kept from the search for seeds, means and repairs."""
LEAST_JOBS = 3
"""Early judgements for which a search must have room to be begun."""


@dataclass(frozen=True)
class Searched:
    """A finished search."""

    folder: Path
    space: Space
    trials: tuple[Trial, ...]
    runner: TrialRunner
    judged_at: float
    """Share of the training at which every trial was judged."""

    def answers(self, trial: Trial) -> Answers:
        """What the finished training of a trial answered."""
        rungs = self.runner.folder / TRIALS / trial_name(trial.number)
        return Answers(max(rungs.glob("validation-*"), key=lambda path: int(path.name.rpartition("-")[2])))

    def training(self, trial: Trial) -> Path:
        """Its train step."""
        return self.folder / TRIALS / trial_name(trial.number) / "train"

    def select(self, values: TrialValues) -> SelectSettings:
        """Which examples a trial was trained on."""
        return self.runner.selection(values)

    def train(self, values: TrialValues) -> TrainSettings:
        """How it was trained."""
        return self.runner.settings(values)

    @property
    def finished(self) -> list[Trial]:
        """Those that were trained to their end."""
        return [trial for trial in self.trials if trial.state == "finished"]

    def found(self, ground: Ground) -> tuple[TrialFound, ...]:
        """For the result."""
        return tuple(_found(self, ground, trial) for trial in self.trials)

    def drop_paused(self) -> None:
        """Remove the checkpoints of trials that will not go on."""
        for trial in self.trials:
            training = self.training(trial)
            shutil.rmtree(training.with_name(f"{training.name}{PARTIAL}"), ignore_errors=True)


def _found(searched: Searched, ground: Ground, trial: Trial) -> TrialFound:
    done = trial.state == "finished"
    score, forgot, _ = value_of(searched.answers(trial), ground.knowledge) if done else (None, None, None)
    return TrialFound(
        number=trial.number,
        settings=dict(trial.values),
        state=trial.state,
        early=trial.early,
        score=score,
        forgot=forgot,
        updates=trial.steps,
        reason=trial.reason,
    )


Better = Callable[[Path, str, float], None]
"""Told of a finished training that is better than all before: its step, its name, and what it is worth."""


def run_fit_search(ground: Ground, base: Answers, value: float, better: Better) -> Searched | None:
    """Search within what the budget leaves; None where that is too little for a single trial.

    value: what the best model before it is worth. better: told of every trial that is worth more.
    """
    folder = ground.steps / FOLDER
    pools = pools_of(ground)
    space = space_of(ground, pools)
    plain, updates = plain_point(ground), plain_updates(ground)
    gentle = bool(ground.settings.forgetting and ground.knowledge.items and not ground.by_words)
    starts = fit_starts(space, plain, ground.most, gentle, pools)
    plan = _plan(ground, folder)
    if plan is None or not space.parameters:
        return None
    runner = TrialRunner(_task(ground, folder, base))
    runner.base = ground.base

    def settle(values: TrialValues, taken: Sequence[TrialValues] = ()) -> TrialValues:
        return settled(runner.settle(values, space), space, runner.updates, LONGEST * updates)

    room = plan.budget_steps or math.inf
    starts = [one for one in starts if runner.updates(settle(one)) <= room]
    with (
        ground.clock.stage("searching"),
        Scheduler(
            space,
            plan,
            ground.settings.seed,
            Kept(folder / JOURNAL),
            starts=starts,
            steps=runner.updates,
            settle=settle,
        ) as scheduler,
    ):
        _loop(ground, Stoppable(scheduler, ground, runner), runner, _Watch(ground, runner, value, better))
        found = tuple(trial for trial in scheduler.trials if trial.state != "running")
    return Searched(folder, space, found, runner, plan.rungs[0])


def _task(ground: Ground, folder: Path, base: Answers) -> Task:
    """What the trials have in common, with the tables that they read."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / SPLIT).is_file():
        write_parquet(folder / FACTS, ground.choosing.table())
        asked = [fact.id for fact in ground.choosing if fact.part != "train"]
        rows = pl.DataFrame({"fact_id": asked, "slice": ["validation"] * len(asked)})
        write_parquet(folder / SPLIT, rows)
    outputs = pl.read_parquet(base.path / "outputs.parquet", glob=False)
    share, _ = broken_share(
        outputs["output"].to_list(), outputs["object"].to_list(), in_json=ground.goal == "attributes"
    )
    probe = ground.steps / "probe"
    return Task(
        folder=str(folder.resolve()),
        facts=str((folder / FACTS).resolve()),
        facts_fingerprint=ground.choosing.fingerprint(),
        levels=None if ground.levels is None else str(probe.resolve()),
        train=ground.parts.train,
        select=SelectSettings.make(level="random" if ground.levels is None else "mixed"),
        evaluate=ground.parts.evaluate,
        in_json=ground.goal == "attributes",
        base_broken=share,
        parts=ground.asked,
        knowledge=ground.knowledge,
    )


def _plan(ground: Ground, folder: Path) -> Plan | None:
    """How much of the budget is the search's; None where it has no room."""
    plain = plain_updates(ground)
    shared = Plan(random_finishers=0, trials=ground.settings.limits.trials or 1)
    limit = most_updates(ground)
    if limit is not None:
        left = limit - plain
        budget = search_updates(limit, plain)
        changes = {"trials": ground.settings.limits.trials, "budget_steps": budget}
        rungs = _rungs(judged_at(ground, folder, budget / max(1, plain)))
        return shared.model_copy(update={**changes, "rungs": rungs}) if left > 1 else None
    left_seconds = ground.clock.left
    assert left_seconds is not None
    spent = ground.clock.stages.get("searching", 0.0)  # in an earlier life; the scheduler counts it again
    free = left_seconds - ground.reserve - _kept_back(ground)
    each = ground.training + ground.asking
    trainings = at_once(ground.settings)
    early = judged_at(ground, folder, trainings * (free + spent) / max(each, 1e-9))
    if free < LEAST_JOBS * (early * ground.training + ground.asking) and not (folder / JOURNAL).is_file():
        return None
    hours = trainings * max(free + spent, 1.0) / 3600  # of all together
    return shared.model_copy(update={"trials": None, "budget_hours": hours, "rungs": _rungs(early)})


def _rungs(early: float) -> tuple[float, ...]:
    return (early, 1.0) if early < 1 else (1.0,)


def _kept_back(ground: Ground) -> float:
    """Seconds that the search leaves to seeds, means and repairs, where the budget is a time."""
    left = ground.clock.left
    if left is None:
        return 0.0
    later = (ground.settings.seeds - 1) * (ground.training + ground.asking) + 2 * REPAIRS * ground.asking
    searched = ground.clock.stages.get("searching", 0.0)  # in an earlier life
    return min(later, KEPT_BACK * max(0.0, left + searched - ground.reserve))


class Stoppable:
    """The scheduler, which gives out nothing more once somebody asked for the end or the time is over."""

    def __init__(self, scheduler: Scheduler, ground: Ground, runner: TrialRunner) -> None:
        self._scheduler, self._ground, self._runner = scheduler, ground, runner
        self._kept = ground.reserve + _kept_back(ground)
        self._waiting: dict[tuple[int, int], float] = {}
        """Seconds that jobs are foretold which are given out and have not ended."""
        self.in_turn = False
        """Whether jobs that are given out wait for one another, so that each has time only after those before it."""

    @property
    def to_start(self) -> int:
        """See `Scheduler.to_start`."""
        return self._scheduler.to_start

    def trials(self) -> list[Trial]:
        """All so far."""
        return self._scheduler.trials

    @property
    def _over(self) -> bool:
        if (self._ground.step.folder / STOP).exists():
            return True
        before = sum(self._waiting.values()) if self.in_turn else 0.0
        return not self._ground.clock.room(before, self._kept)

    @property
    def done(self) -> bool:
        """Nothing is left to do, or to be begun."""
        return self._over or self._scheduler.done

    def next(self) -> Job | None:
        """A job, where there is still time for one."""
        job = None if self._over else self._scheduler.next()
        if job is not None and self._ground.clock.limit is not None:
            self._waiting[job.trial, job.rung] = foretold(self._ground, self._runner, job)
        return job

    def spent(self) -> float | None:
        """Share of its budget that is spent."""
        return self._scheduler.spent()

    def tell(self, outcome: Outcome) -> None:
        """Take in what came of a job."""
        self._waiting.pop((outcome.trial, outcome.rung), None)
        self._scheduler.tell(outcome)


def foretold(ground: Ground, runner: TrialRunner, job: Job) -> float:
    """Seconds that a job is taken to need, by the examples that it and the plain fine-tuning read; with its part of
    measuring a pass, where that is still to come."""
    plain, train = plain_cell(ground).train, runner.settings(job.values)
    read = runner.updates(job.values) * train.batch_size / max(1, plain_updates(ground) * plain.batch_size)
    measuring = ground.pays is not None and ground.pays.found is None
    return ground.asking + job.share * read * ground.training * (1 + 1 / WORTH if measuring else 1)


@dataclass
class _Watch:
    """Who hears of every outcome: the clock, and who keeps the best so far."""

    ground: Ground
    runner: TrialRunner
    best: float
    better: Better

    def __call__(self, told: Told) -> None:
        self.ground.clock.save()
        outcome, job = told.outcome, told.job
        if outcome.kind == "scored" and job.share == 1 and (outcome.score or 0.0) > self.best:
            self.best = outcome.score or 0.0
            step = self.runner.folder / TRIALS / trial_name(job.trial) / "train"
            self.better(step, f"trial {job.trial}", self.best)


def _loop(ground: Ground, scheduler: Stoppable, runner: TrialRunner, heard: _Watch) -> None:
    """Run what the scheduler gives out, and tell how far it is."""
    wanted, folder = ground.settings.limits.trials, runner.folder
    if scheduler.done:
        (folder / QUEUE).unlink(missing_ok=True)  # of a life that was stopped just before its end
        return
    told = Remaining((), folder / UNDER_WAY)
    with (
        warnings.catch_warnings(),
        watched(told.folder),
        ground.stage("searching", "trials" if wanted else "% of its share of the budget", told.at_work) as progress,
        trial_executor(ground, runner, scheduler.to_start) as executor,
    ):
        scheduler.in_turn = isinstance(executor, FirstTrials)
        warnings.filterwarnings("ignore", message=f".*{HARDLY}")  # a small rate is the search's own choice

        def watch(one: Told) -> None:
            heard(one)
            settled = sum(trial.state != "running" for trial in scheduler.trials())
            spent = round(100 * (scheduler.spent() or 0.0))
            if progress is not None:
                progress(*((settled, max(wanted, settled)) if wanted else (spent, max(100, spent))))

        run_loop(scheduler, executor, watch=watch, queue=folder / QUEUE)
    (folder / QUEUE).unlink(missing_ok=True)
