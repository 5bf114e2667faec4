"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recollect.cli.options import ProgressLine, answer, command, console, console_out
from recollect.cli.printing import print_notes
from recollect.export.settings import ExportSettings

if TYPE_CHECKING:
    from recollect.export import ExportResult

_SHOWN = 5
ModelArgument = Annotated[str, typer.Argument(metavar="DIR", help="A trained model: a step directory or a folder.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "export", ExportSettings, _export, {"model": (ModelArgument, ...)})


def _export(settings: ExportSettings, out: Path | None, as_json: bool, model: str) -> None:
    from recollect.export import run_export

    with ProgressLine("exporting", "stages") as progress:
        result = run_export(settings, model, out=out, progress=progress)
    print_notes(result.found.notes)
    _say_parity(result)
    if not as_json:
        console_out.print(str(result.exported), soft_wrap=True)
    answer(result.answer(), as_json)
    if not result.passed:
        raise typer.Exit(1)


def _say_parity(result: ExportResult) -> None:
    found = result.found
    if found.parity is None:
        console.print(f"parity not checked: {found.unchecked}", soft_wrap=True)
        return
    for one in result.differing[:_SHOWN]:
        console.print(f"  {one.question}\n    original: {one.original!r}\n    export:   {one.export!r}", soft_wrap=True)
    if len(result.differing) > _SHOWN:
        console.print(
            f"  … and {len(result.differing) - _SHOWN} more, in {result.path / 'manifest.json'}", soft_wrap=True
        )
    low, high = 100 * found.parity.equal.low, 100 * found.parity.equal.high
    verdict = "at least" if result.passed else "less than"
    console.print(
        f"parity: {100 * found.parity.share:.1f} % of {found.parity.n} greedy answers are equal (95 % interval "
        f"{low:.1f} to {high:.1f}; asked in the {found.prompt}), {verdict} the bound of {100 * result.least:g} %",
        soft_wrap=True,
    )
