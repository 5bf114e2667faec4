"""The command `select`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import answer, command
from recollect.cli.printing import print_pairs
from recollect.select import SelectSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "select", SelectSettings, _select)


def _select(settings: SelectSettings, out: Path | None, as_json: bool) -> None:
    from recollect.select import run_select

    result = run_select(settings, out=out)
    if not as_json:
        print_pairs("selection", {"size": result.found.size, "out": str(result.path)})
        print_pairs("by relation", result.found.by_relation)
        print_pairs("by level", result.found.by_level)
    answer({**result.found.plain(), "out": str(result.path)}, as_json)
