"""The first trials of a search, which are chosen before any has a score: trained in one pass, where they are adapters.

Whether they pass together or one after the other is no matter of results: the points are the same, and so is each
training up to rounding. Later trials are chosen by what the earlier ones scored, one at a time, and run one at a time.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace

from recollect.errors import RecollectError
from recollect.experiments.attempts import ends_all, reason_of
from recollect.experiments.cell import Cell, Context
from recollect.experiments.executors import Ended, Executor, Place
from recollect.experiments.executors.here import HereExecutor
from recollect.experiments.many.measure import Pays
from recollect.experiments.remaining import TRAINING
from recollect.experiments.search.rung_file import claim
from recollect.experiments.search.runner import TrialRunner
from recollect.experiments.search.trial import Job, Outcome
from recollect.experiments.search.validation import runs_away
from recollect.select import run_select
from recollect.train.stack import TrainJob, run_trains, why_not_together


class FirstTrials(Executor[Job, Outcome]):
    """Runs jobs here: those of the first trials after one training pass, all later ones one at a time."""

    in_process = True

    def __init__(self, runner: TrialRunner, first: int, pays: Pays) -> None:
        self._runner, self._first, self._pays = runner, first, pays
        self._here: Executor[Job, Outcome] = HereExecutor(runner, Place())
        self._held: list[Job] = []
        self._passed: list[Job] = []
        """Trained together; what is left of each is done one at a time."""
        self._each = 0.0
        """Seconds of the pass, and of measuring whether it pays, for each of these."""

    @property
    def slots(self) -> int:
        """As many as are chosen without a score; one once the first have run."""
        return self._first

    def submit(self, job: Job) -> None:
        """See `Executor.submit`."""
        if len(self._held) + len(self._passed) >= self._first:
            raise RuntimeError(f"all {self._first} places are taken")
        self._held.append(job)

    def wait(self, seconds: float | None = None) -> list[Ended[Job, Outcome]]:
        """Run the next of what was submitted; `seconds` is not heeded."""
        if not self._passed and not self._held:
            return []
        if not self._passed:
            self._passed, self._held = self._held, []
            began = time.monotonic()
            if len(self._passed) > 1:
                self._train(self._passed)
            self._each = (time.monotonic() - began) / len(self._passed)
            self._first = 1
        self._here.submit(self._passed.pop(0))
        return [self._with_the_pass(ended) for ended in self._here.wait()]

    def _with_the_pass(self, ended: Ended[Job, Outcome]) -> Ended[Job, Outcome]:
        """With its part of the pass, so that a budget in time counts all of it."""
        if ended.found is None:
            return ended
        return replace(ended, found=replace(ended.found, seconds=round(ended.found.seconds + self._each, 3)))

    def _train(self, jobs: list[Job]) -> None:
        """Train those that can pass together to their rungs. What goes wrong is told by the trial itself, which finds
        its training unfinished and runs it alone."""
        passing: list[tuple[Context, Cell, TrainJob]] = []
        for job in jobs:
            try:
                context, cell = self._runner.cell(job)
                if why_not_together(cell.train):
                    continue
                claim(context.folder, job)
                select = run_select(cell.select, context.facts, context.levels, out=cell.path(context.folder, "select"))
            except RecollectError:
                continue
            out = cell.path(context.folder, "train")
            one = TrainJob(cell.train, select.path, out=out, share=job.share, judge=runs_away)
            passing.append((context, cell, one))
        if len(passing) < 2:
            return
        base = self._runner.base.load()
        if not self._pays.ask([job for _, _, job in passing], base):
            return
        try:
            with ExitStack() as stack:
                told = [
                    replace(job, progress=stack.enter_context(context.telling(cell).part(TRAINING, "updates")))
                    for context, cell, job in passing
                ]
                run_trains(told, base=base)
        except Exception as error:
            if ends_all(error):
                raise
            self._pays.no(f"trials run one after the other: the pass ended with {reason_of(error)}")

    def close(self) -> None:
        """Forget what was not begun."""
        self._held.clear()
        self._passed.clear()
        self._here.close()
