"""A fit of adapters with its trainings one by one, as it chooses itself, and in a pass whatever was measured.

    python benchmarks/fit_together.py [--world 1] [--budget "10 trials"] [--seeds 3] [--turns 1] [--json]

On a world of `fit_worlds.py` that shares the shipped base. Each way is a process of its own with one thread and a
folder of its own. All seconds are of the processor, those by which the fit decides too, so that other work beside it is
not measured. Compared is what the ways found: trials, candidates and test.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

WAYS = ("one by one", "chosen", "passed")
_STAGES = ("searching", "more seeds")


def one_way(given: argparse.Namespace) -> dict[str, Any]:
    """Run it, in this process."""
    from fit_worlds import shipped_world

    from recollect.experiments.fit import FitSettings, run_fit
    from recollect.experiments.fit import run as run_module
    from recollect.experiments.fit.clock import FitClock
    from recollect.experiments.many import measure

    run_module.FitClock = partial(FitClock, ticks=time.process_time)  # type: ignore[misc, assignment]
    measure.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment]
    if given.way == "passed":
        measure.LEAST, measure.WORTH = 0.0, 0
    settings = FitSettings.make(
        budget=given.budget, seeds=given.seeds, method="lora", one_by_one=given.way == "one by one"
    )
    said: list[str] = []
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = run_fit(settings, Path(folder) / "fit", facts=shipped_world(given.world).facts, say=said.append).found
    return {
        "way": given.way,
        "seconds": time.process_time() - before,
        "stages": found.used,
        "said": [line for line in said if "adapter" in line or "trainings in one pass" in line],
        "trials": [(one.state, one.score) for one in found.trials],
        "candidates": [(one.name, one.score, one.forgot) for one in found.candidates],
        "test": [(one.name, one.test and one.test.value) for one in found.contenders],
    }


def main() -> None:
    """All ways in turn, each in a process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--budget", default="10 trials")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.way:
        print(json.dumps(one_way(given)))
        return
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    for _ in range(given.turns):
        for way in WAYS:
            done = subprocess.run([sys.executable, *sys.argv, "--way", way], capture_output=True, text=True, env=env)
            if done.returncode:
                raise SystemExit(f"{way} ended with {done.returncode}:\n{done.stderr[-2000:]}")
            runs[way].append(json.loads(done.stdout.strip().splitlines()[-1]))
            one = runs[way][-1]
            stages = ", ".join(f"{name} {one['stages'].get(name, 0.0):.1f}" for name in _STAGES)
            print(f"{way:12s} {one['seconds']:7.1f} s of processor ({stages})  {'; '.join(one['said'])}", flush=True)
    first, *others = (runs[way][0] for way in WAYS)
    for other in others:
        same = [name for name in ("trials", "candidates", "test") if first[name] == other[name]]
        print(f"{other['way']}: the same {', '.join(same) or 'in nothing'} as one by one")
    whole = {way: median(one["seconds"] for one in runs[way]) for way in WAYS}
    ratio = whole["one by one"] / whole["chosen"]
    print(f"one by one / chosen {ratio:.2f}, one by one / passed {whole['one by one'] / whole['passed']:.2f}")
    if given.json:
        print(json.dumps({"name": "fit-lora-pocket", "ratio": ratio, "runs": runs}))


if __name__ == "__main__":
    main()
