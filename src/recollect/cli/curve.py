"""The command `curve`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from recollect.cli.attribute_tables import print_attributes
from recollect.cli.options import answer, command, console, console_out, machine_line
from recollect.cli.printing import print_notes, stage
from recollect.experiments.curve import CurveResult, CurveSettings

PARTS = {"test": "in-domain", "ood": "out-of-domain"}


def register(app: typer.Typer) -> None:
    """Add `curve`."""
    command(app, "curve", CurveSettings, run_and_print)


def run_and_print(settings: CurveSettings, out: Path | None, as_json: bool) -> None:
    """Run a curve, and print its table and verdict."""
    from recollect.experiments.curve import machines, run_curve

    if settings.scores is None:
        machine_line(*machines(settings))
    result = run_curve(settings, out, stage=stage)
    if not as_json:
        _print(result)
    print_notes(result.metrics["notes"])
    console.print(f"report: {result.report}", soft_wrap=True)
    answer(result.summary(), as_json)


def _print(result: CurveResult) -> None:
    found = {result.metrics["part"]: result.metrics}
    found |= {part: value for part, value in result.metrics.items() if part in result.metrics["lines"] and value}
    console_out.print(_table(found))
    print_attributes(result.path)
    for part, lines in result.metrics["lines"].items():
        console_out.print(PARTS.get(part, part), style="bold")
        for line in lines:
            console_out.print(f"  {line}", soft_wrap=True)


def _table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Sizes down, parts across: mean score with its interval."""
    first = next(iter(found.values()))
    percent = f"{100 * first['confidence']:.0f} % interval"
    table = Table(
        title=f"{first.get('scored') or 'score'} by training size ({percent})", title_justify="left", title_style="bold"
    )
    for name in ("examples", "runs", *(PARTS.get(part, part) for part in found)):
        table.add_column(name, justify="right")
    sizes = sorted({size for one in found.values() for size in one["sizes"]})
    for size in sizes:
        runs = [one["repeats"][one["sizes"].index(size)] for one in found.values() if size in one["sizes"]]
        table.add_row(f"{size:,}", str(max(runs)), *(_cell(one, size) for one in found.values()))
    return table


def _cell(curve: Mapping[str, Any], size: int) -> str:
    if size not in curve["sizes"]:
        return "–"
    at = curve["sizes"].index(size)
    return f"{curve['scores'][at]:.1f} ({curve['scores_low'][at]:.1f}–{curve['scores_high'][at]:.1f})"
