"""Experiment folders for the tests of the page: written by hand where only their shape counts, in a moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from recollect.core.estimates import proportion
from recollect.core.workspace import open_step
from recollect.evaluate.accuracy import Accuracy
from recollect.evaluate.found import EvaluateFound
from recollect.experiments.under_way import UNDER_WAY
from recollect.train.found import TrainFound

SLEEPER = """
import sys, time
from pathlib import Path
from recollect.core.interrupt import listen
from recollect.core.workspace import open_step
from recollect.core.said import Now, keep_line, keep_now, me
listen()
with open_step(sys.argv[2], {"title": "A small study"}, {"model": "x"}, Path(sys.argv[1])) as step:
    (step.folder / "steps").mkdir(exist_ok=True)
    keep_line("training and asking: 3/8 models")
    keep_now(Now(*me(), "training and asking", "models", 3, 8, 12.0, 20.0, "random-8-seed0: training"))
    print("ready", flush=True)
    time.sleep(120)
"""


def outputs(right: int, of: int = 20) -> pl.DataFrame:
    """Answers of which the first `right` are right."""
    rows = [
        {
            "fact_id": f"f{at}",
            "part": "test",
            "question": f"Where is <b>thing {at}</b>?",
            "object": f"place {at}",
            "output": f"place {at}" if at < right else "nowhere",
            "contains": at < right,
        }
        for at in range(of)
    ]
    return pl.DataFrame(rows)


def evaluation(out: Path, right: int, of: int = 20) -> None:
    """A finished evaluate step."""
    with open_step("evaluate", {"parts": "test"}, {"right": right, "of": of, "at": out.name}, out) as step:
        step.write_table("outputs.parquet", outputs(right, of))
        step.finish(EvaluateFound(accuracy={"test": Accuracy(micro=proportion(right, of))}))


def model(steps: Path, choice: str, size: int, seed: int, right: int) -> None:
    """A selection, a training and an evaluation, finished."""
    name = f"{choice}-{size}-seed{seed}"
    with open_step("select", {"level": choice, "size": size, "seed": seed}, {}, steps / f"select-{name}") as step:
        step.finish({"size": size})
    with open_step("train", {"seed": seed}, {"n": size}, steps / f"train-{name}") as step:
        step.finish(TrainFound(steps=4, examples=size, answer_tokens=9, trained_parameters=10, seconds=1.5))
    evaluation(steps / f"evaluate-{name}", right)


def study(folder: Path, finish: bool = False, title: str = "A small study") -> Path:
    """A study of two sizes, with one cell at work unless it is finished; the folder is left as a killed run's."""
    with open_step("study", {"title": title}, {"model": "x"}, folder) as step:
        steps = step.folder / "steps"
        steps.mkdir()
        evaluation(steps / "base", 2)
        for size, seed, right in ((8, 0, 7), (8, 1, 9), (32, 0, 15)):
            model(steps, "random", size, seed, right)
        if finish:
            (step.folder / "report.html").write_text("<!doctype html><title>The report</title>", encoding="utf-8")
            step.finish({"title": title, "cells": 3, "seconds": 61.0, "given": [], "steps": 10})
            return folder
        with open_step(
            "select", {"level": "random", "size": 32, "seed": 1}, {}, steps / "select-random-32-seed1"
        ) as one:
            one.finish({"size": 32})
        (steps / UNDER_WAY).mkdir()
        told = {"name": "random-32-seed1", "part": "training", "unit": "updates", "done": 3, "total": 12}
        (steps / UNDER_WAY / "random-32-seed1.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def search(folder: Path) -> Path:
    """A search with three trials: finished, waiting, broken."""
    with open_step("search", {"seed": 0}, {"model": "x"}, folder) as step:
        evaluation(step.folder / "base-validation", 2)
        for trial, rungs in enumerate(([12, 16], [9], [])):
            place = step.folder / "trials" / f"{trial:03d}"
            place.mkdir(parents=True)
            with open_step("select", {"level": "random", "size": 8, "seed": 0}, {}, place / "select") as one:
                one.finish({"size": 8})
            values = {"learning_rate": 0.001 * (trial + 1)}
            for rung, right in enumerate(rungs):
                evaluation(place / f"validation-{rung}", right)
                _rung(place, rung, values, {"kind": "scored", "score": 5.0 * right})
            if not rungs:
                _rung(place, 0, values, {"kind": "degenerate", "reason": "loss became NaN at update 3"})
    return folder


def _rung(place: Path, rung: int, values: dict[str, float], outcome: dict[str, object]) -> None:
    stored = {
        "values": values,
        "share": (0.2, 1.0)[rung],
        "outcome": {"trial": int(place.name), "rung": rung, **outcome},
    }
    (place / f"rung-{rung}.json").write_text(json.dumps(stored), encoding="utf-8")


@contextmanager
def at_work(folder: Path, kind: str = "study") -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder of a study, and sleeps; it is killed at the end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(folder), kind], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
