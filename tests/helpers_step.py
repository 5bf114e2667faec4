"""A small finished step, and what lies in a folder: for the tests of step directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.workspace import Step, open_step

SETTINGS = {"samples": 4}
INPUTS = {"facts": "f"}
TABLE = pl.DataFrame({"n": [1, 2, 3]})


def make(out: Path, settings: dict[str, Any] = SETTINGS, inputs: dict[str, Any] = INPUTS, name: str = "probe") -> Step:
    """A finished step with one table."""
    with open_step(name, settings, inputs, out) as step:
        if not step.done:
            step.write_table("t.parquet", TABLE)
            step.finish({"rows": 3})
    return step


def part_file(step: Step, index: int) -> Path:
    """The file of a part that is there."""
    path = step.part_path(index)
    assert path is not None
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }
