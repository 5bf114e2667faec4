"""The facts step: read a source, clean it, write `facts.parquet`, `relations.parquet` and `report.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from recollect.core.numbers import many
from recollect.core.settings import Name, PathOrName, Settings
from recollect.core.tables import BadRowsMode
from recollect.core.workspace import DEFAULT_ROOT, fingerprint, open_step, step_input, write_json
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.facts import reading as _reading
from recollect.facts.chat import NO_TEXT
from recollect.facts.columns import parse_columns
from recollect.facts.entityquestions import is_entityquestions
from recollect.facts.fact import SCHEMA, Beside, FactSet
from recollect.facts.reading import UNSPLIT, Reading
from recollect.facts.report import FactsReport, data_report, relation_table
from recollect.facts.sources import Source, SourceOptions, read_source
from recollect.facts.synonyms import Synonyms, read_synonyms, synonyms_for
from recollect.shipped import SHIPPED

_REPORT, _VALIDATION = "report.json", "validation.parquet"
READER_VERSION = 2
"""Raised when the same bytes give other facts. 2: cells that are no text, choices, nearly equal questions."""


class FactsSettings(Settings):
    """Where the facts come from, and which are kept.

    Examples:
        >>> from recollect import FactsSettings
        >>> FactsSettings.make(path="capitals.csv", columns="object=answer", test_share=0.5).test_share
        0.5
    """

    runtime_only: ClassVar[set[str]] = {"path", "synonyms_file"}  # their content is in the inputs' fingerprint
    later_fields: ClassVar[set[str]] = {"show_choices"}

    path: Name
    """Folder or .zip of EntityQuestions, a .csv, .tsv, .jsonl, .json or .parquet file, or a folder of such files, each
    named by its relation (BEAR), or by its part (train, test); "pocket" or "pocket-shop": the shipped facts."""
    source: Source = "auto"
    """Kind of data; auto tells it from the path and the columns. chat means any of the four chat shapes."""
    name: str = "facts"
    """Name of the fact set, shown in reports."""
    columns: str = ""
    """Columns of a table, e.g. "question=q,object=answer,relation=rel,subject=s,split=part,synonyms=aliases".
    Usual names are found without it; "relation=" reads without relations."""
    relation_name: str | None = None
    """The relation of every row of a table without a relation column, e.g. P36; "file": the name of each file."""
    choice_base: Literal[0, 1] | None = None
    """For answers that are numbers of choices: whether the first choice is 0 or 1. Default: told from the data."""
    show_choices: bool = False
    """For multiple-choice data: put the choices below the question, one a line ("A. red"), so that a letter answers
    it (the judge choice)."""
    bad_rows: BadRowsMode = "error"
    """What becomes of a row that cannot be used: error (the first one ends the step) or skip (left out and counted)."""
    relations: tuple[str, ...] | None = None
    """Keep only these relations, e.g. P17,P36. Default: all."""
    drop_overlap: bool = False
    """Leave out train facts whose question also stands in test, nearly the same included. The papers keep them."""
    limit_per_relation: Annotated[int, Field(ge=1)] | None = None
    """Keep at most this many facts of each relation and part, drawn by the seed. Default: all."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the facts that goes to test when the data has no split column."""
    shipped_synonyms: bool = True
    """Accept our other forms of common answers (USA for United States of America) besides the data's own."""
    synonyms_file: PathOrName | None = None
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


class FactsFound(Result):
    """How many facts there are in each part, and of how many rows."""

    train: int
    test: int
    ood: int
    rows_read: int


@dataclass(frozen=True)
class FactsResult:
    """A finished facts step; `report` is its report.json."""

    path: Path
    found: FactsFound
    facts: FactSet
    report: FactsReport


def run_facts(settings: FactsSettings, out: Path | None = None, root: Path = DEFAULT_ROOT) -> FactsResult:
    """Read, clean and store a fact set. Raises InputError, writing nothing, for data that is unusable.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import FactsSettings, run_facts
        >>> rows = "question,answer\\nWhat is the capital of Peru?,Lima\\nWhat is the capital of France?,Paris\\n"
        >>> written = Path("capitals.csv").write_text(rows)
        >>> run_facts(FactsSettings.make(path="capitals.csv", test_share=0.5)).facts.counts()
        {'train': 1, 'test': 1, 'ood': 0}
    """
    table = _user_synonyms(settings)
    reading = _read(settings, table)
    inputs = {
        "source": reading.fingerprint,
        "synonyms": fingerprint(table) if table is not None else None,
        "reader": READER_VERSION,
    }
    if any(row.reason == NO_TEXT for row in reading.bad.found):
        inputs["content"] = "text alone"  # such rows once lost their images and were read; other sources read as before
    if reading.validation:
        inputs["validation"] = "kept"  # such rows were once dropped; steps of other sources are as before
    with open_step("facts", settings, inputs, out, root) as step:
        if not step.done:
            facts, report, relations = _clean(reading, settings)
            step.write_table("facts.parquet", facts.table())
            if facts.beside.validation:
                step.write_table(_VALIDATION, FactSet(facts.beside.validation).table())
            step.write_table("relations.parquet", relations)
            write_json(step.folder / _REPORT, report.plain())
            step.finish(FactsFound(**facts.counts(), rows_read=report.rows_total))
        return FactsResult(
            step.path,
            FactsFound.read(step.path),
            replace(FactSet.from_table(step.read_table("facts.parquet"), settings.name), beside=_beside(step.path)),
            FactsReport.model_validate_json((step.path / _REPORT).read_text(encoding="utf-8")),
        )


def read_facts(settings: FactsSettings) -> tuple[FactSet, FactsReport]:
    """The fact set and its report, without writing a step."""
    facts, report, _ = _clean(_read(settings, _user_synonyms(settings)), settings)
    return facts, report


def load_facts(name: str | Path) -> FactSet:
    """The facts named by a user: "pocket" or "pocket-shop" (shipped), a facts or label step, or a data path.

    Examples:
        >>> from recollect import load_facts
        >>> load_facts("pocket").counts()
        {'train': 1540, 'test': 660, 'ood': 924}
    """
    name = str(name)
    if name in SHIPPED:
        return FactSet(FactSet.read(SHIPPED[name].facts).facts, name)
    path = Path(name)
    if path.is_dir() and not is_entityquestions(path):
        kind = step_input(path, "facts", "pocket", "label").step
        facts = FactSet.read(path / "facts.parquet")
        return replace(facts, beside=_beside(path)) if kind == "facts" else facts
    if path.suffix == ".parquet" and path.is_file() and _is_own_table(path):
        return FactSet.read(path)  # ids, splits and synonyms as they stand
    return read_facts(FactsSettings.make(path=name, name=path.stem))[0]


def _beside(step: Path) -> Beside:
    """What a facts step kept beside its facts."""
    report = FactsReport.model_validate_json((step / _REPORT).read_text(encoding="utf-8"))
    file = step / _VALIDATION
    validation = FactSet.read(file).facts if file.is_file() else ()
    return Beside(validation, UNSPLIT in report.rows_read, tuple(report.notes))


def _is_own_table(path: Path) -> bool:
    try:
        return set(SCHEMA) <= set(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}.") from None


def _read(settings: FactsSettings, table: Synonyms | None) -> Reading:
    path = Path(settings.path)
    if settings.path in SHIPPED and not path.exists():
        path = SHIPPED[settings.path].facts

    def synonyms(object: str) -> tuple[str, ...]:
        if settings.shipped_synonyms:
            return synonyms_for(object, table)
        return table.get(object, ()) if table is not None else ()

    options = SourceOptions(
        source=settings.source,
        columns=parse_columns(settings.columns),
        relation=settings.relation_name,
        relations=settings.relations,
        choice_base=settings.choice_base,
        show_choices=settings.show_choices,
        bad_rows=settings.bad_rows,
    )
    return read_source(path, options, synonyms)


def _clean(reading: Reading, settings: FactsSettings) -> tuple[FactSet, FactsReport, pl.DataFrame]:
    drawn = not reading.split_given
    _reading.drop_repeated(reading)
    _reading.choose_relations(reading, settings.relations)
    _reading.split(reading, settings.test_share, settings.seed)
    _reading.find_overlap(reading, settings.drop_overlap)
    _reading.limit(reading, settings.limit_per_relation, settings.seed)
    if not reading.facts:
        lost = {reason: counts.total() for reason, counts in reading.dropped.items()}
        lost |= reading.bad.account().reasons
        reasons = ", ".join(f"{count:,} by {reason!r}" for reason, count in lost.items())
        rows = reading.read.total() + len(reading.bad.found)
        raise InputError(f"{settings.path}: no fact is left of {many(rows, 'row')}; dropped: {reasons}.")
    beside = Beside(_reading.for_validation(reading, settings.relations), drawn, tuple(reading.notes))
    facts = FactSet(tuple(reading.facts), settings.name, beside)
    relations = relation_table(facts)
    return facts, data_report(facts, reading, relations), relations


def _user_synonyms(settings: FactsSettings) -> Synonyms | None:
    return read_synonyms(Path(settings.synonyms_file)) if settings.synonyms_file is not None else None
