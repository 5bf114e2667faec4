"""The command `select`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import answer, command
from recollect.cli.printing import print_pairs
from recollect.core.workspace import read_manifest
from recollect.select import SelectSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "select", SelectSettings, _select)


def _select(settings: SelectSettings, out: Path | None, as_json: bool) -> None:
    from recollect.select import run_select

    result = run_select(settings, out=out)
    summary = {**read_manifest(result.path)["metrics"], "out": str(result.path)}
    if not as_json:
        print_pairs("selection", {key: value for key, value in summary.items() if not isinstance(value, dict)})
        print_pairs("by relation", summary["by_relation"])
        print_pairs("by level", summary["by_level"])
    answer(summary, as_json)
