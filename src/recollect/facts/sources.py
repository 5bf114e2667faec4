"""From a path to a `Reading`: which reader takes it, file by file.

Notable choices
- Rows of a table may be of several shapes (a union of chat shapes with the keys of all): each is read by the keys it
  fills.
- A folder that is not EntityQuestions is read only where its files are named by their relation (BEAR) or by their part
  (train.jsonl, test.jsonl), or the user says that each is a relation: train.csv and test.csv are not two relations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from recollect.core.numbers import many
from recollect.core.tables import (
    ENDINGS,
    BadRows,
    BadRowsMode,
    Row,
    Table,
    check_ending,
    digest,
    part_by_name,
    read_bytes,
    read_table,
)
from recollect.errors import InputError
from recollect.facts.chat import SHAPES, Shape, chat_rows, left_out, shape_of
from recollect.facts.columns import USUAL
from recollect.facts.entityquestions import is_entityquestions, read_entityquestions
from recollect.facts.reading import Reading
from recollect.facts.relations import shipped_relations
from recollect.facts.tables import TableOptions, read_facts_table

Source = Literal["auto", "entityquestions", "table", "chat", "prompt-completion", "messages", "alpaca", "sharegpt"]
Synonyms = Callable[[str], tuple[str, ...]]
BY_FILE = "file"
_WIKIDATA = re.compile(r"P\d+")


@dataclass(frozen=True)
class SourceOptions:
    """How a source is read; the fields are those of `FactsSettings`."""

    source: Source = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    relation: str | None = None
    relations: Sequence[str] | None = None
    choice_base: int | None = None
    show_choices: bool = False
    bad_rows: BadRowsMode = "error"


def read_source(path: Path, options: SourceOptions, synonyms: Synonyms) -> Reading:
    """The facts at a path, as they stand there. Raises InputError for what cannot be read."""
    bad = BadRows(options.bad_rows)
    tables = _folder_of_tables(path, options)
    archive = path.is_dir() or path.suffix.lower() == ".zip"
    if not tables and (options.source == "entityquestions" or (options.source == "auto" and archive)):
        for name, value in (("columns", options.columns), ("relation-name", options.relation)):
            if value:
                raise InputError(f"{name} is for tables, but {path} is read as EntityQuestions. Leave --{name} out.")
        return read_entityquestions(path, synonyms, bad)
    reading: Reading | None = None
    used: list[tuple[str, bytes]] = []
    parted = options.relation != BY_FILE and _by_part(tables)
    for file in tables or [path]:
        data = _bytes(file)
        used.append((file.name if tables else "", data))
        part = (part_by_name(file) or "") if parted else ""
        found = _read_file(file, data, options, synonyms, bad, in_folder=bool(tables) and not parted, part=part)
        if reading is None:
            reading = found
        elif reading.split_given != found.split_given or reading.own_ids != found.own_ids:
            raise InputError(
                f"{file} has a split or fact_id column and other files of {path} have none, or the reverse."
            )
        else:
            reading.add(found)
    assert reading is not None
    if tables:
        were = "was" if len(tables) == 1 else "were"
        names = ", ".join(file.name for file in tables[:30])
        reading.notes.insert(0, f"{many(len(tables), 'file')} {were} read: {names}.")
        if parted:
            reading.notes.insert(1, "The part of a fact is said by the name of its file.")
        elif options.relation in (None, BY_FILE) and "relation" not in reading.columns:
            reading.notes.insert(1, "The relation of a fact is the name of its file.")
    reading.fingerprint, reading.bad = digest(iter(used)), bad
    return reading


def _bytes(path: Path) -> bytes:
    if path.exists():
        check_ending(path)
    return read_bytes(path)


def _folder_of_tables(path: Path, options: SourceOptions) -> list[Path]:
    """The tables of a folder that are named by their relation or their part; empty for anything else."""
    if options.source == "entityquestions" or not path.is_dir() or is_entityquestions(path):
        return []
    if (path / "manifest.json").is_file():
        raise InputError(f"{path} is a step directory, not data. Give it to the next step, or give its source here.")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())
    named = [file for file in files if _is_relation(file.stem)]
    if options.relation is not None or (not named and _by_part(files)):
        named = files
    if not named:
        if options.source == "auto" and not files:
            return []  # refused as EntityQuestions
        raise InputError(
            f"{path} is a folder without the layout of EntityQuestions, and its files are named neither by relations "
            "such as P36 nor all by their part, such as train and test. Give one file, or say --relation-name file if "
            "each file is one relation."
        )
    if options.relations is not None:
        named = [file for file in named if file.stem in options.relations] or named
    return named


def _by_part(files: Sequence[Path]) -> bool:
    """Whether the names of all files say their part."""
    return bool(files) and all(part_by_name(file) for file in files)


def _with_part(table: Table, part: str, options: SourceOptions) -> Table:
    """The table with its file's part as the split of every row that says none itself."""
    given = options.columns.get("split")
    names = {given} if given else {name for name in table.columns if name.lower() in USUAL["split"]} or {"split"}
    rows = [
        row if any(row.values.get(name) for name in names) else Row(row.where, {**row.values, min(names): part})
        for row in table.rows
    ]
    return replace(table, rows=rows)


def _is_relation(stem: str) -> bool:
    return bool(_WIKIDATA.fullmatch(stem)) or stem in shipped_relations()


def _read_file(
    path: Path,
    data: bytes,
    options: SourceOptions,
    synonyms: Synonyms,
    bad: BadRows,
    *,
    in_folder: bool,
    part: str = "",
) -> Reading:
    before = len(bad.found)
    table = read_table(path, bad, data)
    if part:
        table = _with_part(table, part, options)
    relation, said = _relation(path, table, options, in_folder)
    groups = _by_shape(table.rows, options, path)
    reading: Reading | None = None
    for shape, rows in groups.items():
        lost = ""
        if shape is not None:
            lost = left_out(rows)
            rows = chat_rows(rows, shape, str(path), bad)
            kind = TableOptions(options.columns, plain=True)
        else:
            kind = TableOptions(
                options.columns, relation, options.choice_base, options.show_choices, floats=table.text_cells
            )
        if not rows:
            continue
        found = read_facts_table(rows, str(path), synonyms, kind, bad)
        found.source = shape or "table"
        found.notes += [f"{path.name}: {lost}"] if lost else []
        if reading is None:
            reading = found
        elif reading.split_given != found.split_given:
            raise InputError(f"{path}: some rows have a split and others have none. Fill it in, or leave it out.")
        else:
            reading.add(found)
            reading.source += f", {found.source}"
    if reading is None:
        raise InputError(f"{path} has no rows that can be used; {len(bad.found) - before:,} bad ones skipped.")
    reading.blank_rows = table.blank_rows
    if said and not in_folder:
        reading.notes.insert(0, f"The relation of {path.name} is taken from its name: {relation}.")
    if table.separator and table.separator != "," and path.suffix.lower() == ".csv":
        shown = "tab" if table.separator == "\t" else table.separator
        reading.notes.append(f"{path.name} is read with the separator {shown!r}.")
    return reading


def _relation(path: Path, table: Table, options: SourceOptions, in_folder: bool) -> tuple[str, bool]:
    """The relation of all rows ("" where the rows, or none, say it), and whether the file's name says it."""
    if options.relation not in (None, BY_FILE):
        return str(options.relation), False
    if options.columns.get("relation") == "":
        return "", False
    present = {name.lower() for name in table.columns}

    def has(role: str) -> bool:
        return bool(options.columns.get(role)) or bool(present & set(USUAL[role]))

    if has("relation"):
        return "", False
    from_name = options.relation == BY_FILE or (in_folder and has("subject"))
    if from_name or (has("subject") and not has("question") and _is_relation(path.stem)):
        return path.stem, True
    return "", False


def _by_shape(rows: list[Row], options: SourceOptions, path: Path) -> dict[Shape | None, list[Row]]:
    """The rows by chat shape; None: rows of a table."""
    if options.source in SHAPES:
        return {options.source: rows}
    chat = options.source == "chat"
    if options.source == "table" or (options.columns and not chat):
        return {None: rows}
    first = shape_of(rows[0])
    if chat and first is None:
        raise InputError(
            f"{path} has none of the chat shapes {', '.join(SHAPES)}: its first row has "
            f"{', '.join(rows[0].values)}. Read it with --source table."
        )
    groups: dict[Shape | None, list[Row]] = {}
    for row in rows:
        shape = shape_of(row)
        if shape is None and (chat or not _is_table_row(row)):
            shape = first  # its error then speaks of the file's shape
        groups.setdefault(shape, []).append(row)
    return groups


def _is_table_row(row: Row) -> bool:
    filled = {name.lower() for name, value in row.values.items() if value is not None}
    return bool(filled & {*USUAL["object"], *USUAL["answers"]}) and bool(filled & {"question", "query", "q", "subject"})
