"""Probes whose levels are known: written by hand, as a probe step stores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from recollect.core.workspace import open_step
from recollect.match import MATCHER_VERSION
from recollect.probe import ProbeFound

Maker = Callable[..., Path]
SETTINGS = {"templates": 21, "samples": 10, "temperature": 0.7, "max_new_tokens": 32, "top_k": 0}


def write_probe(
    folder: Path,
    levels: Sequence[int],
    probabilities: Sequence[Sequence[float]] | None = None,
    *,
    method: str = "sampled",
    judge: str = "contains",
    model: str = "",
    first: int = 0,
    relations: Sequence[str] = ("P36", "P50"),
    asked: int = 1,
    **settings: object,
) -> Path:
    """A probe step in `folder` of facts f<first>, …, half of each relation in turn.

    Without probabilities a fresh probe gives each fact its level with 0.9, the next one with 0.1. asked: of how many
    facts in a row each subject is.
    """
    likely = np.eye(5)[list(levels)] * 0.9
    for row, level in enumerate(levels):
        likely[row, level + 1 if level < 4 else 3] += 0.1
    given = likely.tolist() if probabilities is None else probabilities
    table = pl.DataFrame(
        {
            "fact_id": [f"f{first + at}" for at in range(len(levels))],
            "part": "test",
            "relation": [relations[at % len(relations)] for at in range(len(levels))],
            "subject": [f"thing {(first + at) // asked}" for at in range(len(levels))],
            "object": "x",
            "score": [level / 4 for level in levels],
            "level": list(levels),
            "level_probabilities": pl.Series(given or [None] * len(levels), dtype=pl.List(pl.Float64)),
        }
    )
    inputs = {"model": model or folder.name, "matcher": MATCHER_VERSION, "templates": "shipped"}
    found = ProbeFound(
        facts=len(levels),
        method=method,  # type: ignore[arg-type]
        judge=judge,
        levels={},
        levels_by_part={},
        mean_score=0,
        unstated="" if given else "too few facts",
        seconds=0,
    )
    with open_step("probe", {**SETTINGS, **settings}, inputs, folder) as step:
        step.write_table("levels.parquet", table)
        step.finish(found)
    return folder
