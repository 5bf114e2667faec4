"""The memory study: how well the base knows the facts, and what each training choice woke."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recollect.facts import Domain, Part
from recollect.report.results.common import Accuracy, Choice, Count, Level, Percent, Record, Share, need_interval

Kind = Literal["woken", "lost", "still wrong", "still right"]


class Scores(Record):
    """Scores of one model on one set of test facts, in percent, with 95 % intervals over the facts."""

    macro: Percent = None
    """Unweighted mean of the level accuracies (docs/studies.md §3)."""
    macro_low: Percent = None
    macro_high: Percent = None
    micro: Percent = None
    """Share of right answers over all facts."""
    micro_low: Percent = None
    micro_high: Percent = None
    by_level: dict[Literal["0", "1", "2", "3", "4"], Accuracy] = Field(default_factory=dict)
    n: Count | None = None
    """Facts asked; null in results of an earlier version."""
    without_level: Count = 0
    """Those whose memory level is not known: they count in micro only."""
    left_out: list[Literal["0", "1", "2", "3", "4"]] = Field(default_factory=list)
    """Levels with too few facts to enter the macro."""
    word_macro: Percent = None
    """The macro score when the stricter whole-word matcher judges."""

    @model_validator(mode="after")
    def _has_intervals(self) -> Self:
        need_interval("macro", self.macro, self.macro_low, self.macro_high)
        need_interval("micro", self.micro, self.micro_low, self.micro_high)
        return self


class Probe(Record):
    """How the memory scores were measured."""

    method: str
    templates: Count
    samples: Count
    temperature: float
    max_new_tokens: Count
    seconds: float | None = None
    matcher_version: str
    agreement_note: str | None = None
    """Text on how far two ways of measuring agree, if that was checked."""


class LevelCount(Record):
    """How many facts of a part have a memory level."""

    part: Part
    level: Level
    n: Count


class RelationLevels(Record):
    """The memory levels of one relation's facts in one part."""

    relation: str
    name: str
    domain: Domain
    part: Part
    counts: Annotated[list[Count], Field(min_length=5, max_length=5)]
    """Facts of level 0, 1, 2, 3, 4."""
    mean_score: Share = None
    """Mean memory score R, 0 to 1."""


class TemplateRate(Record):
    """Share of right completions (0 to 1) that one mapping template of a relation gets."""

    relation: str
    template_index: Count
    rate: Annotated[float, Field(ge=0, le=1)]


class BaseScores(Record):
    """The untouched base in the fine-tuning prompt."""

    test: Scores
    ood: Scores | None = None


class Cell(Record):
    """One fine-tuned model: what it was trained on, and its scores."""

    levels: Choice
    size: Annotated[int, Field(ge=1)]
    seed: int
    test: Scores
    ood: Scores | None = None
    train_seconds: float | None = None


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
    kind: Kind


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
