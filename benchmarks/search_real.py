"""Real searches on the pocket (facts) or the pocket shop (pages), with several seeds: what they gain and cost.

    python benchmarks/search_real.py --task facts|pages --out FOLDER [--seeds 3] [--trials 16] [--levels PROBE]
                                     [--to-the-end]

With --to-the-end every trial that a search left paused is then trained to its end too. So the early and final scores of
all trials are known, not only of those that were promoted for their early score, and what the search missed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from recollect.cli.search import rung_line
from recollect.core.machine import prepare
from recollect.experiments.search import Job, SearchFound, SearchResult, SearchSettings, run_search
from recollect.experiments.search.prepare import prepare as prepare_search
from recollect.experiments.search.results import with_interval
from recollect.experiments.search.runner import Task, TrialRunner

TASKS = {"facts": "pocket", "pages": "pocket-shop"}


@dataclass(frozen=True)
class Everything:
    """Early and final scores of all trials of a search, and the validation score of the one it found."""

    early: np.ndarray
    final: np.ndarray
    found: float

    @property
    def top(self) -> tuple[int, int]:
        """How many of the k best early are among the k best at the end, and k."""
        k = min(5, len(self.early) // 2)
        best = [set(np.argsort(-scores, kind="stable")[:k].tolist()) for scores in (self.early, self.final)]
        return len(best[0] & best[1]), k


def _tested(found: SearchFound, trial: int) -> str:
    return with_interval(next((one.test for one in found.finalists if one.trial == trial), None))


def _correlation(found: SearchFound) -> str:
    if found.early_final_correlation is None:
        return "–"
    bounds = f"{found.early_final_correlation_low:.2f} to {found.early_final_correlation_high:.2f}"
    return f"{found.early_final_correlation:.2f} ({bounds}), n = {found.early_final_pairs}"


COLUMNS: dict[str, Callable[[SearchFound], str]] = {
    "test, baseline": lambda one: _tested(one, 0),
    "test, best": lambda one: _tested(one, one.best_trial),
    "gain (95 %)": lambda one: with_interval(one.gain_over_baseline, sign=True),
    "out of domain, gain (95 %)": lambda one: with_interval(one.ood_gain_over_baseline, sign=True),
    "cost": lambda one: f"{100 * (one.cost_fraction or 0):.0f} %",
    "finished": lambda one: str(one.finished),
    "correlation (95 %)": _correlation,
    "top k": lambda one: f"{one.top5_overlap} of {one.top_k}",
    "updates": lambda one: f"{one.steps:,}",
}


def run_real(given: argparse.Namespace) -> None:
    """Search with every seed in `given.out`, resuming where it was; print a table and the time."""
    found: dict[int, SearchFound] = {}
    everything: dict[int, Everything] = {}
    print(f"machine: {prepare().line()}; load {os.getloadavg()[0]:.1f}", flush=True)
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        name = TASKS[given.task]
        values = {"model": name, "facts": name, "trials": given.trials, "sampler": given.sampler, "seed": seed}
        settings = SearchSettings.make(**values, levels=given.levels, keep_models=given.to_the_end)
        wall, processor = time.monotonic(), time.process_time()
        result = run_search(
            settings,
            given.out / f"{given.task}-{seed}",
            watch=lambda event, since=wall: print(rung_line(event, since), flush=True),
        )
        took = f"{time.monotonic() - wall:.0f} s wall, {time.process_time() - processor:.0f} s of processor time"
        print(f"seed {seed}: {took}; load {os.getloadavg()[0]:.1f}", flush=True)
        found[seed] = result.found
        if given.to_the_end:
            everything[seed] = finish_all(settings, result)
            print(f"seed {seed}, all trials to the end: {everything[seed]}", flush=True)
    plain = {seed: one.plain() for seed, one in found.items()}
    (given.out / f"{given.task}.json").write_text(json.dumps(plain, indent=2))
    print(_row("seed", COLUMNS) + "\n" + "|---" * (len(COLUMNS) + 1) + "|")
    for seed, one in found.items():
        print(_row(seed, [cell(one) for cell in COLUMNS.values()]))
    if everything:
        print("\n| seed | trials | Pearson | Spearman | top k | validation, found | best of all | short by |")
        print("|---" * 8 + "|")
    for seed, every in everything.items():
        shared, k = every.top
        pearson, spearman = (kind(every.early, every.final).statistic for kind in (stats.pearsonr, stats.spearmanr))
        best = every.final.max()
        scores = [f"{one:.1f}" for one in (every.found, best, best - every.found)]
        print(_row(seed, [len(every.early), f"{pearson:.2f}", f"{spearman:.2f}", f"{shared} of {k}", *scores]))


def _row(first: object, cells: object) -> str:
    return f"| {first} | " + " | ".join(map(str, cells)) + " |"  # type: ignore[call-overload]


def finish_all(settings: SearchSettings, result: SearchResult) -> Everything:
    """Train every paused trial of a finished search to its end."""
    prepared, folder = prepare_search(settings), result.path.resolve()
    levels = folder / "probe" if settings.levels == "probe" else settings.levels
    task = Task(
        folder=str(folder),
        facts=settings.facts,
        facts_fingerprint=prepared.facts.fingerprint(),
        levels=None if prepared.in_json else str(Path(levels).resolve()),
        train=prepared.train,
        select=prepared.select,
        evaluate=prepared.evaluate,
        in_json=prepared.in_json,
        base_broken=1.0,
    )
    runner, last = TrialRunner(task), len(settings.rungs) - 1
    rows = []
    for trial in result.trials().iter_rows(named=True):
        final = trial["final"]
        if trial["state"] == "paused":
            stored = json.loads((folder / f"trials/{trial['trial']:03d}/rung-0.json").read_text())
            final = runner.run(Job(trial["trial"], last, 1.0, stored["values"])).score
        if final is not None and trial["early"] is not None:
            rows.append((trial["early"], final))
    early, finals = np.asarray(rows).T
    return Everything(early, finals, result.found.validation)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=["facts", "pages"], default="facts")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--sampler", default="auto")
    parser.add_argument(
        "--levels", default="probe", help="a probe step directory; without it each search probes the base"
    )
    parser.add_argument("--to-the-end", action="store_true", help="then train what was left paused too, and compare")
    parser.add_argument("--out", type=Path, required=True)
    run_real(parser.parse_args())


if __name__ == "__main__":
    main()
