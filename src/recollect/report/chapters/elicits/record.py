"""The scores of a study's base and trained models, from their evaluate steps, and the choice that is best."""

from __future__ import annotations

from pathlib import Path

from recollect.core.workspace import read_manifest
from recollect.evaluate import EvaluateResult
from recollect.report.chapters.elicits.judge import judge
from recollect.report.page.chapter import Source
from recollect.report.scores.record import BaseScores, Cell, Scores, Trained
from recollect.report.scores.steps import CellSteps, is_about_pages, scores, study_cells
from recollect.train import TrainFound


def collect(source: Source) -> Trained | None:
    """Of a study of facts; None of anything else."""
    if source.step != "study" or is_about_pages(source):
        return None
    folder = source.path / "steps" / "base"
    base, cells = EvaluateResult(folder), study_cells(source)
    asked = base.found.accuracy
    seed, least = read_manifest(source.path).settings["seed"], read_manifest(folder).settings["least_per_level"]
    answers = [(cell.levels, cell.size, cell.evaluation.outputs()) for cell in cells]
    return Trained(
        base=BaseScores(test=scores(asked.get("test")) or Scores(), ood=scores(asked.get("ood"))),
        cells=[_cell(cell) for cell in cells],
        best=judge(base.outputs(), answers, seed=seed, least=least),
    )


def _cell(cell: CellSteps) -> Cell:
    accuracy, training = cell.evaluation.found.accuracy, cell.step("train")
    return Cell(
        levels=cell.levels,
        size=cell.size,
        seed=cell.seed,
        test=scores(accuracy.get("test")) or Scores(),
        ood=scores(accuracy.get("ood")),
        train_seconds=TrainFound.read(training).seconds if training else None,
    )


def missing_levels(base: Path) -> list[str]:
    """Which memory levels the test facts lack, as the base's evaluation counted them."""
    parts = EvaluateResult(base).found.accuracy
    notes = []
    for where, found in (("in-domain", parts.get("test")), ("out-of-domain", parts.get("ood"))):
        if found is None:
            continue
        if found.missing:
            levels = ", ".join(found.missing)
            notes.append(f"No {where} test fact has level {levels}; the macro score is the mean of the others.")
        if found.left_out:
            which = f"Level {found.left_out[0]} has"
            if len(found.left_out) > 1:
                which = f"Levels {', '.join(found.left_out)} have"
            notes.append(f"{which} too few {where} test facts to enter the macro score (evaluate's least_per_level).")
        if found.without_level:
            notes.append(
                f"{found.without_level:,} of {found.n:,} {where} test facts have no level: they count in micro only."
            )
    return notes
