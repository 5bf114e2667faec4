"""A grid of two models, written by hand: their probes, their base's answers, and cells with known numbers of hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from helpers_levels import write_probe
from recollect.core.workspace import open_step
from recollect.core.workspace.experiment import GridFound, GridPart
from recollect.evaluate import EvaluateFound, accuracies

QUESTIONS = 20
Hits = Mapping[tuple[str, int], Sequence[int]]
"""Of each cell, how many of the questions each seed's model has right."""


def write_grid(
    folder: Path,
    models: Mapping[str, tuple[Sequence[int], int, Hits]],
    methods: Sequence[str] = ("full",),
    called: Mapping[str, str] | None = None,
) -> Path:
    """models: of each its facts' levels, the untouched base's hits and its cells'; the same for each method.

    called: what the grid's file calls some of them.
    """
    parts = []
    for model, (levels, base, cells) in models.items():
        for method in methods:
            known = (called or {}).get(model, "")
            name = (known or Path(model).name) + (
                f"-{method}" if len(methods) > 1 else ""
            )  # as a grid names its studies
            part = GridPart(name=name, model=model, data="facts.csv", method=method, model_called=known)
            parts.append(part)
            steps = folder / part.folder / "steps"
            steps.mkdir(parents=True)
            write_probe(steps / "probe", levels, method="adaptive" if model.endswith("b") else "sampled")
            _evaluate(steps / "base", base)
            for (choice, size), hits in cells.items():
                for seed, right in enumerate(hits):
                    _evaluate(steps / f"evaluate-{choice}-{size}-seed{seed}", right)
    with open_step("grid", {}, {}, folder / "made") as step:
        step.finish(GridFound(parts=tuple(parts), cells=1))
    (folder / "made" / "manifest.json").rename(folder / "manifest.json")
    return folder


def _evaluate(folder: Path, right: int) -> None:
    rows = {
        "fact_id": [f"f{at}" for at in range(QUESTIONS)],
        "part": "test",
        "relation": "P36",
        "level": pl.Series([None] * QUESTIONS, dtype=pl.Int64),
        "question": [f"Which {at}?" for at in range(QUESTIONS)],
        "object": "x",
        "synonyms": [[]] * QUESTIONS,
        "output": "x",
        "contains": [at < right for at in range(QUESTIONS)],
        "word": [at < right for at in range(QUESTIONS)],
    }
    table = pl.DataFrame(rows, schema_overrides={"synonyms": pl.List(pl.String)})
    with open_step("evaluate", {"max_new_tokens": 16}, {"model": folder.name}, folder) as step:
        step.write_table("outputs.parquet", table)
        step.finish(EvaluateFound(accuracy=accuracies(table, 1)))
