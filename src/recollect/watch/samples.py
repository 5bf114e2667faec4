"""Answers to read: the best model's beside the base's, of the same questions, right and wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from recollect.core.workspace import MANIFEST
from recollect.evaluate import with_right
from recollect.watch.models import Model, best_of

_SHOWN = (("gained", False, True, 4), ("lost", True, False, 3), ("kept", True, True, 2), ("missed", False, False, 3))
"""What became of an answer, whether base and model are right, and how many are shown of it."""
_COLUMNS = ("fact_id", "part", "question", "object", "output", "right")


@dataclass(frozen=True)
class Sample:
    """One question, the true answer, and what base and model say."""

    question: str
    true: str
    base: str
    base_right: bool
    model: str
    model_right: bool


@dataclass(frozen=True)
class Samples:
    """Some answers of one model beside the base's, and how many there are of each kind."""

    model: str
    base: str
    asked: int
    gained: int
    lost: int
    rows: tuple[Sample, ...]


def samples(models: Sequence[Model], macro: bool) -> Samples | None:
    """Of the best model so far; None before there is one, or where no base was asked the same."""
    best = best_of(models, macro)
    if best is None:
        return None
    bases = [one for one in models if one.base and one.of == best.of]
    pairs = [(own, base, other) for own in best.asked for base in bases for other in base.asked]
    for own, base, other in pairs:
        tuned, untouched = _outputs(own.folder), _outputs(other.folder)
        if tuned is None or untouched is None:
            continue
        both = untouched.join(tuned, on=["fact_id", "part"], suffix="_model", maintain_order="left")
        if 2 * both.height > tuned.height:  # of the same questions
            return _samples(f"trial {best.name}" if best.trial else best.name, base.name, both)
    return None


def _samples(model: str, base: str, both: pl.DataFrame) -> Samples:
    counts, rows = dict[str, int](), list[Sample]()
    for kind, before, after, most in _SHOWN:
        here = both.filter((pl.col("right") == before) & (pl.col("right_model") == after))
        counts[kind] = here.height
        rows += _rows(here.head(most).iter_rows(named=True))
    return Samples(model, base, both.height, counts["gained"], counts["lost"], tuple(rows))


def _rows(rows: Iterable[dict[str, object]]) -> list[Sample]:
    return [
        Sample(
            str(row["question"]),
            str(row["object"]),
            str(row["output"]),
            bool(row["right"]),
            str(row["output_model"]),
            bool(row["right_model"]),
        )
        for row in rows
    ]


def _outputs(folder: Path) -> pl.DataFrame | None:
    with suppress(OSError):
        return _read(folder, (folder / MANIFEST).stat().st_mtime_ns)
    return None


@lru_cache(maxsize=4)
def _read(folder: Path, time: int) -> pl.DataFrame | None:
    """The answers of a finished evaluation; None where they cannot be read, or are of pages: these are judged by value,
    which the report shows."""
    if (folder / "items.parquet").is_file():
        return None
    try:
        table = with_right(pl.read_parquet(folder / "outputs.parquet", glob=False))
        return table.select(_COLUMNS)
    except (OSError, pl.exceptions.PolarsError):
        return None
