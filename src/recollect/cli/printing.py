"""What several commands print: pairs, notes, progress of stages, a value with its interval."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from recollect.cli.options import ProgressLine, console_out, note


def print_pairs(title: str, values: Mapping[str, Any]) -> None:
    """A title, and a line for each value."""
    width = max(map(len, values), default=0)
    console_out.print(title, style="bold")
    for key, value in values.items():
        value = round(value, 4) if isinstance(value, float) else value
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        console_out.print(f"  {key:<{width}}  {shown}", soft_wrap=True)  # a path stays in one piece


def print_notes(notes: Iterable[str]) -> None:
    """The notes of a step's result, one a line."""
    for text in notes:
        note(f"note: {text}")


@contextmanager
def stage(what: str, unit: str) -> Iterator[Any]:
    """One progress line, left on the screen with its time."""
    started = time.monotonic()
    with ProgressLine(what, unit or "steps") as progress:
        yield progress
    note(f"  {what}: {time.monotonic() - started:.1f} s")


def with_interval(part: Mapping[str, Any], name: str, prefix: str) -> str:
    """A percentage and its interval, or a dash."""
    if part.get(name) is None:
        return "–"
    return f"{part[name]:.1f} ({part[f'{prefix}low']:.1f}–{part[f'{prefix}high']:.1f})"
