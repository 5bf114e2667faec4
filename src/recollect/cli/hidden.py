"""The command `hidden`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import ProgressLine, answer, command, console_out, machine_line
from recollect.cli.printing import print_notes, print_pairs
from recollect.core.numbers import estimate, many
from recollect.engines import asking_machine
from recollect.hidden import HiddenFound, HiddenSettings


def register(app: typer.Typer) -> None:
    """Add `hidden`."""
    command(app, "hidden", HiddenSettings, _hidden)


def _hidden(settings: HiddenSettings, out: Path | None, as_json: bool) -> None:
    from recollect.hidden import run_hidden

    machine_line(("ranking", asking_machine(settings)))
    with ProgressLine("ranking", "answers") as progress:
        result = run_hidden(settings, out=out, progress=progress)
    if not as_json:
        found = result.found
        called = {f"called {name}": getattr(found, name) for name in ("hidden", "absent", "undecided")}
        print_pairs(f"{many(found.level_0, 'fact')} at level 0, whose answer the model never gave", called)
        for line in _in_words(found):
            console_out.print(line, soft_wrap=True)
        print_notes(found.notes)
        console_out.print(str(result.path), soft_wrap=True)
    answer({**result.found.plain(), "out": str(result.path)}, as_json)


def _in_words(found: HiddenFound) -> list[str]:
    """Two questions with an answer each: how many are hidden, and which ones."""
    how_many = "How many are hidden cannot be told: there are too few other answers to rank the right ones against."
    if found.share is not None:
        how_many = (
            f"How many are hidden: about {estimate(found.share)} % of {found.share.n:,}, or more: a weak trace does "
            "not count. It follows from the ranks of all their right answers together, less what chance would give."
        )
    which = f"Which ones: {found.hidden:,} are clear enough to be named"
    if found.hidden:
        which += f" (at most {100 * found.fdr:g} % of those named are expected to be chance)"
    if found.absent:
        which += ". Absent means no more than not clear enough: hidden facts can be among them"
    if found.undecided:
        which += ". Undecided: too few other answers to tell, or too many facts share the answer"
    return [how_many, f"{which}."]
