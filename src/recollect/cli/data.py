"""The command `data`: what is in a file, what a training will make of it, and a preview with the mask in colour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from recollect.chat import DataSettings
from recollect.cli.options import answer, command, console_out, note
from recollect.cli.printing import stage

if TYPE_CHECKING:
    from recollect.chat.found import DataReport, Spread
    from recollect.chat.preview import Piece, Preview
    from recollect.chat.step import DataResult

_STYLES = {"learned": "bold green", "read": "dim", "beyond": "bold red"}
_MARKS = {"learned": ("⟦", "⟧"), "read": ("", ""), "beyond": ("⟦✂", "⟧")}
_LEGEND = {"learned": "learned", "read": "read only", "beyond": "to be learned, but over the length limit"}
_LONGEST_PIECE = 360
_MOST_LINES = 16
_MOST_COLUMNS = 30


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "data", DataSettings, _data)


def _data(settings: DataSettings, out: Path | None, as_json: bool) -> None:
    from recollect.chat import run_data
    from recollect.report import write_data_page

    with stage("conversations", "conversations") as progress:
        result = run_data(settings, out, progress=progress)
    page = write_data_page(result)
    if not as_json:
        _print(result)
    note(f"page: {page}; each conversation with its findings: {result.path / 'rows.parquet'}")
    answer(result.found.plain(), as_json)


def _print(result: DataResult) -> None:
    from recollect.chat.findings import findings

    report = result.report
    console_out.print(Text(f"data {report.path}", style="bold"))
    console_out.print(_counts(result))
    if report.tokens or report.turns:
        console_out.print(_spreads(report))
    for finding in findings(result.found, report):
        mark = Text("! ", style="bold yellow") if finding.to_do else Text("· ", style="dim")
        console_out.print(_hanging(mark, _clean(finding.text)))
    if report.preview:
        legend = Text("\n")
        for kind in ("learned", "read", "beyond") if _has_beyond(report) else ("learned", "read"):
            legend += _marked(kind, _LEGEND[kind]) + Text("   ")
        console_out.print(legend)
    for number, one in enumerate(report.preview, start=1):
        console_out.print(_panel(one, f"{number} of {len(report.preview)}"))


def _hanging(mark: Text, text: str) -> Table:
    """A text with its mark before it, its further lines under the first."""
    grid = Table.grid()
    grid.add_row(mark, Text(text))
    return grid


def _counts(result: DataResult) -> Table:
    found, report = result.found, result.report
    table = Table.grid(padding=(0, 2))
    table.add_row("  format", ", ".join(f"{name} {count:,}" for name, count in report.formats.items()))
    columns = [f"{_clean(name[:60])} {count:,}" for name, count in report.columns.items()]
    left = [f"and {len(columns) - _MOST_COLUMNS:,} more"] if len(columns) > _MOST_COLUMNS else []
    table.add_row("  columns", ", ".join([*columns[:_MOST_COLUMNS], *left]))
    table.add_row("  rows", f"{found.rows:,}, kept {found.kept:,}, dropped {sum(found.dropped.values()):,}")
    table.add_row("  parts", ", ".join(f"{part} {count:,}" for part, count in report.parts.items()))
    return table


def _spreads(report: DataReport) -> Table:
    table = Table(box=None, padding=(0, 2), title_justify="left", header_style="dim")
    table.add_column("per conversation", no_wrap=True)
    for head in ("least", "10 %", "median", "90 %", "99 %", "most"):
        table.add_column(head, justify="right")
    for name, spread in (("turns", report.turns), ("tokens", report.tokens), ("learned", report.learned)):
        if spread is not None:
            table.add_row(name, *_values(spread))
    return table


def _values(spread: Spread) -> list[str]:
    values = (spread.smallest, spread.p10, spread.median, spread.p90, spread.p99, spread.largest)
    return [f"{value:,}" for value in values]


def _panel(one: Preview, title: str) -> Panel:
    text = Text()
    for index, pieces in enumerate(one.examples):
        if index:
            text.append("\n— and as another example —\n", style="italic dim")
        for piece in pieces:
            text += _marked(piece.kind, _shortened(piece))
    text.rstrip()
    lines = text.split("\n")
    if len(lines) > _MOST_LINES:
        left = len(lines) - _MOST_LINES + 1
        text = Text("\n").join([*lines[: _MOST_LINES - 1], Text(f"… {left:,} more lines", style="italic dim")])
    tokens = "" if one.tokens is None else f" · {one.learned:,} of {one.tokens:,} tokens learned"
    return Panel(text, title=Text(f"{title} · {_clean(one.source)}{tokens}"), title_align="left", border_style="dim")


def _marked(kind: str, text: str) -> Text:
    """A text in its colour; between marks where there is no colour."""
    before, after = ("", "") if console_out.color_system else _MARKS[kind]
    words = text.rstrip("\n")
    return Text(f"{before}{words}{after}{text[len(words) :]}", style=_STYLES[kind])


def _shortened(piece: Piece) -> str:
    text = _clean(piece.text)
    left = len(text) - _LONGEST_PIECE
    return text if left <= 20 else f"{text[: _LONGEST_PIECE // 2]} … [{left:,} more] … {text[-_LONGEST_PIECE // 2 :]}"


def _has_beyond(report: DataReport) -> bool:
    return any(piece.kind == "beyond" for one in report.preview for pieces in one.examples for piece in pieces)


def _clean(text: str) -> str:
    """Foreign text without what would move the cursor or turn the line around."""
    from recollect.report.page.text import clean

    return clean(text)
