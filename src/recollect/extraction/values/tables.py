"""True or predicted values from a file: `{page: {attribute: value or list}}` as JSON, or a table, long or wide.

Notable choices
- Keys that the schema lacks (a URL, a name) are left alone; a file without any attribute of the schema is an error.
- Every value is read as text, so that an identifier keeps its leading zeros. Tables are read as those of facts are
  (separator, encoding, bad rows, what a cell is).
- A page read from a folder below is called `shop/17`; a file may call it `17`, as long as that is only one page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from recollect.core.tables import (
    BadRows,
    CellError,
    Row,
    RowError,
    cell_text,
    check_ending,
    check_value,
    decode,
    load_json,
    read_bytes,
    read_table,
)
from recollect.errors import InputError
from recollect.extraction.values.schema import Schema

Values = dict[str, dict[str, list[str]]]
"""Values by page id and attribute name."""


def read_values(path: Path, schema: Schema, bad: BadRows | None = None) -> Values:
    """The values of a .json, .csv, .tsv, .jsonl or .parquet file by page and attribute. Raises InputError.

    JSON: `{page_id: {attribute: "value" | ["value", …] | null}}`. Tables: the column page_id, and either the columns
    attribute and value (one row per value) or one column per attribute. `bad` takes the rows that cannot be used; by
    default the first one is an error.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give a .json, .csv, .tsv, .jsonl or .parquet file of values.")
    bad = bad or BadRows()
    check_ending(path)
    data = read_bytes(path)
    loaded = load_json(decode(data, str(path)), str(path)) if path.suffix.lower() == ".json" else None
    if isinstance(loaded, dict) and all(isinstance(page, dict) for page in loaded.values()):
        values = _by_page(loaded, schema, path, bad)
    elif path.suffix.lower() == ".json" and not _is_rows(loaded):
        raise InputError(
            f"{path} must map page ids to objects of attributes, as {{page: {{attribute: value}}}}, or be a list of "
            "rows with a page_id."
        )
    else:
        values = _by_row(path, data, schema, bad)
    if not any(values.values()):
        skipped = f" ({len(bad.found):,} bad rows were skipped)" if bad.found else ""
        raise InputError(
            f"{path} has no value of the attributes {', '.join(schema.names)}{skipped}. Check the names in it."
        )
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


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) and "page_id" in row for row in value)


def _by_page(loaded: Mapping[str, Mapping[str, Any]], schema: Schema, path: Path, bad: BadRows) -> Values:
    """The values of a JSON object of pages; keys that the schema lacks are left alone."""
    values: Values = {}
    for page, given in loaded.items():
        where = f"page {page[:80]!r}"
        try:
            _check(page, where, path)
            texts = {name: _list(given.get(name), name, where, path) for name in schema.names}
        except RowError as error:
            bad.add(where, error)
            continue
        values[page] = {name: found for name, found in texts.items() if found}
    return values


def _by_row(path: Path, data: bytes, schema: Schema, bad: BadRows) -> Values:
    """The values of a table, long or wide."""
    table = read_table(path, bad, data)
    columns = table.columns
    if "page_id" not in columns:
        read_with = f" (read with the separator {table.separator!r})" if table.separator else ""
        raise InputError(
            f"{path} has no column page_id; it has {', '.join(columns[:40])}{read_with}. Name the pages' ids so."
        )
    long = {"attribute", "value"} <= set(columns)
    values: Values = {}
    for row in table.rows:
        try:
            page, found = _row(row, schema, long, path)
        except RowError as error:
            bad.add(row.where, error)
            continue
        named = values.setdefault(page, {})
        for name, texts in found.items():
            named.setdefault(name, []).extend(texts)
    return values


def _row(row: Row, schema: Schema, long: bool, path: Path) -> tuple[str, dict[str, list[str]]]:
    """The page and the values of one row."""
    where, cells = row
    pages = _list(cells.get("page_id"), "page_id", where, path)
    if len(pages) != 1:
        raise RowError("no page_id", f"{path}: {where} must have one page_id, but has {cells.get('page_id')!r}.")
    names = _list(cells.get("attribute"), "attribute", where, path) if long else schema.names
    pairs = [(name, cells.get("value" if long else name)) for name in names if name in schema.names]
    found = {name: texts for name, value in pairs if (texts := _list(value, name, where, path))}
    return pages[0], found


def _list(value: Any, name: str, where: str, path: Path) -> list[str]:
    """The texts of a cell or of a list of cells; empty ones are left out. RowError for one that is no text."""
    _check(value, where, path)
    try:
        texts = [cell_text(item) for item in (value if isinstance(value, list) else [value])]
    except CellError as error:
        raise RowError(f"{name} is {error.kind}", f"{path}: {where}: {name} {error}.") from None
    return [text for text in texts if text]


def _check(value: Any, where: str, path: Path) -> None:
    if fault := check_value(value)[1]:
        raise RowError(fault[0], f"{path}: {where} holds {fault[1]}.")
