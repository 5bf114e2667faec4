"""What a chapter of the report is, and how to add one.

A chapter named `curve` is one folder, `chapters/curve/`, and two lines:

1. `record.py`: its schema, `Record` classes in the manner of `chapters/drift/record.py`. Null is "not measured"; every
   value comes with its n and interval.
2. In `results/results.py` one field: `curve: Curve | None = None`. In `report/__init__.py` the names a study needs.
3. `view.py`: `CHAPTER = Chapter("curve", "Title in plain words", context)`. `context(results)` gives what the template
   needs, or None when the results hold nothing for it: then the chapter is left out and the others move up.
4. `body.html.j2`: the body without its heading. It gets `r` (the results), `number` (the numbers of the shown chapters
   by id) and the context. Macros: `{%- from "macros.html.j2" import estimate, chip -%}`. Foreign text goes through
   `|cut`; a free text in a sentence stands in `<bdi>`. A `<figure>` has one `<div class="plot">` with an SVG from
   `page.svg.draw`, made in `charts.py`, and its table beside it.
5. One line in `CHAPTERS` of `page/render.py`, at its place on the page; and tests in `tests/report/`.

`cards` and `sentences` may add big numbers and a plain sentence or two to "In short", the first chapter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recollect.report.results.results import Results


@dataclass(frozen=True)
class Card:
    """One big number of the headline."""

    what: str
    value: str
    unit: str
    interval: str
    note: str


def _nothing(results: Results) -> list[Any]:
    return []


@dataclass(frozen=True)
class Chapter:
    """One chapter: an id (its anchor and its template's name), a title, and how its context is made."""

    id: str
    title: str
    context: Callable[[Results], dict[str, Any] | None]
    """What the template needs; None leaves the chapter out."""
    cards: Callable[[Results], list[Card]] = _nothing
    sentences: Callable[[Results], list[str]] = _nothing
