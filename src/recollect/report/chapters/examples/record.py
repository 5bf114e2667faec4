"""Record of the chapter on answers to read: answers before and after training, and completions by the base."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from pydantic import BeforeValidator, Field

from recollect.evaluate import RIGHT, EvaluateResult
from recollect.facts import Part
from recollect.probe import read_examples
from recollect.report.page.chapter import Source
from recollect.report.page.evenly import evenly
from recollect.report.page.record import Level, Record, Share
from recollect.report.page.text import choice
from recollect.report.scores.record import Trained
from recollect.report.scores.steps import CellSteps, is_about_pages, study_cells

_EXAMPLES_PER_KIND = 4

KindName = Literal["elicited", "lost", "still wrong", "still right"]
KINDS: tuple[KindName, ...] = ("elicited", "lost", "still wrong", "still right")


class Example(Record):
    """One test fact with the raw answers of the base and of a tuned model."""

    question: str
    object: str
    accepted: list[str] = Field(default_factory=list)
    level: Level
    part: Part
    base_answer: str
    tuned_answer: str
    tuned_by: str
    """Which tuned model answered, e.g. "60 facts of level 2, seed 0"."""
    base_right: bool
    tuned_right: bool
    kind: Annotated[KindName, BeforeValidator(lambda kind: "elicited" if kind == "woken" else kind)]
    """"woken" in results of schema 2."""


class Completion(Record):
    """What the base wrote after one mapping template."""

    template: str
    """The prompt: the template with the subject in it."""
    text: str
    hit: bool


class MappingExample(Record):
    """One fact with completions of its mapping prompts by the base."""

    question: str
    object: str
    level: Level
    part: Part
    score: Share = None
    """Memory score R, 0 to 1."""
    completions: list[Completion]


class Answers(Record):
    """Answers to read."""

    examples: list[Example] = Field(default_factory=list)
    mapping_examples: list[MappingExample] = Field(default_factory=list)


def collect(source: Source) -> Answers | None:
    """Of a study of facts: the base's answers beside those of the best choice on the choosing facts; else None."""
    if source.step != "study" or is_about_pages(source):
        return None
    steps, cells, trained = source.path / "steps", study_cells(source), source.of(Trained)
    best = trained.best if trained else None
    shown = next(
        (c for c in cells if best and (c.levels, c.size) == (best.levels, best.size)), cells[-1] if cells else None
    )
    return Answers(
        examples=_examples(EvaluateResult(steps / "base").outputs(), shown) if shown else [],
        mapping_examples=_mapping_examples(read_examples(steps / "probe")),
    )


def _examples(before: pl.DataFrame, cell: CellSteps) -> list[Example]:
    """Facts on which the training changed the answer and on which it did not, some of each kind."""
    after = cell.evaluation.outputs().select("fact_id", "output", RIGHT)
    both = before.join(after, on="fact_id", suffix="_tuned", maintain_order="left")
    was, now = pl.col(RIGHT), pl.col(f"{RIGHT}_tuned")
    kinds: dict[KindName, pl.Expr] = {
        "elicited": ~was & now,
        "lost": was & ~now,
        "still wrong": ~was & ~now,
        "still right": was & now,
    }
    return [
        Example(
            question=row["question"],
            object=row["object"],
            accepted=[row["object"], *row["synonyms"]],
            level=row["level"],
            part=row["part"],
            base_answer=row["output"],
            tuned_answer=row["output_tuned"],
            tuned_by=f"{cell.size} facts, {choice(cell.levels)}, seed {cell.seed}",
            base_right=row[RIGHT],
            tuned_right=row[f"{RIGHT}_tuned"],
            kind=kind,
        )
        for kind, rule in kinds.items()
        for row in _spread(both.filter(rule & pl.col("level").is_not_null())).iter_rows(named=True)
    ]


def _spread(table: pl.DataFrame) -> pl.DataFrame:
    """Some rows evenly spaced in the order of level, so that the examples are not all of one kind."""
    return table.sort("level", "fact_id")[evenly(table.height, _EXAMPLES_PER_KIND)]


def _mapping_examples(draws: pl.DataFrame | None) -> list[MappingExample]:
    """One test fact per level with what the probe drew after some of its mapping templates."""
    if draws is None:
        return []
    found = []
    for of_level in draws.filter(pl.col("part") != "train").partition_by("level", maintain_order=True):
        fact = of_level.row(0, named=True)
        shown = of_level.filter(fact_id=fact["fact_id"]).select("prompt", "text", "hit").rows()
        found.append(
            MappingExample(
                question=fact["question"],
                object=fact["object"],
                level=fact["level"],
                part=fact["part"],
                score=min(1.0, max(0.0, fact["score"])),
                completions=[Completion(template=prompt, text=text, hit=hit) for prompt, text, hit in shown],
            )
        )
    return found
