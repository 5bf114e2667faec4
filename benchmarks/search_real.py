"""Two real searches on the pocket, facts and pages, each with several seeds: what they gain and what they cost."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from recollect._commands_search import rung_line
from recollect.machine import prepare
from recollect.search import SearchSettings, run_search

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
        wall, processor = time.monotonic(), time.process_time()
        result = run_search(
            SearchSettings.make(**values),
            given.out / f"{given.task}-{seed}",
            watch=lambda event, since=wall: print(rung_line(event, since), flush=True),
        )
        took = f"{time.monotonic() - wall:.0f} s wall, {time.process_time() - processor:.0f} s of processor time"
        print(f"seed {seed}: {took}; load {os.getloadavg()[0]:.1f}", flush=True)
        found.append({**result.metrics, "seed": seed})
    (given.out / f"{given.task}.json").write_text(json.dumps(found, indent=2))
    print(table(found))


def table(found: list[dict[str, Any]]) -> str:
    """One row per seed, as Markdown."""
    lines = ["| seed | " + " | ".join(name for name, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for one in found:
        lines.append(f"| {one['seed']} | " + " | ".join(cell(one) for _, cell in COLUMNS) + " |")
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
