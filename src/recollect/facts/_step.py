"""The facts step: read a source, clean it, write `facts.parquet`, `relations.parquet` and `report.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from recollect.errors import InputError
from recollect.facts import _reading
from recollect.facts._chat import SHAPES, Shape, chat_rows, shape_of
from recollect.facts._entityquestions import is_entityquestions, read_entityquestions
from recollect.facts._fact import SCHEMA, FactSet
from recollect.facts._files import digest, read_bytes
from recollect.facts._reading import Reading
from recollect.facts._report import data_report, relation_table
from recollect.facts._rows import check_ending, read_rows
from recollect.facts._synonyms import Synonyms, read_synonyms, synonyms_for
from recollect.facts._tables import parse_columns, read_table
from recollect.settings import Settings
from recollect.workspace import DEFAULT_ROOT, fingerprint, open_step, step_input, write_json

Source = Literal["auto", "entityquestions", "table", "chat", "prompt-completion", "messages", "alpaca", "sharegpt"]


class FactsSettings(Settings):
    """Where the facts come from, and which are kept."""

    runtime_only: ClassVar[set[str]] = {
        "path",
        "synonyms_file",
    }  # their content is in the inputs' fingerprint

    path: str
    """Folder or .zip of EntityQuestions, or a .csv, .tsv, .jsonl, .json or .parquet file."""
    source: Source = "auto"
    """Kind of data; auto tells it from the path and the columns. chat means any of the four chat shapes."""
    name: str = "facts"
    """Name of the fact set, shown in reports."""
    columns: str = ""
    """Columns of a table, e.g. "question=q,object=answer,relation=rel,subject=s,split=part,synonyms=aliases".
    Usual names are found without it; "relation=" reads without relations."""
    relations: tuple[str, ...] | None = None
    """Keep only these relations, e.g. P17,P36. Default: all."""
    drop_overlap: bool = False
    """Leave out train facts whose question also stands in test. The studies keep them."""
    limit_per_relation: Annotated[int, Field(ge=1)] | None = None
    """Keep at most this many facts of each relation and part, drawn by the seed. Default: all."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the facts that goes to test when the data has no split column."""
    shipped_synonyms: bool = True
    """Accept our other forms of common answers (USA for United States of America) besides the data's own."""
    synonyms_file: str | None = None
    """YAML file that maps an object to a list of other accepted forms; an entry takes the place of ours."""
    seed: int = 0
    """Seed of the split and of the limit."""

    @field_validator("columns", mode="before")
    @classmethod
    def _columns_as_text(cls, value: Any) -> Any:
        """A YAML mapping is as good as the text."""
        if isinstance(value, Mapping):
            return ",".join(f"{role}={name if name is not None else ''}" for role, name in value.items())
        return value

    @field_validator("relations", mode="before")
    @classmethod
    def _relations_as_list(cls, value: Any) -> Any:
        """A text with commas is as good as a list; no relation at all means every one."""
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return value or None


@dataclass(frozen=True)
class FactsResult:
    """A finished facts step."""

    path: Path
    facts: FactSet
    report: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """The numbers of facts in train, test and ood, and the data report; plain JSON."""
        return {**self.facts.counts(), **self.report}


def run_facts(settings: FactsSettings, out: Path | None = None, root: Path = DEFAULT_ROOT) -> FactsResult:
    """Read, clean and store a fact set. Raises InputError, writing nothing, for data that is unusable."""
    table = _user_synonyms(settings)
    reading = _read(settings, table)
    inputs = {"source": reading.fingerprint, "synonyms": fingerprint(table) if table is not None else None}
    with open_step("facts", settings.fingerprint_values(), inputs, out, root) as step:
        if step.done:
            facts = FactSet.from_table(step.read_table("facts.parquet"), settings.name)
            return FactsResult(step.path, facts, json.loads((step.path / "report.json").read_text(encoding="utf-8")))
        facts, report, relations = _clean(reading, settings)
        step.write_table("facts.parquet", facts.table())
        step.write_table("relations.parquet", relations)
        write_json(step.folder / "report.json", report)
        step.finish({**facts.counts(), "rows_read": report["rows_total"]})
    return FactsResult(step.path, facts, report)


def read_facts(settings: FactsSettings) -> tuple[FactSet, dict[str, Any]]:
    """The fact set and its report, without writing a step."""
    facts, report, _ = _clean(_read(settings, _user_synonyms(settings)), settings)
    return facts, report


def load_facts(name: str) -> FactSet:
    """The facts named by a user: "pocket" or "pocket-shop" (shipped), a facts or label step, or a data path."""
    if name == "pocket":
        from recollect.pocket import pocket_facts

        facts: FactSet = pocket_facts()
        return facts
    if name == "pocket-shop":
        from recollect.pocket.shop import shop_facts

        return shop_facts()
    path = Path(name)
    if path.is_dir() and not is_entityquestions(path):
        step_input(path, "facts", "pocket", "label")
        return FactSet.read(path / "facts.parquet")
    if path.suffix == ".parquet" and path.is_file() and _is_own_table(path):
        return FactSet.read(path)  # ids, splits and synonyms as they stand
    return read_facts(FactsSettings.make(path=name, name=path.stem))[0]


def _is_own_table(path: Path) -> bool:
    try:
        return set(SCHEMA) <= set(pl.read_parquet_schema(path))
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}.") from None


def _read(settings: FactsSettings, table: Synonyms | None) -> Reading:
    path = Path(settings.path)

    def synonyms(object: str) -> tuple[str, ...]:
        if settings.shipped_synonyms:
            return synonyms_for(object, table)
        return table.get(object, ()) if table is not None else ()

    archive = path.is_dir() or path.suffix.lower() == ".zip"
    if settings.source == "entityquestions" or (settings.source == "auto" and archive):
        if settings.columns:
            raise InputError(f"columns are for tables, but {path} is read as EntityQuestions. Leave --columns out.")
        return read_entityquestions(path, synonyms)
    if path.exists():
        check_ending(path)
    data = read_bytes(path)
    rows = read_rows(data, path)
    shape = _shape(settings, rows[0].values, path)
    if shape is not None:
        rows = chat_rows(rows, shape, str(path))
    reading = read_table(rows, parse_columns(settings.columns), str(path), synonyms)
    reading.source = shape or "table"
    reading.fingerprint = digest(iter([("", data)]))
    return reading


def _shape(settings: FactsSettings, first: Mapping[str, Any], path: Path) -> Shape | None:
    if settings.source in SHAPES:
        return settings.source
    if settings.source == "chat":
        shape = shape_of(first)
        if shape is None:
            raise InputError(
                f"{path} has none of the chat shapes {', '.join(SHAPES)}: its first row has "
                f"{', '.join(first)}. Read it with --source table."
            )
        return shape
    return shape_of(first) if settings.source == "auto" and not settings.columns else None


def _clean(reading: Reading, settings: FactsSettings) -> tuple[FactSet, dict[str, Any], Any]:
    _reading.drop_repeated(reading)
    _reading.choose_relations(reading, settings.relations)
    _reading.split(reading, settings.test_share, settings.seed)
    _reading.find_overlap(reading, settings.drop_overlap)
    _reading.limit(reading, settings.limit_per_relation, settings.seed)
    if not reading.facts:
        reasons = ", ".join(f"{counts.total():,} by {reason!r}" for reason, counts in reading.dropped.items())
        raise InputError(f"{settings.path}: no fact is left of {reading.read.total():,} rows; dropped: {reasons}.")
    facts = FactSet(tuple(reading.facts), settings.name)
    relations = relation_table(facts)
    return facts, data_report(facts, reading, relations), relations


def _user_synonyms(settings: FactsSettings) -> Synonyms | None:
    return read_synonyms(Path(settings.synonyms_file)) if settings.synonyms_file is not None else None
