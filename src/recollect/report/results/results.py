"""What a study found, as one typed, JSON-able object: the report's only input, also written as results.json.

Notable choices
- Every chapter has its own schema (`_results_<chapter>.py`) and may be absent; then the page leaves it out.
- Accuracies are percentages (0 to 100), memory scores R are shares (0 to 1). "Not measured" is
  null, never NaN.
- Unknown keys are refused, so a file from another version is an error and never half understood.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from recollect.core.workspace import check_stored
from recollect.errors import InputError
from recollect.facts import Part
from recollect.report.chapters.attributes.record import Attributes
from recollect.report.chapters.curve.record import Curve
from recollect.report.chapters.drift.record import Drift
from recollect.report.chapters.search.record import Search
from recollect.report.results.best import Best
from recollect.report.results.common import Count, Record
from recollect.report.results.memory import (
    BaseScores,
    Cell,
    Example,
    LevelCount,
    MappingExample,
    Probe,
    RelationLevels,
    TemplateRate,
)

RESULTS_FILE = "results.json"
SCHEMA_VERSION: Literal[2] = 2


class Model(Record):
    """The base model."""

    name: str
    fingerprint: str
    parameters: Count


class Facts(Record):
    """The fact set and how many facts each part has."""

    name: str
    fingerprint: str
    train: Count
    test: Count
    ood: Count


class SettingValue(Record):
    """One setting of one step and where its value came from (default, file, flag, study)."""

    step: str
    name: str
    value: str | int | float | bool | list[Any] | dict[str, Any] | None
    origin: str


class StepRecord(Record):
    """A step directory the study used."""

    step: str
    path: str
    fingerprint: str
    seconds: float | None = None


class Results(Record):
    """All a report shows. Build it from the steps of a study, or read it with `read_results`."""

    schema_version: Literal[2] = SCHEMA_VERSION
    title: str
    created: str
    """When the study finished, ISO 8601."""
    version: str
    """Recollect's version."""
    model: Model | None = None
    facts: Facts | None = None
    probe: Probe | None = None
    """Null in a report that is not about memory levels."""
    levels: list[LevelCount] = Field(default_factory=list)
    levels_by_relation: list[RelationLevels] = Field(default_factory=list)
    template_rates: list[TemplateRate] = Field(default_factory=list)
    borderline: dict[Part, Count] = Field(default_factory=dict)
    """Facts per part whose score lies so near to an edge that another probe could give the next level."""
    base: BaseScores | None = None
    cells: list[Cell] = Field(default_factory=list)
    best: Best | None = None
    """The best choice, judged on questions that did not choose it; null when none was trained."""
    examples: list[Example] = Field(default_factory=list)
    mapping_examples: list[MappingExample] = Field(default_factory=list)
    drift: Drift | None = None
    """What training changed and broke; null when it was not measured."""
    curves: list[Curve] = Field(default_factory=list)
    """Score over training size, one curve per part of the test items."""
    attributes: Attributes | None = None
    """What was read from pages, by attribute; null when the task is not about pages."""
    search: Search | None = None
    """A search for settings; null in a report without one."""
    settings: list[SettingValue] = Field(default_factory=list)
    steps: list[StepRecord] = Field(default_factory=list)
    machine: str = ""
    notes: list[str] = Field(default_factory=list)
    """Warnings: a shortfall of facts, a level left out, ..."""

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        cells = [f"{cell.levels}, {cell.size}, {cell.seed}" for cell in self.cells]
        levels = [f"{row.part}, {row.level}" for row in self.levels]
        for what, keys in (("cell (levels, size, seed)", cells), ("level count (part, level)", levels)):
            twice = sorted(key for key, n in Counter(keys).items() if n > 1)
            if twice:
                raise ValueError(f"every {what} may stand once, but ({twice[0]}) stands twice")
        return self

    @classmethod
    def make(cls, **values: Any) -> Results:
        """Build results from keyword values; a bad value raises InputError that says where."""
        return _validated(values, "the results")


def read_results(path: Path) -> Results:
    """Read a results.json, or the one in a report folder; InputError says what is wrong with it and where."""
    file = path / RESULTS_FILE if path.is_dir() else path
    check_stored(file)
    if not file.is_file():
        raise InputError(f"no such file: {file}. Give a {RESULTS_FILE} or the report folder that holds one.")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start}). Write it again with a study.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{file} is not valid JSON: {error}. Write it again with a study.") from None
    if not isinstance(values, dict):
        raise InputError(f"{file} must hold one JSON object, but holds {type(values).__name__}.")
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{file} must have schema_version {SCHEMA_VERSION}, but got {version!r}. Use the Recollect that wrote it."
        )
    return _validated(values, str(file))


def _validated(values: dict[str, Any], where: str, most: int = 5) -> Results:
    try:
        return Results(**values)
    except ValidationError as error:
        problems = error.errors()
    lines = []
    for item in problems[:most]:
        place = ".".join(str(part) for part in item["loc"]) or "results"
        got = repr(item["input"])
        got = got if len(got) <= 80 else got[:77] + "..."
        if item["type"] == "missing":
            lines.append(f"{place} must be given.")
        elif item["type"] == "extra_forbidden":
            lines.append(f"{place} is not a known key.")
        elif item["type"] == "value_error":
            lines.append(f"{place}: {item['msg'].removeprefix('Value error, ')}.")
        else:
            lines.append(f"{place}: {item['msg'][0].lower() + item['msg'][1:]}, but got {got}.")
    if len(problems) > most:
        lines.append(f"... and {len(problems) - most} more.")
    raise InputError(f"{where} cannot be used:\n" + "\n".join(lines))
