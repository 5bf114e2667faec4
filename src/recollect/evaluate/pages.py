"""Answers about pages: JSON objects, scored by attribute instead of by memory level.

Notable choices
- Facts are page examples when every object is a JSON object of the schema's attributes. The schema is the one stored
  in the label step, else the default one.
- The numbers at the top always come from strict JSON. A repaired reading is reported beside them, under `repaired`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import model_validator

from recollect.core.json_object import JsonObject
from recollect.core.workspace import Step
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.evaluate.settings import PARTS, EvaluateSettings
from recollect.extraction import need_pages
from recollect.extraction.values import (
    Decode,
    PageAnswer,
    PageScores,
    Schema,
    judge,
    parse_answer,
    read_schema,
    score,
    write_scores,
)
from recollect.facts import Fact, FactSet, Part
from recollect.match import DEFAULT_JUDGE

MAX_NEW_TOKENS = 256
"""Longest answer about a page, where the settings do not say: eight attributes as JSON."""


class PagesAsked(Result):
    """How well a model answered about pages, by part: test always, others where they were asked."""

    parts: dict[Part, PageScores]
    """From strict JSON."""
    repaired: dict[Part, PageScores] = {}
    """From repaired JSON, where that was asked for."""

    def in_percent(self) -> dict[str, object]:
        """The numbers of the JSON answer: known shops (test) at the top, other parts by name, the repaired reading."""
        return _by_name(self.parts) | ({"repaired": _by_name(self.repaired)} if self.repaired else {})

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, values: Any) -> Any:
        """Steps of earlier versions hold the JSON answer itself."""
        if not isinstance(values, dict) or "by_attribute" not in values:
            return values
        repaired = values.get("repaired")
        return {"parts": _by_part(values), "repaired": _by_part(repaired) if repaired else {}}


def _by_name(parts: Mapping[Part, PageScores]) -> dict[str, object]:
    return {**parts["test"].in_percent(), **{part: one.in_percent() for part, one in parts.items() if part != "test"}}


def _by_part(values: JsonObject) -> dict[Part, JsonObject]:
    return {"test": values, **{part: values[part] for part in PARTS if values.get(part)}}


@dataclass(frozen=True)
class PageTask:
    """What page examples ask for."""

    schema: Schema
    asked: Mapping[str, tuple[str, ...]]
    """Attributes by fact id; a fact that is missing asks for all."""


def page_task(settings: EvaluateSettings, facts: FactSet) -> PageTask | None:
    """The task when the facts are page examples; None for facts of any other kind.

    Raises MissingExtra for page examples where the extra `pages`, by which they are judged, is not installed.
    """
    answers = [parse_answer(fact.object) if fact.object.startswith("{") else None for fact in facts]
    if not answers or None in answers:
        return None
    step = Path(settings.facts)
    stored = step / "schema.yaml"
    schema = read_schema(stored if stored.is_file() else "product")
    if not {name for answer in answers for name in answer or ()} <= set(schema.names):
        return None
    need_pages("the evaluation of page examples")
    asked: dict[str, tuple[str, ...]] = {}
    if (step / "samples.parquet").is_file():
        table = pl.read_parquet(step / "samples.parquet", glob=False)
        asked = {row["fact_id"]: tuple(row["asked"]) for row in table.iter_rows(named=True)}
    return PageTask(schema, asked)


def for_pages(settings: EvaluateSettings) -> EvaluateSettings:
    """The settings with the pages' own default length of an answer, unless one was given.

    Raises InputError for another judge than the usual one: pages are scored by attribute.
    """
    if settings.judge != DEFAULT_JUDGE:
        raise InputError(
            f"these facts are page examples, which are scored by attribute; no judge goes with them, but got "
            f"judge={settings.judge}. Leave it out."
        )
    if "max_new_tokens" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"max_new_tokens": MAX_NEW_TOKENS})


def write_page_scores(
    step: Step, task: PageTask, asked: Sequence[Fact], outputs: Mapping[str, str], decode: Decode
) -> PagesAsked:
    """Store values.parquet, items.parquet (both of strict JSON), scores.json and schema.yaml; returns the scores."""
    values, parts = page_scores(task, asked, outputs, "plain")
    found = PagesAsked(parts=parts)
    if decode == "repaired":
        repaired_values, repaired = page_scores(task, asked, outputs, "repaired")
        found = PagesAsked(parts=parts, repaired=repaired)
        step.write_table("values_repaired.parquet", repaired_values)
    write_scores(step, task.schema, values, found.in_percent())
    return found


def page_scores(
    task: PageTask, asked: Sequence[Fact], outputs: Mapping[str, str], decode: Decode
) -> tuple[pl.DataFrame, dict[Part, PageScores]]:
    """Every value judged, and the scores by part: test always, others where they were asked."""
    answers = [_answer(task, fact, parse_answer(outputs[fact.id], decode)) for fact in asked]
    values = judge(task.schema, answers)
    parts: dict[Part, PageScores] = {}
    for part in PARTS:
        given = [answer.given for answer in answers if answer.part == part]
        if given or part == "test":
            parts[part] = score(values.filter(part=part), task.schema, given.count(None), len(given))
    return values, parts


def _answer(task: PageTask, fact: Fact, given: Mapping[str, str] | None) -> PageAnswer:
    """The answer with the truth that the fact tells; each synonym is the whole answer with another true value."""
    truth: dict[str, list[str]] = {}
    for accepted in fact.accepted:
        for name, value in (parse_answer(accepted) or {}).items():
            if value not in truth.setdefault(name, []):
                truth[name].append(value)
    return PageAnswer(fact.id, fact.subject, truth, given, task.asked.get(fact.id), fact.part)
