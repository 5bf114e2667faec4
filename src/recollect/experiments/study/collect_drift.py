"""From the drift and ladder steps of a study to the report's drift chapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from recollect.drift import DriftResult
from recollect.experiments.study.cells import StudyParts, TrainedCell
from recollect.report import Accuracy, CellName, Drift, DriftCell, Ladder, ModuleChange, RepairExample
from recollect.restore import USUAL_PERCENT, LadderResult, LadderSettings

_PER_KIND = 3
_KNOWN = (3, 4)


def collect_drift(cells: Sequence[TrainedCell], parts: StudyParts) -> Drift | None:
    """The chapter's numbers; None when the study measured no drift and repaired nothing."""
    drifted = [(cell, cell.drift) for cell in cells if cell.drift is not None]
    climbed = [(cell, cell.ladder) for cell in cells if cell.ladder is not None]
    if not drifted and not climbed:
        return None
    of = next((pair for pair in drifted if pair[0].ladder is not None), drifted[-1] if drifted else None)
    notes = dict.fromkeys(note for _, drift in drifted for note in drift.found.notes)
    return Drift(
        region=parts.drift.region,
        general_text=parts.drift.text or "pocket held-out text",
        cells=[_cell(cell, drift) for cell, drift in drifted],
        modules_of=None if of is None else CellName(**_name(of[0])),
        modules=[] if of is None else _modules(of[1]),
        ladders=[_ladder(cell, ladder, parts.ladder) for cell, ladder in climbed],
        notes=list(notes),
    )


def _name(cell: TrainedCell) -> dict[str, Any]:
    return {"levels": cell.levels, "size": cell.size, "seed": cell.seed}


def _cell(cell: TrainedCell, drift: DriftResult) -> DriftCell:
    found, tokens = drift.found, drift.found.tokens
    answers, general, known = tokens.answers, tokens.general, tokens.known
    values: dict[str, Any] = {}
    for name, source in (
        ("kl_paper", tokens.first_tokens),
        ("kl_full", answers.forward if answers else None),
        ("kl_general", general.forward if general else None),
    ):
        if source and source.n:
            values |= {name: source.mean, f"{name}_se": source.se, f"{name}_n": source.n}
    if answers:
        values |= {"kl_backward": answers.backward.mean, "kl_floor": answers.floor.mean}
    if general:
        values |= {"general_base_loss": general.base_loss, "general_tuned_loss": general.tuned_loss}
    for name, accuracy in (("known_base", known and known.base), ("known_tuned", known and known.tuned)):
        if accuracy:
            value, low, high = accuracy.percent
            values[name] = Accuracy(accuracy=value, low=low, high=high, n=accuracy.n)
    shares = {"share_top": found.share_top, "unchanged": found.unchanged, "one_ulp": found.one_ulp}
    return DriftCell(**_name(cell), **values, **shares)


def _modules(drift: DriftResult) -> list[ModuleChange]:
    table = pl.read_parquet(drift.path / "modules.parquet", glob=False)
    names = [name for name in ModuleChange.model_fields if name in table.columns]
    return [ModuleChange(**row) for row in table.select(names).iter_rows(named=True)]


def _ladder(cell: TrainedCell, ladder: LadderResult, settings: LadderSettings) -> Ladder:
    outputs = ladder.outputs()
    order, percent = _shown_rung(ladder, settings)
    sides = [_rung(outputs, *rung) for rung in (("base", 100.0), ("tuned", 0.0), (order, percent))]
    both = (
        sides[0]
        .join(sides[1].select("fact_id", "output", "contains"), on="fact_id", suffix="_tuned", maintain_order="left")
        .join(sides[2].select("fact_id", "output", "contains"), on="fact_id", suffix="_repaired", maintain_order="left")
    )
    known = pl.col("level").is_in(_KNOWN) | pl.col("contains")
    rules = {
        "lost, regained": known & ~pl.col("contains_tuned") & pl.col("contains_repaired"),
        "lost, still lost": known & ~pl.col("contains_tuned") & ~pl.col("contains_repaired"),
        "woken, kept": ~pl.col("contains") & pl.col("contains_tuned") & pl.col("contains_repaired"),
        "woken, lost again": ~pl.col("contains") & pl.col("contains_tuned") & ~pl.col("contains_repaired"),
    }
    tuned = sides[1]
    return Ladder.of(
        ladder.found,
        **_name(cell),
        region=settings.region,
        test_facts=tuned.filter(pl.col("part") == "test").height,
        ood_facts=tuned.filter(pl.col("part") == "ood").height,
        known_facts=tuned.filter(pl.col("level").is_in(_KNOWN)).height,
        examples=[example for kind, rule in rules.items() for example in _examples(both.filter(rule), kind)],
        counts={kind: both.filter(rule).height for kind, rule in rules.items()},
        repaired_by=f"{order}, {percent:g} % set back",
    )


def _shown_rung(ladder: LadderResult, settings: LadderSettings) -> tuple[str, float]:
    """The chosen rung; where the tuned model itself was chosen, the main order's rung nearest to 20 %."""
    best = ladder.found.best
    if best is not None and best.percent > 0:
        return best.order, best.percent
    percents = [rung.percent for rung in ladder.found.rungs if rung.order == settings.order]
    return settings.order, min(percents, key=lambda percent: abs(percent - USUAL_PERCENT))


def _rung(outputs: pl.DataFrame, order: str, percent: float) -> pl.DataFrame:
    return outputs.filter((pl.col("order") == order) & (pl.col("percent") == percent))


def _examples(rows: pl.DataFrame, kind: str) -> list[RepairExample]:
    rows = rows.sort("level", "fact_id", descending=[True, False])
    places = sorted({round(at * (rows.height - 1) / max(1, _PER_KIND - 1)) for at in range(_PER_KIND)})
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
            base_right=row["contains"],
            tuned_right=row["contains_tuned"],
            repaired_right=row["contains_repaired"],
            kind=kind,
        )
        for row in (rows[places].iter_rows(named=True) if rows.height else ())
    ]
