"""Chapter: the meaning of the words, the settings, and where everything came from. It is always there."""

from __future__ import annotations

from dataclasses import dataclass

from recollect.report.page.chapter import Chapter
from recollect.report.page.results import Results


@dataclass(frozen=True)
class MethodView:
    """Nothing of its own: the frame of the results and the chapters' terms are all it shows."""


def context(results: Results) -> MethodView:
    """Always shown."""
    return MethodView()


CHAPTER = Chapter(__name__, "Settings and method", context)
