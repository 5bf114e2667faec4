"""Real training curves as something to search: a table of settings, each with its whole curve, and a simulated clock.

The table is Google's TaskSet as shipped with DyHPO (Apache-2.0): 1,000 settings of 8 numbers, 51 evaluations each,
divergences as NaN. A proposal is moved to the nearest setting of the table that was not used yet, for every method
alike. The score is minus the validation loss; a loss beyond twice that of guessing is as bad as twice, for every method
alike, since 10^18 would ruin any model that was told of it.
"""

from __future__ import annotations

import gzip
import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from recollect.experiments.search import Float, Job, Outcome, Space

ADAM = {
    "learning_rate": 1e-3,
    "one_minus_beta1": 0.1,
    "one_minus_beta2": 1e-3,
    "epsilon": 1e-8,
    "l1": 1e-8,
    "l2": 1e-8,
    "linear_decay": 1e-7,
    "exponential_decay": 1e-6,
}
"""Adam as everyone starts it: the known good setting that every method tries first."""


class Decides(Protocol):
    """A search method: gives jobs, takes outcomes."""

    def next(self) -> Job | None: ...

    def tell(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class Table:
    """One task: places (n, 8) of the settings in the unit cube, scores (n, 51), the first diverged evaluation (51 if
    none), and the score of guessing, which is what all start at."""

    name: str
    values: list[dict[str, float]]
    places: np.ndarray
    scores: np.ndarray
    broken: np.ndarray
    guess: float
    space: Space

    @classmethod
    def read(cls, path: Path) -> Table:
        """Read a task's file."""
        with gzip.open(path) as file:
            rows = json.load(file)
        values = [_settings(row["hp"]) for row in rows]
        raw = np.asarray([[values[at][name] for name in ADAM] for at in range(len(values))])
        low, high = raw.min(0), raw.max(0)
        space = Space(
            {name: Float(float(low[at]), float(high[at]), log=True) for at, name in enumerate(ADAM)}, free=True
        )
        loss = np.asarray([row["valid"]["loss"] for row in rows], dtype=float)
        guess = float(np.nanmedian(loss[:, 0]))
        gone = ~np.isfinite(loss)
        broken = np.where(gone.any(1), gone.argmax(1), loss.shape[1])
        scores = -np.minimum(np.where(gone, np.inf, loss), 2 * guess)
        name = path.name.removeprefix("FixedTextRNNClassification_imdb_").removesuffix(".json.gz")
        return cls(name, values, (np.log(raw) - np.log(low)) / np.log(high / low), scores, broken, -guess, space)

    @property
    def last(self) -> int:
        """Training steps of a whole curve."""
        return int(self.scores.shape[1] - 1)

    @property
    def worst(self) -> float:
        """The score of a divergence."""
        return float(self.scores.min())

    def snap(self, values: Mapping[str, Any], taken: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The nearest setting of the table that is not taken."""
        parameters = self.space.parameters
        place = [
            np.log(values[name] / parameters[name].low) / np.log(parameters[name].high / parameters[name].low)
            for name in ADAM
        ]
        far = ((self.places - np.asarray(place)) ** 2).sum(1)
        far[[self._row[one["learning_rate"]] for one in taken]] = np.inf
        return self.values[int(far.argmin())]

    @property
    def _row(self) -> dict[float, int]:
        if not hasattr(self, "_rows"):
            object.__setattr__(self, "_rows", {one["learning_rate"]: at for at, one in enumerate(self.values)})
        return self._rows  # type: ignore[no-any-return]

    def row(self, values: Mapping[str, Any]) -> int:
        """Which setting of the table this is."""
        return self._row[values["learning_rate"]]

    def outcome(self, job: Job, done: int) -> Outcome:
        """What comes of training the setting of a job from evaluation `done` to the job's share."""
        row, to = self.row(job.values), round(job.share * self.last)
        if self.broken[row] <= to:
            steps = int(self.broken[row]) - done
            return Outcome(job.trial, job.rung, "degenerate", reason="NaN", steps=steps, total_steps=self.last)
        score = float(self.scores[row, to])
        return Outcome(job.trial, job.rung, "scored", score, steps=to - done, total_steps=self.last)

    def regret(self, row: int | None) -> float:
        """0 for the best setting of the table, 1 for one that ends no better than guessing, by the final score."""
        final = np.where(self.broken > self.last, self.scores[:, -1], self.worst)
        best = float(final.max())
        return 1.0 if row is None else min(1.0, (best - float(final[row])) / (best - self.guess))

    def rank(self, row: int | None) -> int:
        """1 for the best setting of the table by the final score."""
        final = np.where(self.broken > self.last, self.scores[:, -1], self.worst)
        return len(final) if row is None else 1 + int((final > final[row]).sum())


def _settings(given: Mapping[str, float]) -> dict[str, float]:
    values = {name: float(given[name]) for name in given if not name.startswith("beta")}
    values |= {f"one_minus_{name}": 1 - float(given[name]) for name in ("beta1", "beta2")}
    return {name: values[name] for name in ADAM}


def replay(table: Table, method: Decides, workers: int, budget: int) -> list[tuple[int, int | None]]:
    """Run a method on a table with a simulated clock; (steps spent, best finished setting) after every job.

    A worker is busy for as many ticks as its job has steps. When no job may start that would begin beyond the budget,
    the method is at its end.
    """
    clock, order, spent, begun = 0, 0, 0, 0
    running: list[tuple[int, int, Job, Outcome]] = []
    done: dict[int, int] = {}
    best: int | None = None
    course: list[tuple[int, int | None]] = []
    while True:
        while len(running) < workers and begun < budget and (job := method.next()) is not None:
            outcome = table.outcome(job, done.get(job.trial, 0))
            begun += outcome.steps
            heapq.heappush(running, (clock + outcome.steps, order, job, outcome))
            order += 1
        if not running:
            return course
        clock, _, job, outcome = heapq.heappop(running)
        spent += outcome.steps
        done[job.trial] = done.get(job.trial, 0) + outcome.steps
        row = table.row(job.values)
        finished = outcome.kind == "scored" and done[job.trial] == table.last
        if finished and (best is None or table.scores[row, -1] > table.scores[best, -1]):
            best = row
        course.append((spent, best))
        method.tell(outcome)


Make = Callable[[Table, int, int], Decides]
"""A method for a table, a budget in steps and a seed."""
