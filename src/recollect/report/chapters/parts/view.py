"""Chapter: the parts of a grid."""

from __future__ import annotations

from dataclasses import dataclass

from recollect.core.numbers import NOTHING, interval, many, number, signed
from recollect.core.workspace.experiment import Failed, by_reason
from recollect.report.chapters.elicits.verdict import against_base
from recollect.report.chapters.parts.record import Parts, PartScores, collect
from recollect.report.page.chapter import Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.scores.record import Best, examples_of

CLAIMS = {0: "no clear difference", 1: "clear gain", -1: "clear loss", None: "one training each: no claim"}
METHODS = {"full": "all parameters", "lora": "LoRA"}


@dataclass(frozen=True)
class Row:
    """A part with its words."""

    part: PartScores
    method: str
    best_of: str
    """What its best model is trained on."""
    asked: str
    """Which questions base and best are scored on."""
    gain: str
    ends: str
    """Of its interval."""
    claim: str
    """What is claimed of the gain."""


@dataclass(frozen=True)
class PartsView:
    """The table of parts, and what failed."""

    rows: list[Row]
    failed: list[tuple[str, str]]
    """Names with the reason that they have in common, where the notes above do not tell it."""
    any_failed: bool
    pages: bool
    """Whether one of them is about pages."""


def context(results: Results) -> PartsView | None:
    """Shown for a grid."""
    found = results.of(Parts)
    if found is None:
        return None
    rows = [_row(one) for one in found.parts]
    failed = by_reason([Failed(name=one.name, reason=one.reason) for one in found.failed])
    untold = [
        (", ".join(names), why) for why, names in failed.items() if not any(why in note for note in results.notes)
    ]
    return PartsView(rows, untold, bool(failed), any(one.pages for one in found.parts))


def _row(part: PartScores) -> Row:
    best, method = part.chosen, METHODS.get(part.method, part.method)
    gain, inside, claim, asked = NOTHING, "", "", "pages of known shops" if part.pages else ""
    if best is not None:
        asked = f"{many(best.counted, 'fact')}, {_levels(best)}"
        if best.base is not None:
            gain, found = signed(100 * best.base.value), best.base.interval
            inside = interval(*found.percent[1:], sign=True) if found else ""
            claim = CLAIMS[best.base.sign]
    return Row(part, method, _trained_on(part), asked, gain, inside, claim)


def _levels(best: Best) -> str:
    if best.mean == "micro":
        return "all counted equally"
    levels = ", ".join(map(str, best.macro_levels))
    return f"level {levels} alone" if len(best.macro_levels) == 1 else f"mean of levels {levels}"


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
    if part.chosen is not None:
        return f"{part.name}: {against_base(part.chosen)}"
    score = number(part.best.percent[0])
    base = "" if part.base is None else f"; the untouched base {number(part.base.percent[0])} %"
    return f"{part.name}: with {_trained_on(part)}, {score} % of the values on pages are right (macro){base}."


CHAPTER = Chapter(__name__, "The studies", context, in_short, record=Parts, collect=collect)
