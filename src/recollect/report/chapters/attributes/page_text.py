"""A page's text with the stretches that hold values marked; the text is hostile and stays text.

Spans may overlap (a brand inside a title). The text is cut at every end of a span, each piece is cleaned and escaped by
itself, and a tag with the attribute's name follows where its span ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from recollect.report.chapters.attributes.record import PageSpan
from recollect.report.page.text import clean

SIGNS = {"found": "✓", "missed": "✗", "taken": "≠"}
CLASSES = {"found": "hit", "missed": "miss", "taken": "took"}  # in the style sheet
_WORST_FIRST = ("missed", "taken", "found")


def marked(text: str, spans: Sequence[PageSpan]) -> Markup:
    """The text as HTML with `<mark class="hit|miss|took">` around every span."""
    cuts = sorted({0, len(text), *(span.start for span in spans), *(span.end for span in spans)})
    parts: list[Markup] = []
    for start, end in pairwise(cuts):
        piece = escape(clean(text[start:end]))
        here = [span for span in spans if span.start <= start and end <= span.end]
        if here:
            kind = next(kind for kind in _WORST_FIRST if any(span.kind == kind for span in here))
            piece = Markup('<mark class="{}">{}</mark>').format(CLASSES[kind], piece)
        parts.append(piece)
        parts += [_tag(span) for span in here if span.end == end]
    return Markup("").join(parts)


def _tag(span: PageSpan) -> Markup:
    return Markup('<small class="{}">{} {}</small>').format(CLASSES[span.kind], SIGNS[span.kind], clean(span.attribute))
