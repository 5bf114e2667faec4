"""Chapter: raw answers before and after training, and what the base wrote after its sentence openings."""

from __future__ import annotations

from typing import Any

from recollect.report.chapters.wakes.view import trained
from recollect.report.page.chapter import Chapter
from recollect.report.results.memory import Example, Kind
from recollect.report.results.results import Results

KINDS: tuple[Kind, ...] = ("woken", "lost", "still wrong", "still right")
MOST_EXAMPLES = 10


def context(results: Results) -> dict[str, Any] | None:
    """At most `MOST_EXAMPLES` of each kind."""
    if not (trained(results) or results.examples or results.mapping_examples):
        return None
    examples = _examples(results)
    return {"examples": examples, "tuned_by": list(dict.fromkeys(example.tuned_by for example in examples))}


def _examples(results: Results) -> list[Example]:
    return [e for kind in KINDS for e in [e for e in results.examples if e.kind == kind][:MOST_EXAMPLES]]


CHAPTER = Chapter("examples", "Answers to read", context)
