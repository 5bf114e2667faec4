"""The command `evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from recollect.cli.label import page_score_tables
from recollect.cli.options import ProgressLine, answer, command, console_out, machine_line
from recollect.cli.printing import print_notes, with_interval
from recollect.evaluate import EvaluateSettings
from recollect.models import machine_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "evaluate", EvaluateSettings, _evaluate)


def _evaluate(settings: EvaluateSettings, out: Path | None, as_json: bool) -> None:
    from recollect.evaluate import run_evaluate

    machine_line(("asking", machine_of(settings)))
    with ProgressLine("asking", "questions") as progress:
        result = run_evaluate(settings, out=out, progress=progress)
    summary = {"ood": None, **result.summary(), "notes": result.notes(), "out": str(result.path)}
    if not as_json:
        print_notes(summary["notes"])
        (page_score_tables if "by_attribute" in summary else _score_table)(summary)
        console_out.print(str(result.path), soft_wrap=True)
    answer(summary, as_json)


def _score_table(summary: Mapping[str, Any]) -> None:
    names = {"test": "in-domain test", "ood": "out-of-domain", "train": "train"}
    first = summary.get("part", "test")
    parts = {names[part]: summary if part == first else summary.get(part) for part in names}
    shown = {name: part for name, part in parts.items() if part and part.get("micro") is not None}
    table = Table(title="accuracy in % (95 % interval)", title_justify="left", title_style="bold")
    table.add_column("memory level")
    for name in shown:
        table.add_column("facts", justify="right")
        table.add_column(name, justify="right")
    for level in range(5):
        row = []
        for part in shown.values():
            cell = (part.get("by_level") or {}).get(str(level), {})
            left_out = " *" if str(level) in part.get("levels_left_out", ()) else ""
            row += [f"{cell.get('n', 0):,}", with_interval(cell, "accuracy", "") + left_out]
        table.add_row(str(level), *row)
    if any(part.get("without_level") for part in shown.values()):
        table.add_row("unknown", *(text for part in shown.values() for text in (f"{part['without_level']:,}", "")))
    table.add_section()
    for name, n in (("macro", "macro_n"), ("micro", "n")):
        values = [
            text for part in shown.values() for text in (f"{part.get(n, 0):,}", with_interval(part, name, f"{name}_"))
        ]
        table.add_row(name, *values)
    console_out.print(table)
    for line in _score_notes(shown):
        console_out.print(line, soft_wrap=True)


def _score_notes(shown: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What the macro holds, where that is not all five levels."""
    if any(part.get("levels_left_out") for part in shown.values()):
        yield "* too few facts to enter the macro (--least-per-level)"
    for name, part in shown.items():
        if note := part.get("note"):
            yield f"{name}: {note}"
        elif len(entered := part.get("macro_levels", ())) < 5:
            yield f"{name}: macro over level {', '.join(entered)}; micro over all {part['n']:,} facts"
