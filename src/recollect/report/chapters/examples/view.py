"""Chapter: raw answers before and after training, and what the base wrote after its sentence openings."""

from __future__ import annotations

from dataclasses import dataclass

from recollect.report.chapters.examples.record import KINDS, Answers, Example, MappingExample, collect
from recollect.report.page.chapter import Chapter
from recollect.report.page.results import Results
from recollect.report.scores.record import Trained

MOST_EXAMPLES = 10


@dataclass(frozen=True)
class ExamplesView:
    """At most `MOST_EXAMPLES` of each kind."""

    examples: list[Example]
    tuned_by: list[str]
    mapping_examples: list[MappingExample]


def context(results: Results) -> ExamplesView | None:
    """Shown for every study that asked a model."""
    answers = results.of(Answers)
    if answers is None and results.of(Trained) is None:
        return None
    answers = answers or Answers()
    examples = [e for kind in KINDS for e in [e for e in answers.examples if e.kind == kind][:MOST_EXAMPLES]]
    return ExamplesView(examples, list(dict.fromkeys(e.tuned_by for e in examples)), answers.mapping_examples)


CHAPTER = Chapter(
    __name__,
    "Answers to read",
    context,
    record=Answers,
    collect=collect,
    flat=("examples", "mapping_examples"),
)
