"""Chapter: what was read from pages, attribute by attribute, and pages to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recollect.report.chapters.attributes.charts import (
    MACRO,
    MOST_ROWS,
    PARTS,
    SystemRow,
    attribute_rows,
    attributes_chart,
)
from recollect.report.chapters.attributes.record import PageExample
from recollect.report.page.chapter import Card, Chapter
from recollect.report.page.page_text import marked
from recollect.report.results.groups import Estimate
from recollect.report.results.results import Results

MOST_EXAMPLES = 6
MOST_ATTRIBUTES = 40


@dataclass(frozen=True)
class PageView:
    """One page as the chapter shows it."""

    example: PageExample
    part: str
    text: Markup
    right: int
    """True values that the last model got right, of `true`."""
    true: int


def context(results: Results) -> dict[str, Any] | None:
    """The chart, the tables and the pages."""
    found = results.attributes
    if found is None:
        return None
    return {
        "chart": attributes_chart(found),
        "tables": [(title, rows, _counts(rows)) for title, rows in attribute_rows(found)],
        "names": found.names[:MOST_ATTRIBUTES],
        "left_out": max(0, len(found.names) - MOST_ROWS),
        "macro": MACRO,
        "pages": [_view(example) for example in found.examples[:MOST_EXAMPLES]],
        "lines": sentences(results),
        "seeds": max((len(system.test) for system in found.systems), default=1),
    }


def _counts(rows: list[SystemRow]) -> dict[str, int]:
    """True values of each attribute on a part's pages."""
    entries = [item for row in rows for run in row.runs for item in run.by_attribute.items()]
    return {name: max(entry.n for other, entry in entries if other == name) for name, _ in entries}


def _view(example: PageExample) -> PageView:
    asked = [value for value in example.values if value.truth]
    return PageView(
        example,
        PARTS[example.part],
        marked(example.prompt, example.spans),
        sum(value.right[-1] for value in asked),
        len(asked),
    )


def cards(results: Results) -> list[Card]:
    """The macro score on known and on new shops, unless the curve has its own big numbers."""
    if results.attributes is None or results.curves:
        return []
    found = []
    for title, rows in attribute_rows(results.attributes):
        score = rows[-1].scores[MACRO]
        if score:
            found.append(Card(title, f"{score.value:.1f}", "%", _interval(score), f"macro, {rows[-1].system.name}"))
    return found


def sentences(results: Results) -> list[str]:
    """What the last model reads best and worst, and where it beats the best baseline."""
    found = results.attributes
    return [f"{title}: {_sentence(rows)}" for title, rows in attribute_rows(found)] if found else []


def _sentence(rows: list[SystemRow]) -> str:
    last = rows[-1]
    known = {name: score for name, score in last.scores.items() if score}
    macro = known.pop(MACRO, None)
    if macro is None:
        return f"{last.system.name} has no score."
    text = f"with {last.system.name}, {macro.value:.1f} % of the values are right (macro, {_interval(macro)})"
    best, worst = (choose(known, key=lambda name: known[name].value) for choose in (max, min))
    if best != worst:
        text += f"; best {best} ({known[best].value:.0f} %), worst {worst} ({known[worst].value:.0f} %)"
    rivals = [
        (score, row.system.name)
        for row in rows[:-1]
        if row.system.kind in ("baseline", "base") and (score := row.scores[MACRO]) is not None
    ]
    if rivals:
        score, name = max(rivals, key=lambda pair: pair[0].value)
        text += f". Without training, the best is the {name}: {score.value:.1f} % ({_interval(score)})"
    return text + "."


def _interval(score: Estimate) -> str:
    return f"{score.low:.1f} to {score.high:.1f}"


CHAPTER = Chapter("attributes", "What is read from pages", context, cards=cards, sentences=sentences)
