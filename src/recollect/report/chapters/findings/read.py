"""From the step folders of a study to the numbers that the tests of the findings need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from recollect.compare import Graded, read_probe
from recollect.core.estimates import Cell, Trainings, halves
from recollect.core.json_object import JsonObject
from recollect.core.workspace import MANIFEST, read_manifest
from recollect.drift import DriftFound
from recollect.errors import InputError
from recollect.evaluate import CONVERSATION, RIGHT, EvaluateResult, units_of, with_right
from recollect.report.chapters.findings.checks.studied import (
    BASE,
    FEW_SHOT,
    UNTRAINED,
    Climbed,
    Drifted,
    Ladders,
    Studied,
)
from recollect.report.scores.parts import Part
from recollect.report.scores.steps import CellSteps, study_cells

_NO_LEVEL = -1


def read(part: Part, model: str) -> Studied | None:
    """A study's numbers, its model called `model`; None where no trained model was asked."""
    cells, steps = study_cells(part.source), part.path / "steps"
    if not cells or not (steps / "base" / MANIFEST).is_file():
        return None
    answers: dict[Cell, list[pl.DataFrame]] = {BASE: [EvaluateResult(steps / "base").outputs()]}
    if (steps / "base-few-shot" / MANIFEST).is_file():
        answers[FEW_SHOT] = [EvaluateResult(steps / "base-few-shot").outputs()]
    for cell in cells:
        answers.setdefault((cell.levels, cell.size), []).append(cell.evaluation.outputs())
    test = _trainings(answers, "test")
    if test is None:
        return None
    return Studied(
        part.name,
        model,
        part.data,
        test,
        _trainings(answers, "ood"),
        _first_tokens(cells),
        _drifted(cells),
        _ladders(cells),
        _graded(part),
    )


def _trainings(answers: dict[Cell, list[pl.DataFrame]], part: str) -> Trainings | None:
    """Verdicts on the part's facts that all were asked; None without any."""
    tables = {cell: [_of_part(table, part) for table in several] for cell, several in answers.items()}
    every = [table for several in tables.values() for table in several]
    asked = set.intersection(*(set(table["fact_id"]) for table in every))
    if not asked:
        return None
    first = tables[BASE][0].filter(pl.col("fact_id").is_in(list(asked)))
    scores = {
        cell: np.stack([table.filter(pl.col("fact_id").is_in(list(asked)))[RIGHT].to_numpy() for table in several])
        for cell, several in tables.items()
    }
    return Trainings(scores, _levels(first), UNTRAINED, units=units_if_repeated(first))


def units_if_repeated(outputs: pl.DataFrame) -> Any | None:
    """What each row was drawn with, where subjects (or conversations) repeat; None where each was drawn alone."""
    units = units_of(outputs)
    return None if units.n_unique() == outputs.height else units.to_numpy()


def _of_part(table: pl.DataFrame, part: str) -> pl.DataFrame:
    return with_right(table).filter(pl.col("part") == part).sort("fact_id").unique("fact_id", maintain_order=True)


def _levels(table: pl.DataFrame) -> Any:
    return table["level"].fill_null(_NO_LEVEL).to_numpy()


def _first_tokens(cells: Sequence[CellSteps]) -> Trainings | None:
    """The KL of the first token, of the facts that every training has."""
    tables: dict[Cell, list[pl.DataFrame]] = defaultdict(list)
    for cell in cells:
        folder = cell.step("drift")
        if folder and (folder / "first_tokens.parquet").is_file():
            table = pl.read_parquet(folder / "first_tokens.parquet", columns=["fact_id", "kl"], glob=False)
            tables[cell.levels, cell.size].append(table.sort("fact_id"))
    every = [table for several in tables.values() for table in several]
    asked = sorted(set.intersection(*(set(table["fact_id"]) for table in every))) if every else []
    if not asked:
        return None
    scores = {
        cell: np.stack([table.filter(pl.col("fact_id").is_in(asked))["kl"].to_numpy() for table in several])
        for cell, several in tables.items()
    }
    return Trainings(scores, np.full(len(asked), 4), least=None, most=None)


def _drifted(cells: Sequence[CellSteps]) -> dict[Cell, list[Drifted]]:
    found: dict[Cell, list[Drifted]] = defaultdict(list)
    for cell in cells:
        if folder := cell.step("drift"):
            one = DriftFound.read(folder)
            answers, known, weights = one.tokens.answers, one.tokens.known, one.parameters
            found[cell.levels, cell.size].append(
                Drifted(
                    kl_task=answers.forward.mean if answers else None,
                    change=weights.norm_change / weights.norm_base if weights.norm_base else None,
                    known=known.tuned.value if known and known.tuned else None,
                    share_top=one.share_top.get("20"),
                )
            )
    return dict(found)


def _ladders(cells: Sequence[CellSteps]) -> Ladders | None:
    """The ladders of the cells of which every seed climbed the same rungs."""
    climbed: dict[Cell, list[pl.DataFrame]] = defaultdict(list)
    settings: JsonObject = {}
    for cell in cells:
        if folder := cell.step("ladder"):
            settings = settings or read_manifest(folder).settings
            table = pl.read_parquet(folder / "outputs.parquet", glob=False)
            climbed[cell.levels, cell.size].append(_of_ladder(table))
    every = [table for several in climbed.values() for table in several]
    if not every:
        return None
    asked = set.intersection(*(set(table["fact_id"]) for table in every))
    facts = every[0].filter(order="tuned").filter(pl.col("fact_id").is_in(list(asked)))
    if not facts.height:
        return None
    units = units_of(facts)
    choosing, _ = halves(facts["fact_id"].to_list(), facts["level"].to_list(), settings["seed"], units.to_list())
    return Ladders(
        {cell: Climbed(_rungs(several, asked)) for cell, several in climbed.items()},
        _levels(facts),
        facts["fact_id"].is_in(list(choosing)).to_numpy(),
        settings["order"],
        units_if_repeated(facts),
    )


def _of_ladder(table: pl.DataFrame) -> pl.DataFrame:
    table = with_right(table).filter(pl.col("part") == "test")
    kept = [name for name in ("fact_id", "subject", CONVERSATION, "part", "level") if name in table.columns]
    return table.select(*kept, "order", "percent", RIGHT).sort("fact_id")


def _rungs(several: Sequence[pl.DataFrame], asked: set[str]) -> dict[tuple[str, float], Any]:
    """Verdicts of the rungs that all ladders have, ladders x facts."""
    rungs = [
        {
            (str(order), float(percent)): rows[RIGHT].to_numpy()
            for (order, percent), rows in table.filter(pl.col("fact_id").is_in(list(asked))).group_by(
                "order", "percent", maintain_order=True
            )
        }
        for table in several
    ]
    shared = [rung for rung in rungs[0] if all(rung in one for one in rungs)]
    return {rung: np.stack([one[rung] for one in rungs]) for rung in shared}


def _graded(part: Part) -> Graded | None:
    """Memory levels as the chapter on models has them; None where the probe's table is gone or of an old version."""
    probe = part.path / "steps" / "probe"
    if not (probe / MANIFEST).is_file():
        return None
    try:
        return read_probe(probe, part.name).graded
    except InputError:
        return None
