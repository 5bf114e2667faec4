"""Terminal tables of what was read from pages: attributes down, models across, one table per part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from recollect.cli.options import console_out

if TYPE_CHECKING:
    from recollect.core.estimates import Estimate
    from recollect.report import AttributeSystem


def print_attributes(folder: Path) -> None:
    """The tables of a report folder; nothing where it is not about pages."""
    from recollect.report import Attributes, attribute_rows, read_results

    found = read_results(folder).of(Attributes)
    for title, rows in attribute_rows(found) if found else ():
        names = list(rows[0].scores)  # macro first
        table = Table(
            title=f"{title}: right values in %, by number of training examples",
            title_justify="left",
            title_style="bold",
        )
        table.add_column("attribute", no_wrap=True)
        for row in rows:
            table.add_column(_head(row.system), justify="right")
        for name in names:
            table.add_row(name, *(_number(row.scores[name]) for row in rows), end_section=name == names[0])
        table.add_section()
        table.add_row("no JSON", *(_number(row.invalid) for row in rows))
        console_out.print(table)


def _head(system: AttributeSystem) -> str:
    """The size alone for a trained model: eight columns must fit into a terminal."""
    return f"{system.size:,}" if system.kind == "tuned" and system.size else system.name


def _number(score: Estimate | None) -> str:
    return "–" if score is None else f"{score.percent[0]:.1f}"
