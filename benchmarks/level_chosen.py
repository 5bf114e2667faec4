"""Are examples of one memory level better than random ones? On a real model, with repeats and an interval.

    recollect probe --model smollm2 --facts FACTS --parts train,test --method sampled --out LEVELS
    python benchmarks/level_chosen.py --model smollm2 --facts FACTS --levels LEVELS --out FOLDER --json OUT.json
                                      [--choices "0;1;2,3,4;random"] [--size 60] [--seeds 4] [--questions 300]

Each choice is trained at the automatic rate, once a seed (each draws its own examples and trains anew), and asked the
same in-domain test questions. What is trained is not run again. Differences from random are paired by question, the
trainings' spread in them (`core.estimates`), and count for all choices at once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
import transformers
from scipy.stats import t as student

from recollect.core.estimates import proportion
from recollect.core.machine import prepare
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import FactSet, load_facts
from recollect.models import LoadedModel, ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train


def ask(given: argparse.Namespace, model: str, facts: FactSet, out: Path) -> list[bool]:
    """Which in-domain questions the model answers, in the order of their ids."""
    settings = EvaluateSettings.make(
        model=model, parts="test", limit=given.questions, batch_size=given.batch, **given.prompted
    )
    outputs = run_evaluate(settings, facts, out=out).outputs().sort("fact_id")
    return [bool(right) for right in outputs["contains"]]


def cell(given: argparse.Namespace, level: str, seed: int, facts: FactSet, base: LoadedModel) -> dict[str, object]:
    """Select, train, ask; the weights are dropped."""
    work = given.out / f"{level.replace(',', '')}-{given.size}-{seed}"
    if not (work.with_suffix(".json")).is_file():
        started, levels = time.monotonic(), pl.read_parquet(given.levels / "levels.parquet", glob=False)
        how = SelectSettings.make(level=level, size=given.size, seed=seed)
        chosen = run_select(how, facts, None if level == "random" else levels, out=work / "select")
        settings = TrainSettings.make(model=given.model, seed=seed, **given.prompted)
        trained = run_train(settings, chosen.path, out=work / "train", base=base).found
        right = ask(given, str(work / "train"), facts, work / "ask")
        found = {
            "level": level,
            "seed": seed,
            "right": right,
            "last_loss": trained.last_loss,
            "rate": trained.learning_rate,
            "updates": trained.steps,
            "by_relation": chosen.found.by_relation,
            "seconds": round(time.monotonic() - started, 1),
        }
        work.with_suffix(".json").write_text(json.dumps(found))
        shutil.rmtree(work)
        share = sum(right) / len(right)
        print(f"{level} seed {seed}: {100 * share:.1f} % of {len(right)}, {found['seconds']} s", flush=True)
    read: dict[str, object] = json.loads(work.with_suffix(".json").read_text())
    return read


def difference(one: np.ndarray, other: np.ndarray, comparisons: int) -> tuple[float, float, float]:
    """Mean difference of two choices in points, [trainings, questions] each, and its interval.

    The trainings of both differ by the luck of the draw, the questions by what they ask: their variances add. The
    smaller of the two numbers of trainings decides the degrees of freedom; `comparisons` share the 5 % (Bonferroni).
    """
    by_question = one.mean(axis=0) - other.mean(axis=0)
    variance = by_question.var(ddof=1) / by_question.size
    variance += one.mean(axis=1).var(ddof=1) / len(one) + other.mean(axis=1).var(ddof=1) / len(other)
    half = student.ppf(1 - 0.025 / comparisons, min(len(one), len(other)) - 1) * variance**0.5
    return 100 * by_question.mean(), 100 * (by_question.mean() - half), 100 * (by_question.mean() + half)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--facts", required=True)
    parser.add_argument("--levels", type=Path, required=True, help="a probe step of the train facts")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--choices", default="0;1;2,3,4;random")
    parser.add_argument("--size", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64, help="questions at once")
    parser.add_argument("--prompt", help="plain or chat; left out: as the model has it")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.prompted = {"prompt": given.prompt} if given.prompt else {}
    print(f"torch {torch.__version__}, transformers {transformers.__version__}; {prepare().line()}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    facts = load_facts(given.facts)
    base = load(ModelSettings.make(model=given.model, dtype="float32"))
    untouched = np.array(ask(given, given.model, facts, given.out / "base"))
    value, low, high = proportion(int(untouched.sum()), untouched.size).percent
    print(f"untouched base: {value:.1f} % ({low:.1f}–{high:.1f}), n = {untouched.size}", flush=True)
    choices = given.choices.split(";")
    cells = [cell(given, level, seed, facts, base) for seed in range(given.seeds) for level in choices]
    right = {name: np.array([one["right"] for one in cells if one["level"] == name], dtype=float) for name in choices}
    rows = []
    for name, values in right.items():
        each = [round(100 * float(share), 1) for share in values.mean(axis=1)]
        found = difference(values, right["random"], len(choices) - 1) if name != "random" else None
        rows.append({"level": name, "each": each, "mean": round(float(100 * values.mean()), 2), "difference": found})
        said = "" if found is None else f"{found[0]:+.1f} points of random ({found[1]:+.1f} to {found[2]:+.1f})"
        print(f"{name:8} {100 * values.mean():5.1f} %  {each}  {said}")
    if given.json:
        base_row = {"right": int(untouched.sum()), "n": int(untouched.size)}
        given.json.write_text(json.dumps({"base": base_row, "rows": rows, "cells": cells}))
    print(pl.DataFrame(rows).select("level", "mean"))


if __name__ == "__main__":
    main()
