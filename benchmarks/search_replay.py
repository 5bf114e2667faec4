"""How good a setting the search finds on real training curves, beside its peers; nothing is trained.

    python benchmarks/search_replay.py --data FOLDER [--first-seed 60] [--seeds 20] [--workers 1 8] [--budgets 8 20]
                                       [--methods ours "Syne Tune ASHA"] [--tasks 0 1] [--jobs 1] [--out FILE]

FOLDER holds Google's TaskSet as shipped with DyHPO (Apache-2.0), *.json.gz: 1,000 settings of 8 numbers, 51 evaluations
each, divergences as NaN. A simulated clock runs the workers. A proposal is moved to the nearest setting of the table
that was not used yet, for every method alike. The score is minus the validation loss; a loss beyond twice that of
guessing is as bad as twice, for every method alike, since 10^18 would ruin any model that was told of it. Budgets are
in whole trainings. Printed is Markdown; --out keeps all courses as JSON, to which more methods or seeds are added.
"""

from __future__ import annotations

import argparse
import gzip
import heapq
import json
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

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
LAST = 50
"""Training steps of a whole curve."""
_DRAWS = 2000

Course = Sequence[tuple[int, float]]
"""(steps spent, regret of the best finished setting) at every change."""


class Decides(Protocol):
    """A search method: gives jobs, takes outcomes."""

    def next(self) -> Job | None: ...

    def tell(self, outcome: Outcome) -> None: ...


Values = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """One task: places (n, 8) of the settings in the unit cube, scores (n, 51), the first diverged evaluation (51 if
    none), and the score of guessing, which is what all start at."""

    name: str
    values: list[Values]
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
        raw = np.asarray([[one[name] for name in ADAM] for one in values])
        low, high = raw.min(0), raw.max(0)
        ranges = {name: Float(low=float(low[at]), high=float(high[at]), log=True) for at, name in enumerate(ADAM)}
        loss = np.asarray([row["valid"]["loss"] for row in rows], dtype=float)
        guess = float(np.nanmedian(loss[:, 0]))
        gone = ~np.isfinite(loss)
        broken = np.where(gone.any(1), gone.argmax(1), loss.shape[1])
        scores = -np.minimum(np.where(gone, np.inf, loss), 2 * guess)
        places = (np.log(raw) - np.log(low)) / np.log(high / low)
        space = Space(parameters=ranges, free=True)
        return cls(path.name.removesuffix(".json.gz"), values, places, scores, broken, -guess, space)

    @property
    def last(self) -> int:
        """Training steps of a whole curve."""
        return int(self.scores.shape[1] - 1)

    @property
    def worst(self) -> float:
        """The score of a divergence."""
        return float(self.scores.min())

    def snap(self, values: Mapping[str, Any], taken: Sequence[Mapping[str, Any]]) -> Values:
        """The nearest setting of the table that is not taken."""
        ends = [(self.space.parameters[name].low, self.space.parameters[name].high) for name in ADAM]
        place = [np.log(values[name] / low) / np.log(high / low) for name, (low, high) in zip(ADAM, ends, strict=True)]
        far = ((self.places - np.asarray(place)) ** 2).sum(1)
        far[[self.row(one) for one in taken]] = np.inf
        return self.values[int(far.argmin())]

    @cached_property
    def _rows(self) -> dict[float, int]:
        return {one["learning_rate"]: at for at, one in enumerate(self.values)}

    def row(self, values: Mapping[str, Any]) -> int:
        """Which setting of the table this is."""
        return self._rows[values["learning_rate"]]

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


def _settings(given: Mapping[str, float]) -> Values:
    values = {name: float(given[name]) for name in given if not name.startswith("beta")}
    values |= {f"one_minus_{name}": 1 - float(given[name]) for name in ("beta1", "beta2")}
    return {name: values[name] for name in ADAM}


Make = Callable[[Table, int, int], Decides]
"""A method for a table, a budget in steps and a seed."""


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


@dataclass(frozen=True)
class Run:
    """One method on one table."""

    path: str
    method: str
    workers: int
    seed: int
    budget: float

    @property
    def key(self) -> str:
        """Its name in the file of all courses."""
        return "|".join([Path(self.path).name, self.method, str(self.workers), str(self.seed), f"{self.budget:g}"])


@cache
def _table(path: str) -> Table:
    return Table.read(Path(path))


def course_of(run: Run) -> list[tuple[int, float]]:
    """Its course, thinned to the changes."""
    import optuna
    from search_peers import METHODS, VARIANTS

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    table = _table(run.path)
    steps = round(run.budget * table.last)
    kept: list[tuple[int, float]] = []
    for spent, best in replay(table, (METHODS | VARIANTS)[run.method](table, steps, run.seed), run.workers, steps):
        if not kept or kept[-1][1] != table.regret(best):
            kept.append((spent, table.regret(best)))
    return kept


def at_cost(course: Course, steps: float) -> float:
    """Regret of the best finished setting when so many steps were spent."""
    return next((regret for spent, regret in reversed(course) if spent <= steps + 1e-9), 1.0)


def report(found: Mapping[str, Course], budgets: Sequence[float], against: str = "ours") -> str:
    """Markdown: every method's regret at every budget, and how it differs from `against` on the same tasks and seeds.

    `against` knows its budget, so it is run with each; of the others the run with the largest one is read on the way.
    """
    runs: dict[tuple[str, int, float], dict[str, dict[int, Course]]] = defaultdict(lambda: defaultdict(dict))
    for key, course in found.items():
        task, method, workers, seed, budget = key.split("|")
        runs[method, int(workers), float(budget)][task][int(seed)] = course
    lines = []
    for workers in sorted({key[1] for key in runs}):
        methods = list(dict.fromkeys(key[0] for key in runs if key[1] == workers))
        titles = [f"regret at {budget:g} | less {against}" for budget in budgets]
        lines += [f"\n{workers} at once\n", f"| method | {' | '.join(titles)} |", "|---" * (2 * len(budgets) + 1) + "|"]
        for method in methods:
            cells = []
            for budget in budgets:
                source = runs.get((method, workers, budget)) or runs[method, workers, max(budgets)]
                base = runs.get((against, workers, budget)) or runs[against, workers, max(budgets)]
                mine, theirs = _matrix(source, budget), _matrix(base, budget)
                cells.append(_interval(mine, "", np.median))
                cells.append(_interval(mine - theirs, "+", np.mean) if method != against else "")
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        first = runs[methods[0], workers, max(budgets)]
        lines.append(f"\nn = {len(next(iter(first.values())))} seeds on each of {len(first)} tasks")
    return "\n".join(lines)


def _matrix(source: Mapping[str, Mapping[int, Course]], budget: float) -> np.ndarray:
    """(tasks, seeds)"""
    return np.asarray(
        [[at_cost(one, budget * LAST) for _, one in sorted(seeds.items())] for _, seeds in sorted(source.items())]
    )


def _interval(table: np.ndarray, sign: str, middle: Callable[..., Any]) -> str:
    """Mean over seeds, then median or mean over tasks; 95 % interval of a bootstrap over seeds, the same for all."""
    picks = np.random.default_rng(0).integers(table.shape[1], size=(_DRAWS, table.shape[1]))
    low, high = np.quantile(middle(table[:, picks].mean(-1), axis=0), [0.025, 0.975])
    return f"{middle(table.mean(1)):{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def main() -> None:
    """Run what is missing from --out, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--first-seed", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--budgets", type=float, nargs="+", default=[8, 20], help="in whole trainings")
    parser.add_argument("--methods", nargs="*", help="default: all whose package is installed")
    parser.add_argument("--tasks", type=int, nargs="*", help="numbers of the files in order of name; default all")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    run_all(parser.parse_args())


def run_all(given: argparse.Namespace) -> None:
    """Run what is missing from --out, then print the tables."""
    from search_peers import METHODS, VARIANTS

    found: dict[str, Course] = json.loads(given.out.read_text()) if given.out and given.out.is_file() else {}
    files = sorted(given.data.glob("*.json.gz"))
    if not files:
        raise SystemExit(f"no *.json.gz in {given.data}. Give TaskSet's folder with --data.")
    files = [files[at] for at in given.tasks] if given.tasks else files
    names = given.methods or list(METHODS)
    if unknown := [name for name in names if name not in METHODS | VARIANTS]:
        raise SystemExit(f"unknown method {unknown[0]!r}. Known: {', '.join(METHODS | VARIANTS)}.")
    runs = [
        Run(str(path), name, workers, seed, budget)
        for name in names
        for workers in given.workers
        for budget in (given.budgets if name.startswith("ours") else [max(given.budgets)])
        for path in files
        for seed in range(given.first_seed, given.first_seed + given.seeds)
    ]
    missing = [run for run in runs if run.key not in found]
    print(f"{len(runs)} searches, {len(missing)} to run", file=sys.stderr)
    with ProcessPoolExecutor(given.jobs) as pool:
        running = {pool.submit(course_of, run): run for run in missing}
        for number, future in enumerate(as_completed(running), 1):
            found[running[future].key] = future.result()
            if given.out and (number % 50 == 0 or number == len(missing)):
                given.out.write_text(json.dumps(found))
    print(report({run.key: found[run.key] for run in runs}, given.budgets))


if __name__ == "__main__":
    main()
