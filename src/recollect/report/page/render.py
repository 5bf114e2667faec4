"""From results to one self-contained HTML page.

The page is its chapters in the order of `CHAPTERS`; those without data are left out, and numbers are counted from what
is there. To add a chapter, see `chapter.py`.

Notable choices
- Jinja2 with autoescape on; every text goes through `clean` first, so direction marks in an answer show.
- No scripts at all, and a content policy that would refuse them and every network load.
- Long texts and long lists are cut with a note, so the page stays far below 5 MB; results.json holds all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from markupsafe import Markup

from recollect.report.chapters.attributes import view as _chapter_attributes
from recollect.report.chapters.curve import view as _chapter_curve
from recollect.report.chapters.drift import view as _chapter_drift
from recollect.report.chapters.examples import view as _chapter_examples
from recollect.report.chapters.knows import view as _chapter_knows
from recollect.report.chapters.method import view as _chapter_method
from recollect.report.chapters.search import view as _chapter_search
from recollect.report.chapters.sizes import view as _chapter_sizes
from recollect.report.chapters.wakes import view as _chapter_wakes
from recollect.report.page.chapter import Chapter
from recollect.report.page.environment import fill, style
from recollect.report.page.text import cut
from recollect.report.results.results import Results

CHAPTERS: tuple[Chapter, ...] = (
    _chapter_knows.CHAPTER,
    _chapter_search.CHAPTER,
    _chapter_wakes.CHAPTER,
    _chapter_sizes.CHAPTER,
    _chapter_curve.CHAPTER,
    _chapter_attributes.CHAPTER,
    _chapter_drift.CHAPTER,
    _chapter_examples.CHAPTER,
    _chapter_method.CHAPTER,
)
HEADLINE = ("headline", "In short")
FAILED = "failed"
"""Key of the reason why a chapter could not be made."""


def render(results: Results) -> str:
    """The report as HTML text; equal results give equal text."""
    found = [(chapter, context) for chapter in CHAPTERS if (context := _context(chapter, results)) is not None]
    number = {HEADLINE[0]: 1} | {chapter.id: at for at, (chapter, _) in enumerate(found, 2)}
    headline = {
        "cards": [card for chapter, context in found if FAILED not in context for card in chapter.cards(results)],
        "sentences": [
            line for chapter, context in found if FAILED not in context for line in chapter.sentences(results)
        ],
    }
    shown: list[tuple[str, str, dict[str, Any]]] = [(*HEADLINE, headline)]
    shown += [(chapter.id, chapter.title, context) for chapter, context in found]
    chapters = [
        {"id": name, "title": title, "html": _body(name, results, number, context)} for name, title, context in shown
    ]
    page = fill("report.html.j2", r=results, created=_date(results.created), style=style(), chapters=chapters)
    return str(page)


def _context(chapter: Chapter, results: Results) -> dict[str, Any] | None:
    """What the chapter's template needs; where it cannot be made, why, so that the other chapters still stand."""
    try:
        context = chapter.context(results)
        if context is not None:
            chapter.cards(results), chapter.sentences(results)
        return context
    except Exception as error:  # whatever went wrong in one chapter, hours of work are in the others
        return {FAILED: f"{type(error).__name__}: {first_line(error)}"}


def _body(name: str, results: Results, number: dict[str, int], context: dict[str, Any]) -> Markup:
    if FAILED in context:
        return fill("failed.html.j2", reason=context[FAILED])
    try:
        return fill(f"{name}/body.html.j2", r=results, number=number, **context)
    except Exception as error:  # as above
        return fill("failed.html.j2", reason=f"{type(error).__name__}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or ["no message"])[0][:300]


def _date(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return cut(text, 40)
