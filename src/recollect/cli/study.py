"""The command `study`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from recollect.cli.options import answer, command, console, console_out, machine_line
from recollect.cli.printing import stage
from recollect.core.numbers import number
from recollect.experiments.study import StudySettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "study", StudySettings, study)


def study(settings: StudySettings, out: Path | None, as_json: bool) -> None:
    """Run a study, and print its table and verdict."""
    from recollect.experiments.study import machines, run_study

    machine_line(*machines(settings))
    result = run_study(settings, out, stage=stage)
    if not as_json:
        _cells_table(result.summary())
        _verdict(result.results)
        for text in result.results.notes:
            console_out.print(f"note: {text}")
    console.print(f"report: {result.report}  ({result.seconds:.0f} s)", soft_wrap=True)
    answer(result.summary(), as_json)


def _cells_table(summary: Mapping[str, Any]) -> None:
    sizes = sorted({cell["size"] for cell in summary["cells"]})
    names = list(dict.fromkeys(cell["levels"] for cell in summary["cells"]))
    base = summary["base"]
    console_out.print("macro accuracy in %, in-domain / out-of-domain (mean over seeds)", style="bold")
    table = Table()
    table.add_column("trained on")
    for size in sizes:
        table.add_column(f"{size:,} facts", justify="right")
    for name in names:
        row = []
        for size in sizes:
            found = [cell for cell in summary["cells"] if cell["levels"] == name and cell["size"] == size]
            pairs = [_mean([cell[key] for cell in found]) for key in ("macro", "ood_macro")]
            row.append(" / ".join(number(value) for value in pairs) if found else "too few facts")
        table.add_row(f"level {name}" if name.isdigit() else name, *row)
    if sizes:
        console_out.print(table)
    console_out.print(f"untouched base in the same prompt: {number(base['macro'])} / {number(base['ood_macro'])}")


def _verdict(results: Any) -> None:
    from recollect.report import verdict

    for line in verdict(results):
        console_out.print(f"• {line}")


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
