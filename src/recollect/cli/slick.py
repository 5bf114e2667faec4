"""The command `slick`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import ProgressLine, answer, command, machine_line
from recollect.cli.printing import print_notes, print_pairs
from recollect.models import machine_of
from recollect.probe import SlickSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "slick", SlickSettings, _slick)


def _slick(settings: SlickSettings, out: Path | None, as_json: bool) -> None:
    from recollect.facts import load_facts
    from recollect.probe import run_slick

    facts = load_facts(settings.facts)
    machine_line(("grading", machine_of(settings)))
    with ProgressLine("grading", "facts") as progress:
        result = run_slick(settings, facts, out, progress=progress)
    if not as_json:
        print_notes(result.found.notes)
        print_pairs("SliCK categories", {**result.found.categories, "out": str(result.path)})
    answer({**result.found.plain(), "out": str(result.path)}, as_json)
