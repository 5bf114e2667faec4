"""Two real searches on the pocket, facts and pages, each with several seeds: what they gain and what they cost.

With --to-the-end every trial that a search left paused is then trained to its end too. So the early and final scores of
all trials are known, not only of those that were promoted for their early score, and what the search missed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from recollect.cli.search import rung_line
from recollect.core.machine import prepare
from recollect.experiments.search import Job, SearchResult, SearchSettings, run_search
from recollect.experiments.search.prepare import prepare as prepare_search
from recollect.experiments.search.trial import Task, Trials

TASKS = {"facts": "pocket", "pages": "pocket-shop"}
COLUMNS = (
    ("test, baseline", lambda one: _score(one, 0, "test")),
    ("test, best", lambda one: _score(one, one["best_trial"], "test")),
    ("gain (95 %)", lambda one: _interval(one["gain_over_baseline"])),
    ("out of domain, gain (95 %)", lambda one: _interval(one["ood_gain_over_baseline"])),
    ("cost", lambda one: f"{100 * one['cost_fraction']:.0f} %"),
    ("finished", lambda one: str(one["finished"])),
    ("correlation (95 %)", lambda one: _correlation(one)),
    ("top k", lambda one: f"{one['top5_overlap']} of {one['top_k']}"),
    ("updates", lambda one: f"{one['steps']:,}"),
)


def run_real(given: argparse.Namespace) -> None:
    """Search with every seed in `given.out`, going on where it was; print a table and the time."""
    found: list[dict[str, Any]] = []
    print(f"machine: {prepare().line()}; load {os.getloadavg()[0]:.1f}", flush=True)
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        name = TASKS[given.task]
        values = {"model": name, "facts": name, "trials": given.trials, "sampler": given.sampler, "seed": seed}
        if given.levels:
            values["levels"] = given.levels
        values["keep_models"] = given.to_the_end
        wall, processor = time.monotonic(), time.process_time()
        result = run_search(
            SearchSettings.make(**values),
            given.out / f"{given.task}-{seed}",
            watch=lambda event, since=wall: print(rung_line(event, since), flush=True),
        )
        took = f"{time.monotonic() - wall:.0f} s wall, {time.process_time() - processor:.0f} s of processor time"
        print(f"seed {seed}: {took}; load {os.getloadavg()[0]:.1f}", flush=True)
        found.append({**result.metrics, "seed": seed})
        if given.to_the_end:
            found[-1]["all"] = finish_all(SearchSettings.make(**values), result)
            print(f"seed {seed}, all trials to the end: {found[-1]['all']}", flush=True)
    (given.out / f"{given.task}.json").write_text(json.dumps(found, indent=2))
    print(table(found))
    if given.to_the_end:
        print("\n" + table_of_all(found))


def finish_all(settings: SearchSettings, result: SearchResult) -> dict[str, Any]:
    """Train every paused trial of a finished search to its end: scores at the first rung and the last, and what they
    say of the early judgement."""
    prepared, folder = prepare_search(settings), result.path.resolve()
    levels = folder / "probe" if settings.levels == "probe" else settings.levels
    trials = Trials(
        Task(
            folder=str(folder),
            facts=settings.facts,
            facts_fingerprint=prepared.facts.fingerprint(),
            levels=None if prepared.in_json else str(Path(levels).resolve()),
            train={**prepared.train, "seed": settings.seed},
            select=prepared.select,
            evaluate=prepared.evaluate,
            seed=settings.seed,
            in_json=prepared.in_json,
            base_broken=1.0,
        )
    )
    last = len(settings.rungs) - 1
    rows = []
    for trial in result.trials().iter_rows(named=True):
        final = trial["final"]
        if trial["state"] == "paused":
            stored = json.loads((folder / f"trials/{trial['trial']:03d}/rung-0.json").read_text())
            outcome = trials.run(Job(trial["trial"], last, 1.0, stored["values"]))
            final = outcome.score
        if final is not None and trial["early"] is not None:
            rows.append((trial["early"], final))
    early, finals = np.asarray(rows).T
    most = min(5, len(rows) // 2)
    top = [set(np.argsort(-scores, kind="stable")[:most].tolist()) for scores in (early, finals)]
    return {
        "pairs": rows,
        "pearson": float(stats.pearsonr(early, finals).statistic),
        "spearman": float(stats.spearmanr(early, finals).statistic),
        "k": most,
        "top_overlap": len(top[0] & top[1]),
        "best_of_all": float(finals.max()),
        "found": result.metrics["validation"],
    }


def table(found: list[dict[str, Any]]) -> str:
    """One row per seed, as Markdown."""
    lines = ["| seed | " + " | ".join(name for name, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for one in found:
        lines.append(f"| {one['seed']} | " + " | ".join(cell(one) for _, cell in COLUMNS) + " |")
    return "\n".join(lines)


def table_of_all(found: list[dict[str, Any]]) -> str:
    """One row per seed: the early judgement against all final scores, and the best the search missed."""
    lines = [
        "| seed | trials | Pearson | Spearman | top k | validation, found | best of all | short by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        every = one["all"]
        lines.append(
            f"| {one['seed']} | {len(every['pairs'])} | {every['pearson']:.2f} | {every['spearman']:.2f} "
            f"| {every['top_overlap']} of {every['k']} | {every['found']:.1f} | {every['best_of_all']:.1f} "
            f"| {every['best_of_all'] - every['found']:.1f} |"
        )
    return "\n".join(lines)


def _score(one: Mapping[str, Any], trial: int, part: str) -> str:
    row = next((row for row in one["finalists"] if row["trial"] == trial), None)
    return "–" if row is None else f"{row[part]['value']:.1f} ({row[part]['low']:.1f} to {row[part]['high']:.1f})"


def _interval(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "–"
    return f"{value['value']:+.1f} ({value['low']:+.1f} to {value['high']:+.1f}), n = {value['n']}"


def _correlation(one: Mapping[str, Any]) -> str:
    low, high = one["early_final_correlation_low"], one["early_final_correlation_high"]
    if one["early_final_correlation"] is None:
        return "–"
    return f"{one['early_final_correlation']:.2f} ({low:.2f} to {high:.2f}), n = {one['early_final_pairs']}"
