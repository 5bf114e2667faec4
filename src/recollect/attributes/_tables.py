"""True or predicted values from a file: `{page: {attribute: value or list}}` as JSON, or a table, long or wide.

Notable choices
- Keys that the schema lacks (a URL, a name) are left alone; a file without any attribute of the schema is an error.
- Every value is read as text, so that an identifier keeps its leading zeros.
- A page read from a folder below is called `shop/17`; a file may call it `17`, as long as that is only one page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from recollect.attributes._schema import Schema
from recollect.errors import InputError

Values = dict[str, dict[str, list[str]]]
"""Values by page id and attribute name."""

_MAX_BYTES = 1_000_000_000


def read_values(path: Path, schema: Schema) -> Values:
    """The values of a .json, .csv, .tsv, .jsonl or .parquet file by page and attribute. Raises InputError.

    JSON: `{page_id: {attribute: "value" | ["value", …] | null}}`. Tables: the column page_id, and either the columns
    attribute and value (one row per value) or one column per attribute.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give a .json, .csv, .tsv, .jsonl or .parquet file of values.")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes; at most {_MAX_BYTES:,} are read.")
    values = _json(path, schema) if path.suffix.lower() == ".json" else _table(path, schema)
    if not any(values.values()):
        raise InputError(f"{path} has no value of the attributes {', '.join(schema.names)}. Check the names in it.")
    return values


def same_pages(wanted: Collection[str], given: Collection[str]) -> dict[str, str]:
    """The name in `given` of each wanted page that is there: the same, or the same without the folders before it.

    A name without folders counts only where it stands for one page on each side.
    """
    ours, theirs = ({name: name.rsplit("/", 1)[-1] for name in names} for names in (wanted, given))
    often = Counter(ours.values()), Counter(theirs.values())
    by_file = {file: name for name, file in theirs.items() if often[0][file] == often[1][file] == 1}
    known = set(given)
    found = {name: name if name in known else by_file.get(file) for name, file in ours.items()}
    return {name: match for name, match in found.items() if match is not None}


def _json(path: Path, schema: Schema) -> Values:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=str, parse_int=str, parse_constant=str)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(loaded, dict) or not all(isinstance(page, dict) for page in loaded.values()):
        raise InputError(f"{path} must map page ids to objects of attributes, as {{page: {{attribute: value}}}}.")
    return {
        page: {name: found for name in schema.names if (found := _list(given.get(name)))}
        for page, given in loaded.items()
    }


def _list(value: Any) -> list[str]:
    several = value if isinstance(value, list) else [value]
    texts = [str(item).strip() for item in several if item is not None and not isinstance(item, dict | list)]
    return [text for text in texts if text]


_READERS: Mapping[str, Any] = {
    ".csv": lambda path: pl.read_csv(path, infer_schema=False),
    ".tsv": lambda path: pl.read_csv(path, infer_schema=False, separator="\t"),
    ".jsonl": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    ".parquet": lambda path: pl.read_parquet(path, glob=False),
}


def _table(path: Path, schema: Schema) -> Values:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path} ends in {path.suffix!r}. Give a .json, .csv, .tsv, .jsonl or .parquet file of values."
        )
    try:
        table: pl.DataFrame = reader(path)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}.") from None
    if "page_id" not in table.columns:
        raise InputError(f"{path} has no column page_id; it has {', '.join(table.columns)}. Name the pages' ids so.")
    values: Values = {}
    long = {"attribute", "value"} <= set(table.columns)
    for row in table.iter_rows(named=True):
        page = values.setdefault(str(row["page_id"]), {})
        pairs = [(row["attribute"], row["value"])] if long else [(name, row.get(name)) for name in schema.names]
        for name, value in pairs:
            if name in schema.names and (found := _list(value)):
                page.setdefault(name, []).extend(found)
    return values
