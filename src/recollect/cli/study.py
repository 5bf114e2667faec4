"""The command `study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from recollect.cli.findings import findings_answer, print_findings
from recollect.cli.options import FAILED, answer, command, console, console_out, machine_line, note, print_table, warn
from recollect.cli.plan import DRY_RUN, with_plan
from recollect.cli.printing import print_attributes, stage
from recollect.core.estimates import Estimate
from recollect.core.numbers import interval, number
from recollect.core.workspace.experiment import by_reason
from recollect.experiments.study import StudySettings

if TYPE_CHECKING:
    from recollect.experiments.plan import Plan
    from recollect.experiments.study import GridResult, StudyResult
    from recollect.report import Attributes, Trained


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "study", StudySettings, with_plan(study, _plan, _script), DRY_RUN, takes_file=True)


def _script(settings: StudySettings, out: Path | None) -> str:
    """What executor slurm would submit."""
    from recollect.experiments.study.slurm import sbatch_script, study_folder

    return sbatch_script(settings, study_folder(out)) if settings.executor == "slurm" else ""


def _plan(settings: StudySettings, **given: Any) -> Plan:
    from recollect.experiments.plan import plan_study

    return plan_study(settings, **given)


def study(settings: StudySettings, out: Path | None, as_json: bool) -> None:
    """Run a study, and print its table and verdict; with several models, data or methods a grid."""
    from recollect.experiments.study import check_study, run_grid, run_study
    from recollect.report import Trained

    check_study(settings)
    _machines(settings)
    result: StudyResult | GridResult
    if settings.is_grid:
        result = run_grid(settings, out, stage=stage, say=note, warn=warn)
        if not as_json:
            _print_grid(result)
        found = grid_answer(result)
    else:
        result = run_study(settings, out, stage=stage, say=note)
        trained = result.results.of(Trained) or Trained()
        if not as_json:
            _print_study(result, trained)
        found = study_answer(result, trained)
    if result.before:
        told = f"finished before: {result.reused:,} of {result.found.steps:,} steps were there"
        console.print(f"{told}; it took {result.found.seconds:.0f} s then", soft_wrap=True)
        console.print(f"report: {result.report}", soft_wrap=True)
    else:
        if result.reused:
            told = f"{result.reused:,} of {result.found.steps:,} steps were there before"
            console.print(told, soft_wrap=True)
        console.print(f"report: {result.report}  ({result.found.seconds:.0f} s)", soft_wrap=True)
    answer(found, as_json)
    if result.failed:
        console.print(f"{len(result.failed)} failed; the same command tries that again.", soft_wrap=True)
        raise typer.Exit(FAILED)


def _machines(settings: StudySettings) -> None:
    from recollect.experiments.study import grid_parts, machines

    parts = [part.settings for part in grid_parts(settings)] if settings.is_grid else [settings]
    machine_line(*dict.fromkeys(line for part in parts for line in machines(part)))


def _print_study(result: StudyResult, trained: Trained) -> None:
    from recollect.report import Attributes, verdict

    if result.results.of(Attributes):
        print_attributes(result.path)
    else:
        _cells_table(trained)
        for line in verdict(result.results):
            console_out.print(f"• {line}")
    print_findings(result.results)
    for text in result.results.notes:
        console_out.print(f"note: {text}")


def _print_grid(result: GridResult) -> None:
    from recollect.report.chapters.parts.view import context

    found = context(result.results)
    table = Table(
        title="accuracy in %, on the in-domain questions that did not choose the best (95 % interval)",
        title_justify="left",
        title_style="bold",
    )
    for name in ("study", "models", "n", "base", "best", "gain over the base"):
        table.add_column(name, justify="left" if name == "study" else "right")
    for row in found.rows if found else ():
        part = row.part
        base, best = (_lines(one) if one else number(None) for one in (part.base_beside, part.best))
        gain = "\n".join(filter(None, (row.gain, row.ends and f"({row.ends})", row.claim)))
        n = f"{part.best.n:,}" if part.best else number(None)
        table.add_row(part.name, f"{part.models:,}", n, base, best, gain)
    print_table(table)
    print_findings(result.results)
    for reason, names in by_reason(result.failed).items():
        console_out.print(f"failed: {', '.join(names)}: {reason}", soft_wrap=True)


def _lines(score: Estimate) -> str:
    """A score over its interval, which makes the column narrow."""
    value, low, high = score.percent
    return f"{number(value)}\n({interval(low, high)})"


def _common(result: StudyResult | GridResult) -> dict[str, object]:
    """What a study and a grid answer alike."""
    return {
        "report": str(result.report),
        "seconds": result.found.seconds,
        "steps": result.found.steps,
        "reused": result.reused,
        "failed": len(result.failed),
        "findings": findings_answer(result.results),
        "out": str(result.path),
    }


def grid_answer(result: GridResult) -> dict[str, object]:
    """The JSON answer of a grid."""
    return {**_common(result), "parts": {name: str(path) for name, path in result.parts.items()}}


def study_answer(result: StudyResult, trained: Trained) -> dict[str, object]:
    """The JSON answer; scores in percent (docs/study.md)."""
    from recollect.report import Attributes

    if (pages := result.results.of(Attributes)) is not None:
        return {**_common(result), **_of_pages(pages), "best": None}
    base = trained.base
    return {
        **_common(result),
        "base": {
            "macro": _percent(base.test.macro if base else None)[0],
            "ood_macro": _percent(base.ood.macro if base and base.ood else None)[0],
        },
        "cells": [
            {
                "levels": cell.levels,
                "size": cell.size,
                "seed": cell.seed,
                **dict(zip(("macro", "macro_low", "macro_high"), _percent(cell.test.macro), strict=True)),
                "ood_macro": _percent(cell.ood.macro if cell.ood else None)[0],
            }
            for cell in trained.cells
        ],
        "best": trained.best.model_dump(mode="json") if trained.best else None,
    }


def _of_pages(found: Attributes) -> dict[str, object]:
    """Means over the attributes, of known shops and of new ones."""
    base = next((one for one in found.systems if one.kind == "base"), None)
    test, ood = (one[0].macro if one else None for one in ((base.test, base.ood) if base else ((), ())))
    cells = []
    for system in found.systems:
        new = {run.seed: run.macro for run in system.ood}
        for run in system.test if system.kind == "tuned" else ():
            scores = dict(zip(("macro", "macro_low", "macro_high"), _percent(run.macro), strict=True))
            beside = {"ood_macro": _percent(new.get(run.seed))[0]}
            cells.append({"levels": "random", "size": system.size, "seed": run.seed, **scores, **beside})
    cells.sort(key=lambda cell: (str(cell["seed"]), str(cell["size"])))
    return {"base": {"macro": _percent(test)[0], "ood_macro": _percent(ood)[0]}, "cells": cells}


def _cells_table(trained: Trained) -> None:
    """Choices down, sizes across."""
    sizes = sorted({cell.size for cell in trained.cells})
    console_out.print("macro accuracy in %, in-domain / out-of-domain (mean over seeds)", style="bold")
    table = Table()
    table.add_column("trained on")
    for size in sizes:
        table.add_column(f"{size:,} facts", justify="right")
    for name in dict.fromkeys(cell.levels for cell in trained.cells):
        row = []
        for size in sizes:
            found = [cell for cell in trained.cells if (cell.levels, cell.size) == (name, size)]
            test = _mean([cell.test.macro for cell in found])
            ood = _mean([cell.ood.macro if cell.ood else None for cell in found])
            row.append(f"{test} / {ood}" if found else "too few facts")
        table.add_row(f"level {name}" if name.isdigit() else name, *row)
    if sizes:
        print_table(table)
    base = trained.base
    test, ood = (_mean([one.macro if one else None]) for one in (base and base.test, base and base.ood))
    console_out.print(f"untouched base in the same prompt: {test} / {ood}")


def _mean(scores: list[Estimate | None]) -> str:
    known = [score.percent[0] for score in scores if score is not None]
    return number(sum(known) / len(known) if known else None)


def _percent(score: Estimate | None) -> tuple[float, float, float] | tuple[None, None, None]:
    return (None, None, None) if score is None else score.percent
