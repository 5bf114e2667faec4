"""The command `hidden`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import ProgressLine, answer, command, console_out, machine_line
from recollect.cli.printing import print_notes, print_pairs
from recollect.core.numbers import estimate
from recollect.hidden import HiddenFound, HiddenSettings
from recollect.models import machine_of


def register(app: typer.Typer) -> None:
    """Add `hidden`."""
    command(app, "hidden", HiddenSettings, _hidden)


def _hidden(settings: HiddenSettings, out: Path | None, as_json: bool) -> None:
    from recollect.hidden import run_hidden

    machine_line(("ranking", machine_of(settings)))
    with ProgressLine("ranking", "subjects") as progress:
        result = run_hidden(settings, out=out, progress=progress)
    if not as_json:
        found = result.found
        print_pairs("facts of level 0", {name: getattr(found, name) for name in ("hidden", "absent", "undecided")})
        console_out.print(_in_words(found), soft_wrap=True)
        print_notes(found.notes)
        console_out.print(str(result.path), soft_wrap=True)
    answer({**result.found.plain(), "out": str(result.path)}, as_json)


def _in_words(found: HiddenFound) -> str:
    rate = f"of those called hidden, {100 * found.fdr:g} % at most are expected to be so by chance"
    if found.share is None:
        return f"too few other answers to say what share is hidden; {rate}"
    return f"without calling any: at least about {estimate(found.share)} % of {found.share.n:,} are hidden; {rate}"
