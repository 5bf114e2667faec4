"""Schema of the chapter on attributes: scores by attribute of every model and baseline, and pages to read."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recollect.report.page.record import Count, Fraction, Record

SystemKind = Literal["base", "tuned", "baseline", "model"]
"""base: untouched; tuned: trained on `size` examples; baseline: no model at all; model: one that was just asked."""
PagePart = Literal["test", "ood"]
SpanKind = Literal["found", "missed", "taken"]


class AttributeScore(Record):
    """Right values among the true ones (which is recall too), with precision and F1 beside."""

    accuracy: Fraction | None = None
    """Its n are the true values."""
    given: Count = 0
    """Values the model gave, right or wrong."""
    precision: Fraction | None = None
    f1: Fraction | None = None


class AttributeRun(Record):
    """One model's scores on one part of the pages."""

    seed: int | None = None
    macro: Fraction | None = None
    """Unweighted mean of the attributes' accuracies."""
    by_attribute: dict[str, AttributeScore] = Field(default_factory=dict)
    invalid: Fraction | None = None
    """Share of answers that are no JSON object, among all answers."""
    pages: Count = 0


class AttributeSystem(Record):
    """All runs (seeds) of one way to get the values, on pages of known shops and of new ones."""

    name: str
    kind: SystemKind
    size: Count | None = None
    """Training examples; null where nothing was trained."""
    test: list[AttributeRun] = Field(default_factory=list)
    ood: list[AttributeRun] = Field(default_factory=list)


class PageValue(Record):
    """One attribute of one page: what is true, and what each model said."""

    attribute: str
    truth: list[str]
    """Every accepted value; empty where the page has none."""
    given: list[str | None]
    """One per model of the example; null where it gave none."""
    right: list[bool]


class PageSpan(Record):
    """A stretch of the prompt: a true value that the last model found or missed, or a wrong one that it took."""

    attribute: str
    kind: SpanKind
    start: Count
    end: Count


class PageExample(Record):
    """One page as the models saw it."""

    page: str
    part: PagePart
    prompt: str
    left_out: Count = 0
    """Characters of the prompt that are not kept here."""
    models: Annotated[list[str], Field(min_length=1)]
    """Who was asked, in the order of the values' `given`; the spans are the last one's."""
    values: list[PageValue]
    spans: list[PageSpan] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for value in self.values:
            if not len(value.given) == len(value.right) == len(self.models):
                raise ValueError("every value must have one entry in given and right for each of the models")
        for span in self.spans:
            if not span.start < span.end <= len(self.prompt):
                raise ValueError(f"a span must lie in the prompt, but got {span.start} to {span.end}")
        return self


class Attributes(Record):
    """What was read from pages, by attribute."""

    names: Annotated[list[str], Field(min_length=1)]
    """The attributes, in the order of the schema."""
    systems: Annotated[list[AttributeSystem], Field(min_length=1)]
    examples: list[PageExample] = Field(default_factory=list)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        runs = [run for system in self.systems for run in (*system.test, *system.ood)]
        strange = sorted({name for run in runs for name in run.by_attribute} - set(self.names))
        if strange:
            raise ValueError(f"scores must be of the named attributes, but {strange[0]} is not among them")
        return self
