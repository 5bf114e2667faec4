"""The command `pages`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from recollect.cli.options import ProgressLine, answer, command, console, console_out, print_table
from recollect.extraction.html.settings import PagesSettings

if TYPE_CHECKING:
    from recollect.extraction.html import PagesFound


def register(app: typer.Typer) -> None:
    """Add `pages`."""
    command(app, "pages", PagesSettings, _pages)


def _pages(settings: PagesSettings, out: Path | None, as_json: bool) -> None:
    from recollect.extraction.html import run_pages

    with ProgressLine("reading pages", "pages") as progress:
        result = run_pages(settings, out, progress=progress)
    found = result.found
    if not as_json:
        parts = ", ".join(f"{name} {n:,}" for name, n in found.parts.items())
        console_out.print(
            f"{found.pages:,} pages of {found.hosts:,} hosts, {found.errors:,} refused; {parts}; "
            f"{found.truncated:,} cut to the budget of {found.budgets[-1]:,} tokens",
            soft_wrap=True,
        )
        if found.recall:
            _recall_table(found)
        console_out.print(str(result.path), soft_wrap=True)
    if found.errors:
        console.print(f"note: {found.errors:,} pages could not be used; see the column error.", soft_wrap=True)
    if found.without_truth:
        console.print(f"note: {found.without_truth:,} pages have no row in the truth.", soft_wrap=True)
    shares = {name: {place: cell.value for place, cell in row.items()} for name, row in found.recall.items()}
    recall = {name: {str(budget): row[str(budget)] for budget in found.budgets} for name, row in shares.items()}
    counts = {"pages": found.pages, "errors": found.errors, "parts": found.parts}
    ceiling = {name: row["raw"] for name, row in shares.items()}
    answer({**counts, "recall": recall, "ceiling": ceiling, "out": str(result.path)}, as_json)


def _recall_table(found: PagesFound) -> None:
    title = "pages whose text holds the true value, in % (95 % interval below), by budget of tokens"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("attribute", "n", "raw HTML", "all lines", *(f"{budget:,}" for budget in found.budgets)):
        table.add_column(name, justify="left" if name == "attribute" else "right", no_wrap=name in ("attribute", "n"))
    for attribute, row in found.recall.items():
        cells = [row[place].percent for place in ("raw", "all", *map(str, found.budgets))]
        shown = (f"{share:.1f}\n{low:.0f}–{high:.0f}" for share, low, high in cells)
        table.add_row(attribute, str(row["raw"].n), *shown)
    print_table(table)
