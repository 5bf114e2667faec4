"""A fit on the pocket in one process, and with its trials given out to workers of this machine.

    python benchmarks/fit_elsewhere.py [--budget "8 trials"] [--workers 2] [--ways here,workers,processes] [--json]

Each worker has one thread; with the way "workers" the fit starts one of them, and `recollect work` the others. Seconds
are by the clock, since workers are meant to save that: run it on a machine with as many free cores as workers, and look
at the load that it prints. Compared is what the ways found.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from recollect.core.workspace.fit import FitFound
from recollect.experiments.executors.slurm import MAIN

WAYS = ("here", "processes", "workers")


def one_way(way: str, budget: str, workers: int, folder: Path) -> dict[str, Any]:
    """A whole fit, and whoever helps it."""
    out, where = folder / way, {"here": [], "processes": ["--workers", str(workers)]}.get(way, [])
    flags = ["--executor", way, *where, "--budget", budget, "--seeds", "1", "--yes", "--out", str(out)]
    began, load = time.monotonic(), os.getloadavg()[0]
    fit = _start("fit", *flags)
    helpers: list[subprocess.Popen[str]] = []
    while way == "workers" and fit.poll() is None and len(helpers) < workers - 1:
        if out.with_name(f"{out.name}.partial").joinpath("parts", "queue").is_dir():
            helpers.append(_start("work", str(out)))
        time.sleep(0.2)
    _, said = fit.communicate()
    if fit.returncode:
        raise SystemExit(f"{way}: {said[-2000:]}")
    seconds = time.monotonic() - began
    took = [sum(line.startswith("did trial") for line in one.communicate()[1].splitlines()) for one in helpers]
    found = FitFound.read(out)
    return {
        "way": way,
        "seconds": round(seconds, 1),
        "searching": found.used["searching"],
        "trials": [one.state for one in found.trials],
        "rungs of helpers": took,
        "chosen": found.chosen,
        "settings": found.settings_of_ours,
        "test": {one.name: one.test and round(one.test.value, 4) for one in found.contenders},
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def _start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def main() -> None:
    """Run the ways one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", default="8 trials")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ways", default="here,workers")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [one_way(way, given.budget, given.workers, Path(folder)) for way in given.ways.split(",")]
    for one in found:
        print(json.dumps(one) if given.json else "\n".join(f"{name}: {value}" for name, value in one.items()) + "\n")


if __name__ == "__main__":
    main()
