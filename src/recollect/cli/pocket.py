"""The command `pocket build`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import ProgressLine, answer, command, machine_line
from recollect.cli.printing import print_pairs
from recollect.core.machine import prepare
from recollect.worlds.quiz import PocketSettings


def register(pocket: typer.Typer) -> None:
    """Add the command."""
    command(pocket, "build", PocketSettings, _pocket_build)


def _pocket_build(settings: PocketSettings, out: Path | None, as_json: bool) -> None:
    from recollect.facts import load_facts
    from recollect.worlds.quiz import run_pocket

    facts = load_facts(settings.facts) if settings.facts else None
    machine_line(("training", prepare()))
    with ProgressLine("training the pocket base", "steps") as progress:
        result = run_pocket(settings, facts, out, progress=progress)
    if not as_json:
        print_pairs("pocket base", result.summary())
    answer(result.summary(), as_json)
