"""A search without training: outcomes that are functions of the job, and a loop with simulated workers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from recollect.experiments.search import Choice, Float, Job, Outcome, Plan, Scheduler, SearchFound, Space
from recollect.experiments.search.proposals import address

SPACE = Space({"x": Float(1e-3, 1, log=True), "y": Float(0, 1), "kind": Choice(["a", "b"])}, free=True)
STARTS = [{"x": 0.1, "y": 0.5, "kind": "a"}, {"x": 0.01, "y": 0.5, "kind": "b"}]
WHOLE = 100


def hill(job: Job) -> Outcome:
    """Score of a job: a hill over the point, a gain with training, and noise that is a function of trial and rung."""
    x, y = math.log10(float(job.values["x"])), float(job.values["y"])
    noise = address("noise", job.trial, job.rung) / 2**32 - 0.5
    score = 60 - 10 * (x + 1.5) ** 2 - 20 * (y - 0.4) ** 2 + 8 * job.share + noise
    return scored(job, score)


def scored(job: Job, score: float, rungs: tuple[float, ...] = (0.2, 1.0)) -> Outcome:
    """An outcome with the steps that the job's share costs."""
    before = round(WHOLE * rungs[job.rung - 1]) if job.rung else 0
    return Outcome(
        job.trial, job.rung, "scored", score, steps=round(WHOLE * job.share) - before, total_steps=WHOLE, seconds=1.0
    )


def make(plan: Plan, storage: object = None, seed: int = 0, space: Space = SPACE) -> Scheduler:
    """A scheduler over the small space, whose trainings all have 100 steps."""
    return Scheduler(space, plan, seed, storage, starts=STARTS, steps=lambda _: WHOLE)  # type: ignore[arg-type]


def drive(
    scheduler: Scheduler,
    result: Callable[[Job], Outcome] = hill,
    workers: int = 1,
    pick: Callable[[int], int] = lambda running: 0,
    watch: Callable[[list[Job]], None] = lambda running: None,
) -> list[Job]:
    """Run until nothing is left; `pick` chooses which running job ends next. Returns the jobs in order."""
    running: list[Job] = []
    given: list[Job] = []
    while True:
        while len(running) < workers and (job := scheduler.next()) is not None:
            running.append(job)
            given.append(job)
            watch(running)
        if not running:
            assert scheduler.done
            return given
        scheduler.tell(result(running.pop(pick(len(running)))))


def bare_found(**known: Any) -> SearchFound:
    """What a search found, as far as a test needs it."""
    counts = dict.fromkeys(("trials", "promoted", "finished", "degenerate", "failed", "steps", "full_steps"), 0)
    scores = {"validation": 41.0, "test": 1.0, "base_test": 0.0}
    return SearchFound.model_validate({"best": {}, "best_trial": 0, **counts, **scores, **known})
