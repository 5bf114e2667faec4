"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recollect.cli.options import answer, console_out
from recollect.core.workspace import update_checksums


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", help="Write the report page again, or one from evaluations of pages.")(_report)


def _report(
    found: Annotated[
        list[Path],
        typer.Argument(help="A study or curve, a results.json, or evaluate and score steps about pages, side by side."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the page. Default: the study's own; for other steps recollect-report."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    from recollect.report import has_page_scores, report_results, write_report

    results = report_results(found)
    own = found[0] if found[0].is_dir() else found[0].parent
    page = write_report(results, out or (Path("recollect-report") if has_page_scores(found[0]) else own))
    update_checksums(page.parent)  # the page of a finished study was made anew
    if not as_json:
        console_out.print(str(page), soft_wrap=True)
    answer({"report": str(page)}, as_json)
