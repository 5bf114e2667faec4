"""Rows of a Parquet file. What it unpacks to is read from its footer first: a few kB can hold millions of rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recollect.core.tables.files import read_bytes
from recollect.core.tables.limits import MAX_COLUMNS, MAX_ROWS, MAX_TEXT, MAX_UNPACKED, MAX_VALUES
from recollect.errors import InputError


def parquet_rows(data: bytes, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows with their places. Raises InputError, before anything is unpacked, for a file over a limit."""
    table = _exact_floats(parquet_table(data, path))
    for number, values in enumerate(table.iter_rows(named=True), start=1):
        yield f"row {number}", values


def parquet_table(data: bytes, path: str) -> pl.DataFrame:
    """The whole table. Raises InputError, before anything is unpacked, for a file over a limit."""
    _check_footer(data, path)
    try:
        table = pl.read_parquet(io.BytesIO(data))
        text = _text_bytes(table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {_first_line(error)}.") from None
    if text > MAX_TEXT:  # a text stored once may stand in every row
        raise InputError(f"{path} unpacks to {text:,} bytes of text; at most {MAX_TEXT:,} are read. Split the file.")
    return table


def _text_bytes(table: pl.DataFrame) -> int:
    """Bytes of all texts, those in lists included."""
    total = 0
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pl.List):
            column = column.explode()
        if isinstance(column.dtype, pl.Categorical | pl.Enum):  # never written out here: that is where it would blow up
            counts = column.alias("text").value_counts(name="count")
            lengths = counts["text"].cast(pl.String).str.len_bytes().cast(pl.Int64)
            total += int((lengths * counts["count"].cast(pl.Int64)).sum())
        elif column.dtype == pl.String:
            total += int(column.str.len_bytes().cast(pl.Int64).sum())
    return total


def read_own(path: Path) -> pl.DataFrame:
    """A table that a step wrote, or that has its columns; limits as for any other Parquet file."""
    return parquet_table(read_bytes(path), str(path))


def _check_footer(data: bytes, path: str) -> None:
    try:
        footer = pq.ParquetFile(io.BytesIO(data)).metadata
        rows, columns = footer.num_rows, footer.num_columns
        if columns > MAX_COLUMNS:
            raise InputError(f"{path} has {columns:,} columns; at most {MAX_COLUMNS:,} are read.")
        if rows > MAX_ROWS:
            raise InputError(f"{path} has {rows:,} rows; at most {MAX_ROWS:,} are read. Split the file.")
        groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
        unpacked = sum(group.total_byte_size for group in groups)
        values = sum(group.column(index).num_values for group in groups for index in range(columns))
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable Parquet file: {_first_line(error)}.") from None
    if unpacked > MAX_UNPACKED:
        raise InputError(f"{path} unpacks to {unpacked:,} bytes; at most {MAX_UNPACKED:,} are read. Split the file.")
    if values > MAX_VALUES:
        raise InputError(f"{path} holds {values:,} values; at most {MAX_VALUES:,} are read. Split the file.")


def _exact_floats(table: pl.DataFrame) -> pl.DataFrame:
    """32-bit floats with the digits they were written with: 0.1 and not 0.10000000149011612."""
    casts = []
    for name, kind in table.schema.items():
        if kind == pl.Float32:
            casts.append(pl.col(name).cast(pl.String).cast(pl.Float64))
        elif kind == pl.List(pl.Float32):
            casts.append(pl.col(name).cast(pl.List(pl.String)).cast(pl.List(pl.Float64)))
    return table.with_columns(casts)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
