"""The one central loop: jobs from the scheduler to the executor, outcomes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from recollect.core.workspace import write_json
from recollect.errors import RecollectError
from recollect.experiments.executors import Ended, Executor
from recollect.experiments.search.trial import Job, Outcome

_HOPELESS = 3
"""So many trials that raise, and none with a score, end the search: the fault is not in the settings tried."""


class Decides(Protocol):
    """What the loop needs of a scheduler."""

    @property
    def done(self) -> bool:
        """Nothing is left to do."""
        ...

    def next(self) -> Job | None:
        """A job for a free worker, or None when there is none now."""
        ...

    def tell(self, outcome: Outcome) -> None:
        """Take in what came of a job."""
        ...


@dataclass(frozen=True)
class Told:
    """One finished rung, for who watches."""

    job: Job
    outcome: Outcome
    running: int
    """Jobs still under way."""


def run_loop(
    scheduler: Decides,
    executor: Executor[Job, Outcome],
    *,
    order: Literal["arrival", "submission"] = "arrival",
    watch: Callable[[Told], None] | None = None,
    queue: Path | None = None,
) -> None:
    """Run until the scheduler has no job left. Raises RecollectError when nothing works, and what stops a worker.

    With order "submission" an outcome waits until those of all earlier jobs were told, so what is asked of the
    scheduler, and in which order, does not depend on who is faster. `queue` is a file that keeps the order of the jobs
    under way, so that it holds over a kill as well.
    """
    flying: dict[tuple[int, int], Job] = {}
    arrived: dict[tuple[int, int], Outcome] = {}
    failed = worked = 0
    while True:
        before = len(flying)
        while len(flying) < executor.slots and (job := scheduler.next()) is not None:
            flying[job.trial, job.rung] = job
        new = list(flying.values())[before:]
        if queue is not None and new:
            flying = _in_order(flying, queue)
        for job in new:
            executor.submit(job)
        if not flying:
            if not scheduler.done:
                raise RuntimeError("the scheduler has no job, none is under way, and it is not done")
            return
        place = next(iter(arrived if order == "arrival" else flying), None)
        if place is None or place not in arrived:
            arrived |= {(ended.job.trial, ended.job.rung): _outcome(ended) for ended in executor.wait()}
            continue
        job, outcome = flying.pop(place), arrived.pop(place)  # one at a time: a freed worker gets its job first
        scheduler.tell(outcome)
        if watch:
            watch(Told(job, outcome, len(flying)))
        failed += outcome.kind == "failed"
        worked += outcome.kind != "failed"
        if failed >= _HOPELESS and not worked:
            raise RecollectError(
                f"{failed} trials failed and none worked. The last one: {outcome.reason}. Fix that, and start the "
                "search in a new folder; error.txt in the trials' folders has the details."
            )


def _outcome(ended: Ended[Job, Outcome]) -> Outcome:
    """What came of the job; a failure where all its workers died."""
    return ended.found or Outcome(ended.job.trial, ended.job.rung, "failed", None, ended.failure)


def _in_order(flying: dict[tuple[int, int], Job], queue: Path) -> dict[tuple[int, int], Job]:
    """The jobs in the order in which they were first given out: those the file knows, then the others."""
    known = [(int(trial), int(rung)) for trial, rung in json.loads(queue.read_text())] if queue.is_file() else []
    ordered = {place: flying[place] for place in known if place in flying} | flying
    write_json(queue, [list(place) for place in ordered])
    return ordered
