"""From results and chapters to one self-contained HTML page.

The page is its chapters in their order; those without data are left out, and numbers are counted from what is there.

Notable choices
- Jinja2 with autoescape on; every text goes through `clean` first, so direction marks in an answer show.
- No scripts at all, and a content policy that would refuse them and every network load.
- Long texts and long lists are cut with a note, so the page stays far below 5 MB; results.json holds all.
- A chapter that cannot be made is a line, and the others stand: hours of work may be in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from importlib import resources
from statistics import median

from jinja2 import ChoiceLoader, Environment, FunctionLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from recollect.core import numbers
from recollect.report.page import text
from recollect.report.page.chapter import Card, Chapter, InShort
from recollect.report.page.results import Results

LEVEL_TEXTS = ("never right", "right up to 25 %", "25–50 %", "50–75 %", "over 75 % of the time")
HEADLINE = ("headline", "In short")


@dataclass(frozen=True)
class _Made:
    """A chapter with what it shows; `failed` says why it cannot be made."""

    chapter: Chapter
    context: object = None
    in_short: InShort = field(default_factory=InShort)
    terms: Sequence[tuple[str, str]] = ()
    failed: str = ""


@dataclass(frozen=True)
class Shown:
    """A chapter on the page."""

    id: str
    title: str
    html: Markup


@dataclass(frozen=True)
class _Headline:
    leads: list[str]
    cards: list[Card]
    sentences: list[str]
    small_print: list[str]


def render_page(results: Results, chapters: Sequence[Chapter]) -> str:
    """The report as HTML text; equal results give equal text."""
    found = [made for chapter in chapters if (made := _made(chapter, results)) is not None]
    number = {HEADLINE[0]: 1} | {made.chapter.id: at for at, made in enumerate(found, 2)}
    parts = [made.in_short for made in found]
    headline = _Headline(
        leads=[part.lead for part in parts if part.lead],
        cards=[card for part in parts for card in part.cards],
        sentences=[
            *(part.opening for part in parts if part.opening),
            *(line for part in parts for line in part.sentences),
        ],
        small_print=list(dict.fromkeys(part.small_print for part in parts if part.small_print)),
    )
    terms = dict(term for made in found for term in made.terms)
    shown = [Shown(*HEADLINE, fill("headline.html.j2", r=results, **_values(headline)))]
    shown += [Shown(made.chapter.id, made.chapter.title, _body(made, results, number, terms)) for made in found]
    frame = {"version": results.version, "title": results.title, "style": style(), "chapters": shown}
    page = fill("report.html.j2", r=results, created=_date(results.created), **frame)
    return str(page)


def _made(chapter: Chapter, results: Results) -> _Made | None:
    try:
        context = chapter.context(results)
        if context is None:
            return None
        return _Made(chapter, context, chapter.in_short(results), chapter.terms(results))
    except Exception as error:
        return _Made(chapter, failed=_reason(error))


def _body(made: _Made, results: Results, number: dict[str, int], terms: dict[str, str]) -> Markup:
    if made.failed:
        return fill("failed.html.j2", reason=made.failed)
    try:
        return fill(made.chapter.template, r=results, number=number, terms=terms, **_values(made.context))
    except Exception as error:
        return fill("failed.html.j2", reason=_reason(error))


def _values(view: object) -> dict[str, object]:
    return {one.name: getattr(view, one.name) for one in fields(view)}  # type: ignore[arg-type]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {text.first_line(error)}"


def fill(template: str, **context: object) -> Markup:
    """Fill a template, `<name>` of page/templates or `<package>:<name>`; every text in it is escaped and cleaned."""
    return Markup(environment().get_template(template).render(**context))


def style() -> Markup:
    """The page's style sheet."""
    return Markup(environment().get_template("style.css").render())


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The one environment of all templates."""
    found = Environment(
        loader=ChoiceLoader([PackageLoader("recollect.report", "page/templates"), FunctionLoader(_of_package)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
    )
    shared = ("cut", "choice", "duration", "setting", "count", "model_name", "flags")
    found.filters.update({name: getattr(text, name) for name in shared}, median=median, value=text.plain)
    found.filters.update({one.__name__: one for one in (numbers.number, numbers.signed, numbers.interval)})
    found.globals["level_texts"] = LEVEL_TEXTS
    return found


def _of_package(name: str) -> str | None:
    package, _, file = name.partition(":")
    return (resources.files(package) / file).read_text(encoding="utf-8") if file else None


def _finalize(value: object) -> object:
    return text.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _date(created: str) -> str:
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return text.cut(created, 40)
