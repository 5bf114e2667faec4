"""The drift chapter's record from the drift and ladder steps of a study."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recollect.core.estimates import Estimate
from recollect.core.workspace import read_manifest
from recollect.drift import DriftFound
from recollect.drift.compare import KNOWN
from recollect.drift.kl import Summary
from recollect.evaluate import RIGHT, with_right
from recollect.report.chapters.drift.record import (
    Drift,
    DriftCell,
    Ladder,
    ModuleChange,
    RepairExample,
    RepairName,
    divergence,
)
from recollect.report.page.chapter import Source
from recollect.report.page.evenly import evenly
from recollect.report.scores.record import CellName
from recollect.report.scores.steps import CellSteps, study_cells
from recollect.restore import USUAL_PERCENT, LadderFound

_PER_KIND = 3


def collect(source: Source) -> Drift | None:
    """Of a study that measured drift or repaired a model; None of anything else."""
    cells = study_cells(source)
    drifted = [(cell, folder) for cell in cells if (folder := cell.step("drift"))]
    climbed = [(cell, folder) for cell in cells if (folder := cell.step("ladder"))]
    if not drifted and not climbed:
        return None
    of = next((pair for pair in drifted if pair[0].step("ladder")), drifted[-1] if drifted else None)
    found = [(cell, DriftFound.read(folder)) for cell, folder in drifted]
    text = read_manifest(source.path).settings["drift"].get("text")
    return Drift(
        region=found[0][1].parameters.region if found else "decoder",
        general_text=text or ("pocket held-out text" if any(one.tokens.general for _, one in found) else ""),
        cells=[_cell(cell, one) for cell, one in found],
        modules_of=None if of is None else _name(of[0]),
        modules=[] if of is None else _modules(of[1]),
        ladders=[_ladder(cell, folder) for cell, folder in climbed],
        notes=list(dict.fromkeys(note for _, one in found for note in one.notes)),
    )


def _name(cell: CellSteps) -> CellName:
    return CellName(levels=cell.levels, size=cell.size, seed=cell.seed)


def _cell(cell: CellSteps, found: DriftFound) -> DriftCell:
    tokens = found.tokens
    answers, general, known = tokens.answers, tokens.general, tokens.known
    return DriftCell(
        **_name(cell).model_dump(),
        kl_paper=_divergence(tokens.first_tokens),
        kl_full=_divergence(answers.forward if answers else None),
        kl_general=_divergence(general.forward if general else None),
        kl_backward=answers.backward.mean if answers else None,
        kl_floor=answers.floor.mean if answers else None,
        general_base_loss=general.base_loss if general else None,
        general_tuned_loss=general.tuned_loss if general else None,
        known_base=known.base if known else None,
        known_tuned=known.tuned if known else None,
        share_top=found.share_top,
        unchanged=found.unchanged,
        one_ulp=found.one_ulp,
    )


def _divergence(found: Summary | None) -> Estimate | None:
    """A mean divergence with its interval; None without one."""
    if found is None or found.mean is None or found.se is None:
        return None
    return divergence(found.mean, found.se, found.n)


def _modules(folder: Path) -> list[ModuleChange]:
    table = pl.read_parquet(folder / "modules.parquet", glob=False)
    names = [name for name in ModuleChange.model_fields if name in table.columns]
    return [ModuleChange(**row) for row in table.select(names).iter_rows(named=True)]


def _ladder(cell: CellSteps, folder: Path) -> Ladder:
    settings, climbed = read_manifest(folder).settings, LadderFound.read(folder)
    outputs = with_right(pl.read_parquet(folder / "outputs.parquet", glob=False))
    names = ("best", "beats_tuned", "mean", "note")
    found = Ladder(
        **_name(cell).model_dump(),
        rungs=list(climbed.rungs),
        controls=list(climbed.controls),
        **{name: getattr(climbed, name) for name in names},
    )
    order, percent = _shown_rung(found, settings["order"])
    both = _side_by_side(outputs, order, percent)
    known = pl.col("level").is_in(KNOWN) | pl.col(RIGHT)
    was, now, then = pl.col(RIGHT), pl.col(f"{RIGHT}_tuned"), pl.col(f"{RIGHT}_repaired")
    rules: dict[RepairName, pl.Expr] = {
        "lost, regained": known & ~now & then,
        "lost, still lost": known & ~now & ~then,
        "elicited, kept": ~was & now & then,
        "elicited, lost again": ~was & now & ~then,
    }
    tuned = _rung(outputs, "tuned", 0.0)
    return found.model_copy(
        update={
            "region": settings["region"],
            "test_facts": tuned.filter(part="test").height,
            "ood_facts": tuned.filter(part="ood").height,
            "known_facts": tuned.filter(pl.col("level").is_in(KNOWN)).height,
            "examples": [one for kind, rule in rules.items() for one in _examples(both.filter(rule), kind)],
            "counts": {kind: both.filter(rule).height for kind, rule in rules.items()},
            "repaired_by": f"{order}, {percent:g} % set back",
        }
    )


def _shown_rung(found: Ladder, order: str) -> tuple[str, float]:
    """The chosen rung; where the tuned model itself was chosen, the main order's rung nearest to 20 %."""
    if found.best is not None and found.best.percent > 0:
        return found.best.order, found.best.percent
    percents = [rung.percent for rung in found.rungs if rung.order == order]
    return order, min(percents, key=lambda percent: abs(percent - USUAL_PERCENT))


def _side_by_side(outputs: pl.DataFrame, order: str, percent: float) -> pl.DataFrame:
    """The base's answers with the tuned and the repaired model's beside them."""
    found = _rung(outputs, "base", 100.0)
    for name, rung in (("tuned", ("tuned", 0.0)), ("repaired", (order, percent))):
        other = _rung(outputs, *rung).select("fact_id", "output", RIGHT)
        found = found.join(other, on="fact_id", suffix=f"_{name}", maintain_order="left")
    return found


def _rung(outputs: pl.DataFrame, order: str, percent: float) -> pl.DataFrame:
    return outputs.filter(order=order, percent=percent)


def _examples(rows: pl.DataFrame, kind: RepairName) -> list[RepairExample]:
    rows = rows.sort("level", "fact_id", descending=[True, False])
    return [
        RepairExample(
            question=row["question"],
            object=row["object"],
            accepted=[row["object"], *row["synonyms"]],
            level=row["level"],
            part=row["part"],
            base_answer=row["output"],
            tuned_answer=row["output_tuned"],
            repaired_answer=row["output_repaired"],
            base_right=row[RIGHT],
            tuned_right=row[f"{RIGHT}_tuned"],
            repaired_right=row[f"{RIGHT}_repaired"],
            kind=kind,
        )
        for row in rows[evenly(rows.height, _PER_KIND)].iter_rows(named=True)
    ]
