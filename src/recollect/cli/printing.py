"""What several commands print: pairs, notes, progress of stages, the tables of attributes of pages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from recollect.cli.options import ProgressLine, console_out, note, print_table
from recollect.core.numbers import number
from recollect.core.progress import Detail

if TYPE_CHECKING:
    from recollect.core.estimates import Estimate
    from recollect.report import AttributeSystem


def print_pairs(title: str, values: Mapping[str, Any]) -> None:
    """A title, and a line for each value."""
    width = max(map(len, values), default=0)
    console_out.print(title, style="bold")
    for key, value in values.items():
        if isinstance(value, float):  # small ones keep what counts: a rate of 0.00013
            value = round(value, 4) if abs(value) >= 0.01 else float(f"{value:.3g}")
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        console_out.print(f"  {key:<{width}}  {shown}", soft_wrap=True)  # a path stays in one piece


def print_notes(notes: Iterable[str]) -> None:
    """The notes of a step's result, one a line."""
    for text in notes:
        note(f"note: {text}")


@contextmanager
def stage(what: str, unit: str, detail: Callable[[], Detail] | None = None) -> Iterator[Any]:
    """One progress line, left on the screen with its time."""
    started = time.monotonic()
    with ProgressLine(what, unit or "steps", detail) as progress:
        yield progress
    note(f"  {what}: {time.monotonic() - started:.1f} s")


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
            table.add_row(name, *(_value(row.scores[name]) for row in rows), end_section=name == names[0])
        table.add_section()
        table.add_row("no JSON", *(_value(row.invalid) for row in rows))
        print_table(table)


def _head(system: AttributeSystem) -> str:
    """The size alone for a trained model: eight columns must fit into a terminal."""
    return f"{system.size:,}" if system.kind == "tuned" and system.size else system.name


def _value(score: Estimate | None) -> str:
    return number(None if score is None else score.percent[0])
