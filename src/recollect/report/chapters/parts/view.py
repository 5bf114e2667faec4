"""Chapter: the parts of a grid."""

from __future__ import annotations

from dataclasses import dataclass

from recollect.core.numbers import number, signed
from recollect.report.chapters.parts.record import FailedPart, Parts, PartScores, collect
from recollect.report.page.chapter import Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.scores.record import examples_of

METHODS = {"full": "all parameters", "lora": "LoRA"}


@dataclass(frozen=True)
class Row:
    """A part with its words."""

    part: PartScores
    method: str
    best_of: str
    """What its best model is trained on."""


@dataclass(frozen=True)
class PartsView:
    """The table of parts, and what failed."""

    rows: list[Row]
    failed: list[FailedPart]
    pages: bool
    """Whether one of them is about pages."""


def context(results: Results) -> PartsView | None:
    """Shown for a grid."""
    found = results.of(Parts)
    if found is None:
        return None
    rows = [Row(one, METHODS.get(one.method, one.method), _trained_on(one)) for one in found.parts]
    return PartsView(rows, found.failed, any(one.pages for one in found.parts))


def _trained_on(part: PartScores) -> str:
    return "no model was trained" if part.size is None else examples_of(part.levels, part.size)


def in_short(results: Results) -> InShort:
    """How many parts there are, and what the best choice of each brings."""
    found = results.of(Parts)
    if found is None:
        return InShort()
    count = f"{len(found.parts)} {'study' if len(found.parts) == 1 else 'studies'}"
    models = sum(part.models for part in found.parts)
    lead = f"{count} with {models:,} trained {'model' if models == 1 else 'models'}, each with a report of its own."
    return InShort(lead=lead, sentences=[line for part in found.parts[:20] if (line := _sentence(part))])


def _sentence(part: PartScores) -> str:
    if part.best is None or part.size is None:
        return ""
    gain = ""
    if part.gain is not None:
        value, low, high = part.gain.percent
        gain = f", {signed(value)} points ({signed(low)} to {signed(high)}) against the untouched base"
    score = number(part.best.percent[0])
    if part.pages:
        base = "" if part.base is None else f"; the untouched base {number(part.base.percent[0])} %"
        return f"{part.name}: with {_trained_on(part)}, {score} % of the values on pages are right (macro){base}."
    return f"{part.name}: best is {_trained_on(part)}, with {score} % on questions that did not choose it{gain}."


CHAPTER = Chapter(__name__, "The studies", context, in_short, record=Parts, collect=collect)
