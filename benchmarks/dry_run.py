"""How right is --dry-run? Small jobs are planned, then run, each in a process of its own with the same threads.

    OMP_NUM_THREADS=1 python benchmarks/dry_run.py                     # those of the pocket
    OMP_NUM_THREADS=1 python benchmarks/dry_run.py --real --facts FACTS   # and of SmolLM2

Prints, for each job, foretold over actual: seconds by the clock, seconds of the processor (the foretold ones divided by
how much the machine was at other work while it was measured), memory and disk. On a busy machine the processor's are
the fairer ones.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

POCKET = ("pocket probe", "pocket study", "pocket train", "pocket curve", "pocket search", "pocket sections")
REAL = ("smollm2 probe", "smollm2 train", "smollm2 study")
_LESS: dict[str, Any] = {"limit": 100, "text_tokens": 4000}
STUDY: dict[str, Any] = {
    "choices": ["2", "3", "4", "random"],
    "sizes": [15, 60],
    "repeats": 1,
    "probe": {"limit": 400},
    "evaluate": {"limit": 200},
    "drift": _LESS,
    "ladder": {**_LESS, "ladder": "5,20"},
}
SMALL: dict[str, Any] = {
    "choices": ["random"],
    "sizes": [15],
    "repeats": 1,
    "probe": {"limit": 40},
    "evaluate": {"limit": 30},
    "drift": {"limit": 30},
    "repair": [],
}
CURVE: dict[str, Any] = {"sizes": [0, 15, 60, 120], "repeats": 2, "evaluate": {"limit": 200}}
SEARCH: dict[str, Any] = {"trials": 6, "levels": "none", "validation": 150, "finalists": 2}
SECTIONS: dict[str, Any] = {
    **SMALL,
    "evaluate": {"limit": 200},
    "curve": {"sizes": [0, 15, 60], "repeats": 2},
    "search": {name: value for name, value in SEARCH.items() if name != "levels"} | {"trials": 4},
}
"""A study whose time is mostly its curve's and its search's."""


def job(name: str, facts: str, folder: Path) -> tuple[Callable[[Path], object], Callable[[Path], Any]]:
    """(what runs, what plans it) of a job; each is given OUT."""
    from recollect import (
        CurveSettings,
        ProbeSettings,
        SearchSettings,
        StudySettings,
        TrainSettings,
        run_curve,
        run_probe,
        run_search,
        run_study,
        run_train,
    )
    from recollect.experiments import plan as plans

    model, what = name.split()
    facts = "pocket" if model == "pocket" else facts
    where: dict[str, Any] = {"model": model, "facts": facts}
    if what == "probe":
        probe = ProbeSettings.make(**where, limit=300 if model == "pocket" else 20)
        return lambda out: run_probe(probe, out=out), lambda out: plans.plan_probe(probe, out)
    if what == "train":
        training = TrainSettings.make(model=model, **({"preset": "pocket"} if model == "pocket" else {}))
        chosen = selection(facts, folder)
        return lambda out: run_train(training, chosen, out=out), lambda out: plans.plan_train(training, chosen, out=out)
    if what in ("study", "sections"):
        study = StudySettings.make(
            **where, **(SECTIONS if what == "sections" else STUDY if model == "pocket" else SMALL)
        )
        return lambda out: run_study(study, out), lambda out: plans.plan_study(study, out)
    if what == "curve":
        curve = CurveSettings.make(**where, **CURVE)
        return lambda out: run_curve(curve, out), lambda out: plans.plan_curve(curve, out)
    search = SearchSettings.make(**where, **SEARCH)
    return lambda out: run_search(search, out), lambda out: plans.plan_search(search, out)


def selection(facts: str, folder: Path) -> Path:
    """60 training facts, drawn at random."""
    from recollect import SelectSettings, run_select

    return run_select(SelectSettings.make(facts=facts, level="random", size=60), out=folder / "selection").path


def one(name: str, facts: str, folder: Path, *, runs: bool) -> dict[str, Any]:
    """A job planned, or run, in this process."""
    import resource

    import psutil

    from recollect.core.machine import own_process

    own_process()
    began = psutil.Process().create_time()
    run, plan = job(name, facts, folder)
    if not runs:
        found = plan(folder / "out")
        return {**found.answer(), "busy": found.busy, "took": time.time() - began}
    run(folder / "out")
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.time() - began,
        "processor": used.ru_utime + used.ru_stime,
        "memory_bytes": 1024 * used.ru_maxrss,
        "disk_bytes": sum(file.stat().st_size for file in (folder / "out").rglob("*") if file.is_file()),
    }


def apart(name: str, facts: str, folder: Path, *, runs: bool) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--facts", facts, "--folder", str(folder)]
    done = subprocess.run(
        [*command, *(["--runs"] if runs else [])], check=True, capture_output=True, text=True, env=os.environ
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(name: str, facts: str) -> str:
    """The line of one job."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        told = apart(name, facts, folder, runs=False)
        did = apart(name, facts, folder, runs=True)
    processor = told["seconds"] / told["busy"]
    return (
        f"{name:<14} | {told['seconds']:.0f} / {did['seconds']:.0f} s = {told['seconds'] / did['seconds']:.2f} | "
        f"{processor:.0f} / {did['processor']:.0f} s = {processor / did['processor']:.2f} | "
        f"{told['memory_bytes'] / did['memory_bytes']:.2f} | {told['disk_bytes'] / did['disk_bytes']:.2f} | "
        f"{told['took']:.0f} s, {told['busy']:.1f}"
    )


def main() -> None:
    """Plan and run the jobs, or one half of one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", help="some of the jobs, separated by commas")
    parser.add_argument("--real", action="store_true", help="also those of SmolLM2")
    parser.add_argument("--facts", default="pocket", help="facts for SmolLM2")
    parser.add_argument("--one")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--runs", action="store_true")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.facts, given.folder, runs=given.runs)))
        return
    jobs = given.jobs.split(",") if given.jobs else [*POCKET, *(REAL if given.real else ())]
    print("job            | clock | processor | memory | disk | planning took, busy")
    for name in jobs:
        print(compare(name, given.facts), flush=True)


if __name__ == "__main__":
    main()
