"""What a report shows, as one typed, JSON-able object: its frame, and one record for each chapter that has something.

Notable choices
- Shares of right answers and memory scores are fractions (0 to 1); "not measured" is null, never NaN.
- Unknown keys are refused, so a file from another version is an error and never half understood.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field, JsonValue, SerializeAsAny

from recollect.report.page.record import Count, Record

SCHEMA_VERSION: Literal[3] = 3
Kind = TypeVar("Kind", bound=Record)


class Model(Record):
    """The base model."""

    name: str
    fingerprint: str
    parameters: Count | None = None


class Facts(Record):
    """The fact set and how many facts each part has; null where the steps do not say."""

    name: str
    fingerprint: str
    train: Count | None = None
    test: Count | None = None
    ood: Count | None = None


class SettingValue(Record):
    """One setting of one step and where its value came from (default, file, flag, study)."""

    step: str
    name: str
    value: JsonValue
    origin: str


class StepRecord(Record):
    """A step directory that the report reads."""

    step: str
    path: str
    fingerprint: str
    seconds: float | None = None


class Results(Record):
    """All a report shows. `read_results` reads it, `collect_results` makes it from step folders.

    Examples:
        `study` is the folder of a `run_study`.

        >>> from recollect import read_results
        >>> results = read_results(study)
        >>> results.model.name, results.facts.name
        ('pocket', 'few')
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    title: str
    created: str
    """When the last step finished, ISO 8601."""
    version: str
    """Recollect's version."""
    model: Model | None = None
    facts: Facts | None = None
    chapters: dict[str, SerializeAsAny[Record]] = Field(default_factory=dict)
    """The record of each chapter, by the chapter's id."""
    settings: list[SettingValue] = Field(default_factory=list)
    steps: list[StepRecord] = Field(default_factory=list)
    machine: str = ""
    notes: list[str] = Field(default_factory=list)
    """Warnings: a shortfall of facts, a level left out, ..."""

    def of(self, kind: type[Kind]) -> Kind | None:
        """The record of this kind; None when no chapter has one."""
        return next((one for one in self.chapters.values() if isinstance(one, kind)), None)
