"""From a study's data curve and its search for settings to the numbers that the tests of the findings need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from recollect.core.estimates import Cell, Estimate, Trainings
from recollect.core.workspace import MANIFEST
from recollect.core.workspace.curve import CurveFound
from recollect.evaluate import RIGHT, units_of, with_right
from recollect.report.chapters.findings.checks.extracted import Curved, Extracted, Searched, Tried
from recollect.report.chapters.findings.checks.studied import BASE, UNTRAINED
from recollect.report.scores.parts import Part
from recollect.report.scores.steps import is_about_pages

_EVALUATED = re.compile(r"evaluate-(\d+)-seed(-?\d+)")
_SETTING = "set_"
_SHARED = 4.0
"""Trainings that the spread over all sizes counts for, as in a data curve."""


def read_extras(part: Part) -> Extracted | None:
    """Of a study on pages, or one that has a data curve or a search; None of another."""
    steps = part.path / "steps"
    curve, search = (steps / name if (steps / name / MANIFEST).is_file() else None for name in ("curve", "search"))
    if curve is None and search is None and not is_about_pages(part.source):
        return None
    return Extracted(part.name, _curve(curve) if curve else None, _search(search) if search else None)


def _curve(folder: Path) -> Curved | None:
    """Its answers on the in-domain test values that all trainings were asked; None where nothing was."""
    sizes, steps = set(CurveFound.read(folder).verdict.sizes), folder / "steps"
    tables: dict[Cell, list[pl.DataFrame]] = {}
    if 0 in sizes and (steps / "base" / MANIFEST).is_file():
        tables[BASE] = [_items(steps / "base")]
    found = sorted((int(m[1]), int(m[2]), m[0]) for one in steps.iterdir() if (m := _EVALUATED.fullmatch(one.name)))
    for size, _, name in found:
        if size in sizes and (steps / name / MANIFEST).is_file():
            tables.setdefault(("trained", size), []).append(_items(steps / name))
    every = [table for several in tables.values() for table in several]
    asked = sorted(set.intersection(*(set(table["item"]) for table in every))) if every else []
    if not asked or tables.keys() == {BASE}:
        return None
    scores = {cell: np.stack([_right(table, asked) for table in several]) for cell, several in tables.items()}
    items = every[0].filter(pl.col("item").is_in(asked))
    units = items["unit"].to_numpy()
    if items["group"].dtype.is_integer():
        alone = items["unit"].n_unique() == items.height
        levels = _levels(items["group"])
        return Curved(Trainings(scores, levels, UNTRAINED, units=None if alone else units, shared=_SHARED))
    names = dict(enumerate(sorted(items["group"].unique())))
    number = {name: at for at, name in names.items()}
    levels = np.array([number[name] for name in items["group"]])
    pages = len(np.unique(units))
    shares = {at: len(np.unique(units[levels == at])) / pages for at in names}
    return Curved(Trainings(scores, levels, UNTRAINED, units=units, shared=_SHARED), names, shares)


def _items(folder: Path) -> pl.DataFrame:
    """Right or wrong of each in-domain test value, with its page and attribute, or its memory level."""
    if (folder / "items.parquet").is_file():
        table = pl.read_parquet(folder / "items.parquet", glob=False)
    else:
        outputs = with_right(pl.read_parquet(folder / "outputs.parquet", glob=False))
        table = outputs.select(
            item=pl.col("fact_id"),
            unit=units_of(outputs),
            group=pl.col("level"),
            right=pl.col(RIGHT),
            part=pl.col("part"),
        )
    return table.filter(part="test").unique("item", keep="first", maintain_order=True).sort("item")


def _right(table: pl.DataFrame, asked: Sequence[str]) -> np.ndarray:
    return table.filter(pl.col("item").is_in(asked))["right"].to_numpy()


def _levels(groups: pl.Series) -> np.ndarray:
    """Memory levels; all as one where none is known."""
    return (groups.fill_null(-1) if groups.null_count() < len(groups) else groups.fill_null(0)).to_numpy()


def _search(folder: Path) -> Searched:
    """Its trials (of the first of several searches), and the gain of each search."""
    found = sorted((folder / "seeds").iterdir(), key=lambda one: int(one.name)) if (folder / "seeds").is_dir() else []
    searches = [one for one in found or [folder] if (one / "trials.parquet").is_file()]
    rungs = pl.read_parquet(searches[0] / "rungs.parquet", glob=False).filter(rung=0)["share"]
    gains = [gain for one in searches if (gain := _gain(one)) is not None]
    return Searched(float(rungs[0]) if len(rungs) else 1.0, _trials(searches[0]), gains)


def _trials(folder: Path) -> list[Tried]:
    """All that did not fail; one under way has no scores yet."""
    found = []
    for row in pl.read_parquet(folder / "trials.parquet", glob=False).iter_rows(named=True):
        if row["state"] == "failed":
            continue
        broken = row["state"] == "degenerate"
        settings = {
            name[len(_SETTING) :]: _plain(value)
            for name, value in row.items()
            if name.startswith(_SETTING) and value is not None
        }
        found.append(Tried(settings, None if broken else row["early"], None if broken else row["final"], broken))
    return found


def _plain(value: object) -> float | str:
    """A number as one; anything else by its name."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _gain(folder: Path) -> Estimate | None:
    """Of the best finalist by validation (the first) over the baseline; None where the baseline did not finish."""
    table = pl.read_parquet(folder / "test.parquet", glob=False).filter(part="test")
    if not table.height or (row := table.row(0, named=True))["gain"] is None:
        return None
    gain, low, high = (row[name] / 100 for name in ("gain", "gain_low", "gain_high"))
    return Estimate(gain, low, high, row["items"], "questions")
