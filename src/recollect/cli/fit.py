"""The command `fit`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import answer, command, console, console_out, machine_line, note
from recollect.cli.printing import stage
from recollect.experiments.fit import FitSettings


def register(app: typer.Typer) -> None:
    """Add `fit`."""
    command(app, "fit", FitSettings, _fit)


def _fit(settings: FitSettings, out: Path | None, as_json: bool) -> None:
    from recollect.experiments.fit import machines, run_fit

    machine_line(*machines(settings))
    result = run_fit(settings, out, stage=stage, say=note)
    if not as_json:
        for line in result.found.advice:
            console_out.print(f"• {line}", soft_wrap=True)
    console.print(f"model: {result.model}", soft_wrap=True)
    console.print(f"report: {result.report}", soft_wrap=True)
    answer(result.answer, as_json)
