"""A study end to end: its cells one by one, beside the way that the study chooses itself; and beside an older source.

    python benchmarks/study_together.py --model pocket --method lora [--older SOURCE] [--json]
    python benchmarks/study_together.py --model smollm2 --facts FACTS --cells 12 --method lora

Each way is a process of its own with a folder of its own, so that nothing is found again; the probe is of few facts and
the same in all: of EntityQuestions 20 facts of each relation and part. `cells` are the seconds of training and asking
alone, `whole` those of the command from the study's start. SOURCE is the `src` folder of another checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from recollect.facts import FactsSettings, run_facts

_RUN = "import sys; sys.argv[0] = 'recollect'; from recollect.cli.main import main; main()"
_CELLS = re.compile(r"training and asking: ([0-9.]+) s$", re.MULTILINE)
_SAID = re.compile(r"^.*(?:in one pass|processes|one after the other).*$", re.MULTILINE)


@dataclass(frozen=True)
class Way:
    """One run."""

    name: str
    whole: float
    cells: float
    processor: float
    said: str


def study(given: argparse.Namespace) -> dict[str, object]:
    """Its settings: 12 or 36 cells."""
    few = given.cells == 12
    return {
        "model": given.model,
        "facts": given.facts,
        "choices": ["random"] if few else ["0", "2", "random"],
        "sizes": [15, 60] if few else [15, 30, 60],
        "repeats": 6 if few else 4,
        "too_few": "error",
        "measure_drift": False,
        "repair": [],
        "few_shot": 0,
        "probe": {"parts": "train,test", "method": "closed-form", "templates": 2},
        "train": {"method": given.method, "prompt": "plain"},
        "evaluate": {"parts": "test", "limit": given.questions, "prompt": "plain"},
    }


def run(name: str, given: argparse.Namespace, *more: str, source: Path | None = None) -> Way:
    """One way, in a process and a folder of its own."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "400"}
    if source is not None:
        env["PYTHONPATH"] = str(source)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(json.dumps(study(given)), encoding="utf-8")
        command = [sys.executable, "-c", _RUN, "study", str(file), "--out", f"{folder}/study", "--json", *more]
        before = os.times()
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder)
        after = os.times()
        if done.returncode:
            raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    cells = _CELLS.findall(done.stderr)
    said = "; ".join(line.strip() for line in _SAID.findall(done.stderr) if " in one pass" in line or "go to" in line)
    return Way(name, round(found["seconds"], 1), float(cells[-1]) if cells else 0.0, round(seconds, 1), said)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", default="pocket")
    parser.add_argument("--method", choices=("lora", "full"), default="lora")
    parser.add_argument("--cells", type=int, choices=(12, 36), default=36)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--older", type=Path, help="the src folder of another checkout")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if (Path(given.facts) / "relation_query_templates.json").is_file():  # all of it would be probed for hours
            few = FactsSettings.make(path=given.facts, limit_per_relation=20, drop_overlap=True)
            given.facts = str(run_facts(few, out=Path(folder) / "facts").path)
        elif Path(given.facts).exists():
            given.facts = str(Path(given.facts).resolve())
        measure(given)


def measure(given: argparse.Namespace) -> None:
    """All ways in turn."""
    ways = []
    if given.older is not None:
        ways.append(run("older", given, source=given.older))
    ways.append(run("one by one", given, "--one-by-one"))
    ways.append(run("chosen", given))
    chosen = ways[-1]
    for way in ways:
        print(
            f"{way.name:12} whole {way.whole:7.1f} s  cells {way.cells:7.1f} s  processor {way.processor:7.1f} s  "
            f"{way.whole / chosen.whole:5.2f} x whole  {way.cells / max(chosen.cells, 0.1):5.2f} x cells  {way.said}",
            flush=True,
        )
    if given.json:
        name = f"study{given.cells}-{given.model}-{given.method}"
        print(json.dumps({"name": name, "ratio": ways[0].whole / chosen.whole, "ways": [asdict(way) for way in ways]}))


if __name__ == "__main__":
    main()
