"""The report folder: the page, the results as JSON, and its tables as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.workspace import write_atomic, write_json, write_parquet
from recollect.errors import InputError
from recollect.report.page.render import render
from recollect.report.results.common import LEVELS
from recollect.report.results.memory import Scores
from recollect.report.results.results import RESULTS_FILE, Results

REPORT_FILE = "report.html"


def write_report(results: Results, folder: Path) -> Path:
    """Write report.html, results.json and the tables into `folder` (made if absent); returns the page's path.

    Each file is replaced as a whole. Equal results give equal bytes. InputError when `folder` is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder} cannot be made: a part of the path is a file. Give a folder.") from None
    write_json(folder / RESULTS_FILE, results.model_dump(mode="json"))
    write_parquet(folder / "cells.parquet", cells_table(results))
    write_parquet(folder / "levels.parquet", levels_table(results))
    write_parquet(folder / "levels_by_relation.parquet", relations_table(results))
    page = render(results)  # last: what was measured is stored before anything is drawn
    write_atomic(folder / REPORT_FILE, lambda file: file.write(page.encode()))
    return folder / REPORT_FILE


def cells_table(results: Results) -> pl.DataFrame:
    """One row per trained model and part, and two for the base (levels "base", size 0); scores in percent."""
    rows = []
    if results.base is not None:
        rows.append(_scores_row("base", 0, None, "test", results.base.test))
        if results.base.ood is not None:
            rows.append(_scores_row("base", 0, None, "ood", results.base.ood))
    for cell in results.cells:
        rows.append(_scores_row(cell.levels, cell.size, cell.seed, "test", cell.test))
        if cell.ood is not None:
            rows.append(_scores_row(cell.levels, cell.size, cell.seed, "ood", cell.ood))
    text, whole = ("levels", "part"), ("size", "seed", "n", "without_level", *(f"n_{level}" for level in LEVELS))
    schema = {
        name: pl.String if name in text else pl.Int64 if name in whole else pl.Float64
        for name in _scores_row("base", 0, None, "test", Scores())
    }
    return pl.DataFrame(rows, schema=schema)


def levels_table(results: Results) -> pl.DataFrame:
    """Facts per part and memory level."""
    schema = {"part": pl.String, "level": pl.Int64, "n": pl.Int64}
    return pl.DataFrame([row.model_dump() for row in results.levels], schema=schema)


def relations_table(results: Results) -> pl.DataFrame:
    """Facts per relation, part and memory level, and the mean memory score (0 to 1) there."""
    rows = [
        {"relation": r.relation, "name": r.name, "domain": r.domain, "part": r.part, "level": level, "n": n}
        | {"mean_score": r.mean_score}
        for r in results.levels_by_relation
        for level, n in enumerate(r.counts)
    ]
    text = dict.fromkeys(("relation", "name", "domain", "part"), pl.String)
    return pl.DataFrame(rows, schema={**text, "level": pl.Int64, "n": pl.Int64, "mean_score": pl.Float64})


def _scores_row(levels: str, size: int, seed: int | None, part: str, scores: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {"levels": levels, "size": size, "seed": seed, "part": part}
    row |= scores.model_dump(exclude={"by_level", "left_out"})
    found = {int(key): value for key, value in scores.by_level.items()}
    for level in LEVELS:
        one = found.get(level)
        row[f"accuracy_{level}"] = one.accuracy if one else None
        row[f"low_{level}"] = one.low if one else None
        row[f"high_{level}"] = one.high if one else None
        row[f"n_{level}"] = one.n if one else 0
    return row
