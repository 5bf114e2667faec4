"""Where the trials of a fit's search run, if not in its own process: processes, Ray, or workers who share its folder.

Notable choices
- The fit's own process keeps the plan, the choice and the test, and trains what comes before and after the search. The
  trials are those of `recollect search`, so what runs them, retries them and resumes them is, too.
- Workers who share the folder find the jobs in its scratch (`executors.queue`), in no place that is kept. Where there
  is none, nothing is given out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from recollect.core.extras import need
from recollect.core.progress import duration
from recollect.core.workspace import MANIFEST, is_finished
from recollect.core.workspace.manifest import PARTIAL, STATE, Manifest, State, read_state
from recollect.core.workspace.shared import QUEUE, queue_in
from recollect.errors import InputError, StepError
from recollect.experiments.executors import SHARED, Executor, Place, executor_class, make_executor
from recollect.experiments.executors.processes import processes_of
from recollect.experiments.executors.queue import Hand, JobList, LocalHands, QueueExecutor, run_listed, take_back
from recollect.experiments.executors.slurm import MAIN, WORKERS, SlurmHands, submitted
from recollect.experiments.executors.workers import POLL
from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.stages import STEPS, Ground
from recollect.experiments.search.first import FirstTrials
from recollect.experiments.search.runner import FACTS, TrialRunner
from recollect.experiments.search.shared_trials import SharedTrials, as_json, task_of
from recollect.experiments.search.trial import Job, Outcome

SEARCH = "search"
"""The search's folder among the steps."""


def check_place(settings: FitSettings, out: Path | None) -> None:
    """Before any work. Raises InputError for a place that cannot be reached, and for workers without a folder that all
    of them see; MissingExtra without Ray or submitit."""
    if settings.executor in SHARED:
        if out is None:
            raise InputError(f"executor {settings.executor} wants --out: a folder that all workers share.")
        if settings.executor == "slurm":
            need("submitit", "slurm", "executor slurm")
    else:
        place = settings.place(Path())
        executor_class(settings.executor, place).check(place)


def at_once(settings: FitSettings) -> int:
    """How many trials run at once as far as the settings say; the workers who come by themselves are not known."""
    if settings.executor == "processes":
        return processes_of(settings.workers)
    return settings.workers or (WORKERS if settings.executor == "slurm" else 1)


def open_queue(ground: Ground) -> None:
    """Where workers share the fit, let them know from its beginning that there will be work; where they do not (any
    more), take back what an earlier life of it, which was killed, has given out."""
    queue = ground.step.scratch(QUEUE)
    if ground.settings.executor in SHARED:
        queue.mkdir(parents=True, exist_ok=True)
    elif queue.is_dir():
        take_back(queue)


def trial_executor(ground: Ground, runner: TrialRunner, to_start: int) -> Executor[Job, Outcome]:
    """Who runs the trials. In this process they have its own model, and the points to try first go in one pass where
    that pays; for others its memory is given back."""
    settings, name = ground.settings, ground.settings.executor
    place = settings.place(runner.folder.resolve())
    if name not in SHARED and executor_class(name, place).in_process:
        if ground.pays is not None and to_start > 1 and runner.task.train.method == "lora":
            return FirstTrials(runner, to_start, ground.pays)
        return make_executor(name, runner, place)
    model = Path(runner.task.train.model)
    if model.exists():  # as every worker can find it
        named = runner.task.train.model_copy(update={"model": str(model.resolve())})
        runner.task = replace(runner.task, train=named)
    runner.release()
    if name not in SHARED:
        return make_executor(name, runner.task, place)
    return _shared(ground, SharedTrials(runner.task), place)


def _shared(ground: Ground, work: SharedTrials, place: Place) -> Executor[Job, Outcome]:
    jobs = JobList(ground.step.scratch(QUEUE), Job)
    out = ground.step.path.absolute()
    about = {
        "folder": str(Path.cwd()),
        "model": ground.settings.model,
        "levels": work.task.levels is not None,
        "task": as_json(work.task),
    }
    if ground.settings.executor == "slurm":
        asked, logs = ground.settings.slurm, out.with_name(f"{out.name}.slurm")
        words = (sys.executable, "-c", MAIN, "work", str(out))
        submit = partial(submitted, words, asked, place.workers or WORKERS, logs, ground.say)
        return QueueExecutor(work, place, jobs, SlurmHands(submit, "the search was over"), about)
    ground.say(f"`recollect work {out}` on any machine that sees the folder takes trials of this search, too")
    return QueueExecutor(work, place, jobs, LocalHands(Hand(jobs, work), 1), about)


def is_fit(path: Path) -> bool:
    """Whether a fit, finished or not, lies at `path`."""
    partial = path.with_name(path.name + PARTIAL)
    if (partial / STATE).is_file():
        return read_state(partial / STATE, State).step == "fit"
    return (path / MANIFEST).is_file() and read_state(path / MANIFEST, Manifest).step == "fit"


@dataclass(frozen=True)
class FitWork:
    """One more worker on the trials of a fit that gives them out."""

    path: Path
    idle: float
    say: Callable[[str], None]

    def run(self, takes: Callable[[str], bool]) -> None:
        """Do what is free until the search is over, or nothing was for `idle` seconds. takes: which models it takes on.

        Raises StepError where no work is given out, or by another version of Recollect.
        """
        jobs = JobList(queue_in(self.path), Job)
        about, since = self._about(jobs), time.monotonic()
        if about is None:
            self.say("waiting: the search of this fit has not begun.")
        while about is None:
            if time.monotonic() - since >= self.idle:
                self.say(f"left: nothing to do for {duration(self.idle)}: the search of this fit has not begun.")
                return
            time.sleep(POLL)
            about = self._about(jobs)
        model = str(about.get("model", ""))
        if not takes(model):
            self.say(f"nothing to do: the fit's model is {model}, which this worker does not take on.")
            return
        steps = self.path.with_name(self.path.name + PARTIAL) / STEPS
        levels = steps / "probe" if about.get("levels") else None
        task = task_of(about.get("task"), steps / SEARCH, steps / SEARCH / FACTS, levels)
        folder = Path(str(about.get("folder", "")))
        with chdir(folder if folder.is_dir() else Path.cwd()):
            over = run_listed(jobs, SharedTrials(task, self.say), self.idle)
        why = "the search of this fit is over." if over else f"nothing to do for {duration(self.idle)}."
        self.say(f"left: {why}")

    def _about(self, jobs: JobList[Job]) -> dict[str, object] | None:
        if is_finished(self.path):
            raise StepError(f"{self.path} is finished: there is nothing to do.")
        if not jobs.folder.is_dir():
            raise StepError(
                f"{self.path} has no work for others: its search is over, or it was started without --executor workers "
                f"or slurm. Stop it, and start it again so: recollect fit --executor workers --out {self.path} …"
            )
        about = jobs.about()
        return about if jobs.read() is not None else None
