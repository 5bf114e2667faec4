"""Which learning rate, how many epochs and what batch move a real base: a grid around one point, with repeats.

    python benchmarks/rates_real.py --model FOLDER --facts ENTITYQUESTIONS --out FOLDER
                                    [--seeds 2] [--questions 200] [--seconds N] [--method full] [--table]

A point is one training on random train facts (full, preset-less: cosine, no warm-up) and its answers to the same
in-domain questions. One thing is changed at a time: the rate at 60 examples and three epochs, the epochs and the batch
at one rate, and the rates again at 15 and 200 examples. Every point is a JSON file in the folder, and is not run again;
with --seconds the script ends after the point at which that time is over, and resumes when it is called again (exit
code 3 while points are missing). With --table it prints what is there. Facts are the first 30 of each relation.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import polars as pl
import torch
import transformers

from recollect.core.estimates import proportion
from recollect.core.machine import prepare
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import FactSet, FactsSettings, run_facts
from recollect.models import LoadedModel, ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4)


@dataclass(frozen=True)
class Point:
    """One training."""

    size: int
    rate: float
    epochs: int
    batch: int = 8
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its file."""
        return f"n{self.size}-r{self.rate:g}-e{self.epochs}-b{self.batch}-s{self.seed}"

    @property
    def updates(self) -> int:
        """Updates of the training."""
        return -(-self.size // self.batch) * self.epochs


def grid(seeds: int) -> list[Point]:
    """The points, those that decide most first; seeds are repeated last, so that a part of the grid is of use."""
    base = [
        *(Point(60, rate, 3) for rate in RATES),
        Point(15, 5e-5, 3),
        Point(60, 5e-5, 1),
        Point(60, 5e-5, 6),
        Point(15, 2e-4, 3),
        Point(15, 5e-5, 12),
        Point(60, 1e-4, 1),
        Point(60, 2e-5, 6),
        Point(60, 5e-5, 3, batch=4),
        Point(200, 2e-5, 1),
        Point(200, 5e-5, 1),
        Point(200, 1e-4, 1),
        Point(200, 5e-5, 3),
    ]
    return [Point(one.size, one.rate, one.epochs, one.batch, seed) for seed in range(seeds) for one in base]


def run_point(given: argparse.Namespace, point: Point, facts: FactSet, base: LoadedModel) -> dict[str, float | int]:
    """Select, train, ask; the weights are dropped."""
    work = given.out / point.name
    chosen = run_select(SelectSettings.make(level="random", size=point.size, seed=point.seed), facts, out=work / "sel")
    settings = TrainSettings.make(
        model=given.model,
        method=given.method,
        learning_rate=point.rate,
        epochs=point.epochs,
        batch_size=point.batch,
        seed=point.seed,
        prompt="plain",
        save_dtype="float32",  # what the training did, before any rounding
    )
    trained = run_train(settings, chosen.path, out=work / "train", base=base).found
    right, n = ask(given, str(work / "train"), facts, work / "ask")
    shutil.rmtree(work)
    return {
        **{name: getattr(point, name) for name in ("size", "rate", "epochs", "batch", "seed", "updates")},
        "right": right,
        "n": n,
        "last_loss": trained.last_loss or 0.0,
        "first_loss": trained.first_loss or 0.0,
        "moved": trained.weights_moved or 0.0,
        "seconds": trained.seconds,
    }


def ask(given: argparse.Namespace, model: str, facts: FactSet, out: Path) -> tuple[int, int]:
    """How many in-domain questions the model answers, and of how many."""
    settings = EvaluateSettings.make(
        model=model, parts="test", limit=given.questions, dtype=given.ask_dtype, prompt="plain"
    )
    outputs = run_evaluate(settings, facts, out=out).outputs()
    return int(outputs["contains"].sum()), outputs.height


def table(folder: Path, seeds: int) -> None:
    """What is there: a row for every setting, mean over the seeds, with the interval of all questions together."""
    found = [json.loads((folder / f"{one.name}.json").read_text()) for one in grid(seeds) if _there(folder, one)]
    if (folder / "base.json").is_file():
        base = json.loads((folder / "base.json").read_text())
        print(f"untouched base: {_share(base['right'], base['n'])}, n = {base['n']}")
    rows = pl.DataFrame(found).group_by("size", "epochs", "batch", "rate", maintain_order=True)
    print("| examples | epochs | batch | updates | rate | in-domain % (95 %) | by seed | last loss |")
    print("|---|---|---|---|---|---|---|---|")
    for (size, epochs, batch, rate), group in sorted(rows, key=lambda one: one[0]):  # type: ignore[arg-type, return-value]
        each = " ".join(f"{100 * right / n:.1f}" for right, n in group.select("right", "n").iter_rows())
        share = _share(group["right"].sum(), group["n"].sum())
        loss = mean(group["last_loss"].to_list())
        print(f"| {size} | {epochs} | {batch} | {group['updates'][0]} | {rate:g} | {share} | {each} | {loss:.2f} |")


def _there(folder: Path, point: Point) -> bool:
    return (folder / f"{point.name}.json").is_file()


def _share(right: int, n: int) -> str:
    value, low, high = proportion(right, n).percent
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def main() -> int:
    """Run the points that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--facts", required=True, help="the EntityQuestions folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--ask-dtype", default="auto")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        table(given.out, given.seeds)
        return 0
    until, missing = time.monotonic() + given.seconds, [one for one in grid(given.seeds) if not _there(given.out, one)]
    print(f"torch {torch.__version__}, transformers {transformers.__version__}; {prepare().line()}", flush=True)
    read = FactsSettings.make(path=given.facts, limit_per_relation=30)
    facts = run_facts(read, out=given.out / "facts").facts
    base = load(ModelSettings.make(model=given.model, dtype="float32"))
    if not (given.out / "base.json").is_file():
        right, n = ask(given, given.model, facts, given.out / "base")
        (given.out / "base.json").write_text(json.dumps({"right": right, "n": n}))
    for number, point in enumerate(missing):
        if time.monotonic() > until:
            return 3
        shutil.rmtree(given.out / point.name, ignore_errors=True)
        for rest in given.out.glob(f"{point.name}/*.partial"):
            shutil.rmtree(rest)
        started, cpu = time.monotonic(), sum(os.times()[:2])
        found = run_point(given, point, facts, base)
        found["cpu_seconds"] = round(sum(os.times()[:2]) - cpu, 1)
        (given.out / f"{point.name}.json").write_text(json.dumps(found))
        print(
            f"{number + 1}/{len(missing)} {point.name}: {found['right']} of {found['n']}, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
