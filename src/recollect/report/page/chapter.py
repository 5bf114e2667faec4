"""What a chapter of the report is, and how to add one.

A chapter named `curve` is one folder, `chapters/curve/`, and one line, its name in `chapters/__init__.py`:

1. `record.py`: what it stores in results.json, a `Record`, and `collect`, which reads it from the step folders.
   Null is "not measured"; every value comes with its n and interval, as `core.estimates.Estimate`.
2. `charts.py`: its charts, drawn by `page.svg.draw`.
3. `view.py`: `CHAPTER = Chapter(__name__, "Title in plain words", context, ...)`. `context(results)` gives a dataclass
   whose fields the template sees, or None when the results hold nothing for it: then the chapter is left out and the
   others move up. It takes its record by `results.of(Curves)`, and never another chapter's: what several chapters show
   is in `scores/`.
4. `body.html.j2`: the body without its heading. It gets `r` (the results), `number` (the numbers of the shown chapters
   by id), `terms` and the context. Macros: `{%- from "macros.html.j2" import estimate, chip -%}`. Foreign text goes
   through `|cut`; a free text in a sentence stands in `<bdi>`. A `<figure>` has one `<div class="plot">` with an SVG,
   and its table beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from recollect.core.json_object import JsonObject
from recollect.report.page.record import Record
from recollect.report.page.results import Kind, Results


@dataclass(frozen=True)
class Card:
    """One big number of the headline."""

    what: str
    value: str
    unit: str = ""
    interval: str = ""
    note: str = ""


@dataclass(frozen=True)
class InShort:
    """What a chapter adds to "In short", the first chapter."""

    lead: str = ""
    cards: list[Card] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    small_print: str = ""
    opening: str = ""
    """A sentence that comes before those of all chapters."""


def _nothing(results: Results) -> InShort:
    return InShort()


def _no_terms(results: Results) -> list[tuple[str, str]]:
    return []


@dataclass(frozen=True)
class Source:
    """A finished step whose results are collected from its folder: a study, a curve or a search."""

    path: Path
    step: str
    """Which of them."""
    records: list[Record] = field(default_factory=list)
    """What the chapters before have collected."""

    def of(self, kind: type[Kind]) -> Kind | None:
        """The record of this kind among them."""
        return next((one for one in self.records if isinstance(one, kind)), None)


def _as_it_is(values: JsonObject) -> JsonObject:
    return values


def _not_stored(source: Source) -> Record | None:
    return None


@dataclass(frozen=True)
class Chapter:
    """One chapter: what it is called, what it stores and what it shows."""

    module: str
    """The name of its `view` module; the folder of that is its id, and has its template."""
    title: str
    context: Callable[[Results], object | None]
    """A dataclass with what the template needs; None leaves the chapter out."""
    in_short: Callable[[Results], InShort] = _nothing
    terms: Callable[[Results], list[tuple[str, str]]] = _no_terms
    """Words that it uses, with their meanings, for the glossary."""
    record: type[Record] | None = None
    """What it stores; None for a chapter that only shows what others store."""
    collect: Callable[[Source], Record | None] = _not_stored
    """Its record from the step folders alone, with no model; None where there is nothing for it."""

    older: Callable[[JsonObject], JsonObject] = _as_it_is
    """Its record's values from those of schema 2."""
    flat: tuple[str, ...] = ()
    """The names that stood beside the frame's in schema 2; without any, its record had its id as name."""

    @property
    def id(self) -> str:
        """Its anchor in the page and its key in results.json: the name of its folder."""
        return self.module.split(".")[-2]

    @property
    def template(self) -> str:
        """Names its template for `page.render.fill`."""
        return f"{self.module.rpartition('.')[0]}:body.html.j2"
