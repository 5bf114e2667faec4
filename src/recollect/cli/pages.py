"""The command `pages`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from recollect.cli.options import ProgressLine, answer, command, console, console_out
from recollect.extraction.html.settings import PagesSettings


def register(app: typer.Typer) -> None:
    """Add `pages`."""
    command(app, "pages", PagesSettings, _pages)


def _pages(settings: PagesSettings, out: Path | None, as_json: bool) -> None:
    from recollect.extraction.html import run_pages

    with ProgressLine("reading pages", "pages") as progress:
        result = run_pages(settings, out, progress=progress)
    metrics = result.metrics
    if not as_json:
        parts = ", ".join(f"{name} {n:,}" for name, n in metrics["parts"].items())
        console_out.print(
            f"{metrics['pages']:,} pages of {metrics['hosts']:,} hosts, {metrics['errors']:,} refused; {parts}; "
            f"{metrics['truncated']:,} cut to the budget of {metrics['budgets'][-1]:,} tokens",
            soft_wrap=True,
        )
        if metrics["recall"]:
            _recall_table(metrics)
        console_out.print(str(result.path), soft_wrap=True)
    if metrics["errors"]:
        console.print(f"note: {metrics['errors']:,} pages could not be used; see the column error.", soft_wrap=True)
    if metrics["without_truth"]:
        console.print(f"note: {metrics['without_truth']:,} pages have no row in the truth.", soft_wrap=True)
    answer({**result.summary(), "out": str(result.path)}, as_json)


def _recall_table(metrics: Mapping[str, Any]) -> None:
    budgets = [str(budget) for budget in metrics["budgets"]]
    title = "pages whose text holds the true value, in % (95 % interval below), by budget of tokens"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("attribute", "n", "raw HTML", "all lines", *(f"{int(budget):,}" for budget in budgets)):
        table.add_column(name, justify="left" if name == "attribute" else "right", no_wrap=name in ("attribute", "n"))
    for attribute, row in metrics["recall"].items():
        cells = (_share(row[place]) for place in ("raw", "all", *budgets))
        table.add_row(attribute, str(row["raw"]["n"]), *cells)
    console_out.print(table)


def _share(cell: Mapping[str, Any]) -> str:
    return f"{100 * cell['share']:.1f}\n{100 * cell['low']:.0f}–{100 * cell['high']:.0f}"
