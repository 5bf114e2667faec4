"""Chapter: what was read from pages, attribute by attribute, and pages to look at."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from recollect.report.chapters.attributes.charts import (
    MACRO,
    MOST_ROWS,
    PARTS,
    SystemRow,
    attribute_rows,
    attributes_chart,
)
from recollect.report.chapters.attributes.collect import collect
from recollect.report.chapters.attributes.older import older
from recollect.report.chapters.attributes.page_text import marked
from recollect.report.chapters.attributes.record import Attributes, PageExample
from recollect.report.page.chapter import Card, Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.page.text import ends

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


@dataclass(frozen=True)
class AttributesView:
    """The chart, the tables and the pages."""

    chart: Markup
    tables: list[tuple[str, list[SystemRow], dict[str, int]]]
    names: list[str]
    left_out: int
    macro: str
    pages: list[PageView]
    lines: list[str]
    seeds: int


def context(results: Results) -> AttributesView | None:
    """Shown where values were read from pages."""
    found = results.of(Attributes)
    if found is None:
        return None
    return AttributesView(
        chart=attributes_chart(found),
        tables=[(title, rows, _counts(rows)) for title, rows in attribute_rows(found)],
        names=found.names[:MOST_ATTRIBUTES],
        left_out=max(0, len(found.names) - MOST_ROWS),
        macro=MACRO,
        pages=[_view(example) for example in found.examples[:MOST_EXAMPLES]],
        lines=_sentences(found),
        seeds=max((len(system.test) for system in found.systems), default=1),
    )


def _counts(rows: list[SystemRow]) -> dict[str, int]:
    """True values of each attribute on a part's pages."""
    entries = [item for row in rows for run in row.runs for item in run.by_attribute.items()]
    return {
        name: max(entry.accuracy.n if entry.accuracy else 0 for other, entry in entries if other == name)
        for name, _ in entries
    }


def _view(example: PageExample) -> PageView:
    asked = [value for value in example.values if value.truth]
    return PageView(
        example,
        PARTS[example.part],
        marked(example.prompt, example.spans),
        sum(value.right[-1] for value in asked),
        len(asked),
    )


def in_short(results: Results) -> InShort:
    """The macro score on known and on new shops, unless the results hold other chapters' big numbers too; and what the
    last model reads best and worst, and where it beats the best baseline."""
    found = results.of(Attributes)
    if found is None:
        return InShort()
    shown = [(title, rows[-1].system.name, rows[-1].scores[MACRO]) for title, rows in attribute_rows(found)]
    cards = [
        Card(title, f"{100 * score.value:.1f}", "%", ends(score), f"macro, {name}")
        for title, name, score in shown
        if score
    ]
    return InShort(cards=[] if len(results.chapters) > 1 else cards, sentences=_sentences(found))


def _sentences(found: Attributes) -> list[str]:
    return [f"{title}: {_sentence(rows)}" for title, rows in attribute_rows(found)]


def _sentence(rows: list[SystemRow]) -> str:
    last = rows[-1]
    known = {name: score for name, score in last.scores.items() if score}
    macro = known.pop(MACRO, None)
    if macro is None:
        return f"{last.system.name} has no score."
    text = f"with {last.system.name}, {100 * macro.value:.1f} % of the values are right (macro, {ends(macro)})"
    best, worst = (choose(known, key=lambda name: known[name].value) for choose in (max, min))
    if best != worst:
        text += f"; best {best} ({100 * known[best].value:.0f} %), worst {worst} ({100 * known[worst].value:.0f} %)"
    rivals = [
        (score, row.system.name)
        for row in rows[:-1]
        if row.system.kind in ("baseline", "base") and (score := row.scores[MACRO]) is not None
    ]
    if rivals:
        score, name = max(rivals, key=lambda pair: pair[0].value)
        text += f". Without training, the best is the {name}: {100 * score.value:.1f} % ({ends(score)})"
    return text + "."


CHAPTER = Chapter(
    __name__,
    "What is read from pages",
    context,
    in_short,
    record=Attributes,
    collect=collect,
    older=older,
)
