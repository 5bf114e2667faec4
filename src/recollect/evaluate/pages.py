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

from recollect.core.workspace import Step, write_atomic, write_json
from recollect.evaluate.settings import PARTS, EvaluateSettings
from recollect.extraction.values import Decode, PageAnswer, Schema, items, judge, parse_answer, read_schema, score
from recollect.facts import Fact, FactSet

MAX_NEW_TOKENS = 256
"""Longest answer about a page, where the settings do not say: eight attributes as JSON."""

SCORES = "scores.json"


@dataclass(frozen=True)
class PageTask:
    """What page examples ask for."""

    schema: Schema
    asked: Mapping[str, tuple[str, ...]]
    """Attributes by fact id; a fact that is missing asks for all."""


def page_task(settings: EvaluateSettings, facts: FactSet) -> PageTask | None:
    """The task when the facts are page examples; None for facts of any other kind."""
    answers = [parse_answer(fact.object) if fact.object.startswith("{") else None for fact in facts]
    if not answers or None in answers:
        return None
    step = Path(settings.facts)
    stored = step / "schema.yaml"
    schema = read_schema(stored if stored.is_file() else "product")
    if not {name for answer in answers for name in answer or ()} <= set(schema.names):
        return None
    asked: dict[str, tuple[str, ...]] = {}
    if (step / "samples.parquet").is_file():
        table = pl.read_parquet(step / "samples.parquet", glob=False)
        asked = {row["fact_id"]: tuple(row["asked"]) for row in table.iter_rows(named=True)}
    return PageTask(schema, asked)


def for_pages(settings: EvaluateSettings) -> EvaluateSettings:
    """The settings with the pages' own default length of an answer, unless one was given."""
    if "max_new_tokens" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"max_new_tokens": MAX_NEW_TOKENS})


def write_page_scores(
    step: Step, task: PageTask, asked: Sequence[Fact], outputs: Mapping[str, str], decode: Decode
) -> dict[str, Any]:
    """Store values.parquet, items.parquet (both of strict JSON), scores.json and schema.yaml; returns the scores."""
    values, summary = page_scores(task, asked, outputs, "plain")
    step.write_table("values.parquet", values)
    step.write_table("items.parquet", items(values))
    if decode == "repaired":
        repaired_values, summary["repaired"] = page_scores(task, asked, outputs, "repaired")
        step.write_table("values_repaired.parquet", repaired_values)
    write_json(step.folder / SCORES, summary)
    write_atomic(step.folder / "schema.yaml", lambda file: file.write(task.schema.text().encode()))
    return summary


def page_scores(
    task: PageTask, asked: Sequence[Fact], outputs: Mapping[str, str], decode: Decode
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Every value judged, and the scores: the test part at the top, other parts by name."""
    answers = [_answer(task, fact, parse_answer(outputs[fact.id], decode)) for fact in asked]
    values = judge(task.schema, answers)
    parts: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        given = [answer.given for answer in answers if answer.part == part]
        invalid = sum(answer is None for answer in given)
        parts[part] = score(values.filter(pl.col("part") == part), task.schema, invalid, len(given))
    others = {part: numbers for part, numbers in parts.items() if part != "test" and numbers["answers"]}
    return values, {**parts["test"], **others}


def _answer(task: PageTask, fact: Fact, given: Mapping[str, str] | None) -> PageAnswer:
    """The answer with the truth that the fact tells; each synonym is the whole answer with another true value."""
    truth: dict[str, list[str]] = {}
    for accepted in fact.accepted:
        for name, value in (parse_answer(accepted) or {}).items():
            if value not in truth.setdefault(name, []):
                truth[name].append(value)
    return PageAnswer(fact.id, fact.subject, truth, given, task.asked.get(fact.id), fact.part)
