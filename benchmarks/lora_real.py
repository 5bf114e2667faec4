"""Which rate, rank, scale, modules and start of LoRA move a real base: a grid around one point.

    python benchmarks/lora_real.py --model FOLDER --facts ENTITYQUESTIONS --out FOLDER
                                   [--seeds 1] [--questions 100] [--seconds N] [--only NAME,NAME]
                                   [--prompt plain] [--table]

A point is one training on 60 random train facts (batch 8, cosine, no warm-up; 8 updates unless a point says otherwise)
and its answers to the same in-domain questions. Every point is a JSON file in the folder, and is not run again; with
--seconds the script ends after the point at which that time is over, and resumes when it is called again (exit code 3
while points are missing). With --table it prints what is there. Facts are the first 30 of each relation.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import peft
import torch
import transformers

from recollect.core.estimates import proportion
from recollect.core.machine import prepare
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import FactSet, FactsSettings, run_facts
from recollect.models import LoadedModel, ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

SIZE, BATCH = 60, 8
EVERY = {"lora_targets": "all-linear"}


@dataclass(frozen=True)
class Point:
    """One training, by what it changes of the defaults."""

    name: str
    rate: float
    changes: dict[str, object] = field(default_factory=dict)
    epochs: int = 1


def grid() -> list[Point]:
    """The points, those that decide most first."""
    rates = (4e-4, 1.3e-3, 4e-3)
    return [
        *(Point(f"all-{rate:g}", rate, EVERY) for rate in rates),
        *(Point(f"qv-{rate:g}", rate, {"lora_targets": "q_proj,v_proj"}) for rate in rates),
        *(Point(f"pissa-{rate:g}", rate, EVERY | {"lora_init": "pissa"}) for rate in (1.3e-4, 4e-4, 1.3e-3)),
        *(Point(f"olora-{rate:g}", rate, EVERY | {"lora_init": "olora"}) for rate in (1.3e-5, 4e-5, 1.3e-4)),
        *(Point(f"eva-{rate:g}", rate, EVERY | {"lora_init": "eva"}) for rate in (1.3e-4, 4e-4, 1.3e-3)),
        *(Point(f"rank{rank}-1.3e-3", 1.3e-3, EVERY | {"lora_r": rank}) for rank in (4, 64)),
        *(Point(f"rank{rank}-alpha32", 1.3e-3, EVERY | {"lora_r": rank, "lora_alpha": 32.0}) for rank in (4, 64)),
        Point("dora-1.3e-3", 1.3e-3, EVERY | {"lora_dora": True}),
        Point("rslora-1.3e-3", 1.3e-3, EVERY | {"lora_rslora": True}),
        Point("full-1.3e-4", 1.3e-4, {"method": "full"}),
        Point("all-0.01", 1e-2, EVERY),
    ]


def run_point(
    given: argparse.Namespace, point: Point, seed: int, facts: FactSet, base: LoadedModel
) -> dict[str, object]:
    """Select, train, ask; the weights are dropped."""
    work = given.out / f"{point.name}-s{seed}"
    shutil.rmtree(work, ignore_errors=True)
    chosen = run_select(SelectSettings.make(level="random", size=SIZE, seed=seed), facts, out=work / "sel")
    values: dict[str, object] = {"method": "lora", "batch_size": BATCH, "seed": seed, "prompt": given.prompt}
    values |= point.changes
    settings = TrainSettings.make(model=given.model, learning_rate=point.rate, epochs=point.epochs, **values)
    trained = run_train(settings, chosen.path, out=work / "train", base=base).found
    right, n = ask(given, str(work / "train"), facts, work / "ask")
    shutil.rmtree(work)
    return {
        "name": point.name, "seed": seed, "rate": point.rate, "changes": point.changes, "updates": trained.steps,
        "right": right, "n": n, "first_loss": trained.first_loss, "last_loss": trained.last_loss,
        "parameters": trained.trained_parameters, "seconds": trained.seconds,
    }  # fmt: skip


def ask(given: argparse.Namespace, model: str, facts: FactSet, out: Path) -> tuple[int, int]:
    """How many in-domain questions the model answers, and of how many."""
    settings = EvaluateSettings.make(
        model=model, parts="test", limit=given.questions, dtype=given.ask_dtype, prompt=given.prompt
    )
    outputs = run_evaluate(settings, facts, out=out).outputs()
    return int(outputs["contains"].sum()), outputs.height


def table(folder: Path) -> None:
    """What is there: a row for every point, its seeds together."""
    if (folder / "base.json").is_file():
        base = json.loads((folder / "base.json").read_text())
        print(f"untouched base: {_share(base['right'], base['n'])}, n = {base['n']}")
    print("| point | trained | updates | in-domain % (95 %) | by seed | first, last loss | seconds |")
    print("|---|---|---|---|---|---|---|")
    for point in grid():
        found = [json.loads(file.read_text()) for file in sorted(folder.glob(f"{point.name}-s*.json"))]
        if found:
            each = " ".join(f"{100 * one['right'] / one['n']:.1f}" for one in found)
            share = _share(sum(one["right"] for one in found), sum(one["n"] for one in found))
            losses = f"{found[0]['first_loss']:.2f}, {found[0]['last_loss']:.2f}"
            print(
                f"| {point.name} | {found[0]['parameters']:,} | {found[0]['updates']} | {share} | {each} | {losses} | "
                f"{found[0]['seconds']:.0f} |"
            )


def _share(right: int, n: int) -> str:
    value, low, high = proportion(right, n).percent
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def main() -> int:
    """Run the points that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--facts", required=True, help="the EntityQuestions folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only", default="", help="names of points, separated by commas")
    parser.add_argument("--ask-dtype", default="auto")
    parser.add_argument("--prompt", default="plain", help="plain, or chat: the model's own template")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        table(given.out)
        return 0
    wanted = [one for one in grid() if not given.only or one.name in given.only.split(",")]
    runs = [(point, seed) for seed in range(given.seeds) for point in wanted]
    missing = [(point, seed) for point, seed in runs if not (given.out / f"{point.name}-s{seed}.json").is_file()]
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    print(f"{versions}; {prepare().line()}", flush=True)
    until = time.monotonic() + given.seconds
    read = FactsSettings.make(path=given.facts, limit_per_relation=30)
    facts = run_facts(read, out=given.out / "facts").facts
    if not (given.out / "base.json").is_file():
        right, n = ask(given, given.model, facts, given.out / "base")
        (given.out / "base.json").write_text(json.dumps({"right": right, "n": n}))
    base = load(ModelSettings.make(model=given.model, dtype="float32"))
    for number, (point, seed) in enumerate(missing):
        if time.monotonic() > until:
            return 3
        started, cpu = time.monotonic(), sum(os.times()[:2])
        found = run_point(given, point, seed, facts, base)
        found["cpu_seconds"] = round(sum(os.times()[:2]) - cpu, 1)
        (given.out / f"{point.name}-s{seed}.json").write_text(json.dumps(found))
        print(
            f"{number + 1}/{len(missing)} {point.name} seed {seed}: {found['right']} of {found['n']}, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
