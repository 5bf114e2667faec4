"""Several `recollect work` processes on one study of 200 steps, one of them killed: is any step done twice, or missing?

    python benchmarks/workers.py [--workers 2] [--kill-after 40] [--compare] [--json]

The study is on the pocket, with trainings of one update: probe, base, and 66 cells of three steps. Each worker notes
every step folder that it finishes; the notes are counted at the end. After `--kill-after` of them one worker gets
SIGKILL in the middle of its work. With --compare the same study is run by one process alone, and every table compared.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from recollect.facts import load_facts

STUDY: dict[str, Any] = {
    "facts": "facts.csv",
    "choices": ["random"],
    "sizes": list(range(2, 13)),
    "repeats": 6,
    "few_shot": 0,
    "measure_drift": False,
    "repair": [],
    "probe": {"method": "closed-form", "templates": 1},
    "train": {"preset": "pocket", "max_steps": 1},
    "evaluate": {"max_new_tokens": 4},
}
_WORKER = """
import os, sys
from pathlib import Path
from recollect.core.workspace.step import Step
plain = Step.finish
def noted(self, *arguments, **named):
    plain(self, *arguments, **named)
    with open("finished.log", "a") as log:
        log.write(f"{os.getpid()} {self.path.name}\\n")
Step.finish = noted
sys.argv = ["recollect", *sys.argv[1:]]
from recollect.cli.main import main
main()
"""


def main() -> None:
    """Run it, and print what was counted."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--kill-after", type=int, default=40)
    asked.add_argument("--compare", action="store_true")
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measure(Path(place), given.workers, given.kill_after, compare=given.compare)
    print(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    if found["twice"] or found["missing"] or found.get("different") or any(found["codes"][1:]):
        raise SystemExit(1)


def measure(place: Path, workers: int, kill_after: int, *, compare: bool) -> dict[str, Any]:
    """Steps that were wanted, done twice, and missing; how many each worker did."""
    table = load_facts("pocket").table()
    wanted = ("relation", "subject", "question", pl.col("object").alias("answer"), "split")
    few = [table.filter(pl.col("split") == part).head(count) for part, count in (("train", 24), ("test", 16))]
    pl.concat(few).select(*wanted).write_csv(place / "facts.csv")
    (place / "study.yaml").write_text(json.dumps(STUDY))
    started = time.monotonic()
    processes = [_start(place, number) for number in range(workers)]
    log = place / "finished.log"
    while kill_after and len(_lines(log)) < kill_after:
        if processes[0].poll() is not None:
            raise SystemExit((place / "worker-0.log").read_text())
        time.sleep(0.05)
    if kill_after:
        at = time.monotonic() - started
        processes[0].send_signal(signal.SIGKILL)
    codes = [one.wait(3600) for one in processes]
    for number, code in enumerate(codes):
        if code and not (kill_after and number == 0):
            print((place / f"worker-{number}.log").read_text()[-3000:], file=sys.stderr)
    counts = Counter(name for _, name in _lines(log) if name != "study")
    cells = len(STUDY["sizes"]) * STUDY["repeats"]
    there = {path.parent.name for path in (place / "study" / "steps").glob("*/manifest.json")}
    found: dict[str, Any] = {
        "steps": 2 + 3 * cells,
        "finished": sum(counts.values()),
        "twice": sorted(name for name, count in counts.items() if count > 1),
        "missing": 2 + 3 * cells - len(there),
        "by_worker": dict(Counter(worker for worker, _ in _lines(log))),
        "codes": codes,
        "seconds": round(time.monotonic() - started, 1),
    }
    if kill_after:
        found["killed_at"] = round(at, 1)
    if compare:
        found["different"] = _different(place)
    return found


def _start(place: Path, number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WORKER, "work", "study.yaml", "--out", "study"]
    with (place / f"worker-{number}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=place, stdout=log, stderr=log, env=_environment())


def _run(place: Path, *words: str) -> None:
    command = [sys.executable, "-c", "from recollect.cli.main import main; main()", *words]
    subprocess.run(command, cwd=place, check=True, capture_output=True, env=_environment())


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path[1:])}


def _lines(log: Path) -> list[tuple[str, str]]:
    found = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(words[0], words[1]) for words in found if len(words) == 2]


def _different(place: Path) -> list[str]:
    """Tables that are not, byte by byte, those of the study by one process alone."""
    _run(place, "study", "--config", "study.yaml", "--out", "alone")
    shared, alone = place / "study", place / "alone"
    names = {path.relative_to(one).as_posix() for one in (shared, alone) for path in one.rglob("*.parquet")}
    return [
        name
        for name in sorted(names)
        if not ((shared / name).is_file() and (alone / name).is_file())
        or (shared / name).read_bytes() != (alone / name).read_bytes()
    ]


if __name__ == "__main__":
    main()
