"""Chapter: the meaning of the words, the settings, and where everything came from. It is always there."""

from __future__ import annotations

from typing import Any

from recollect.report.chapters.sizes.view import interval_text
from recollect.report.chapters.wakes.view import trained
from recollect.report.page.chapter import Chapter
from recollect.report.results.groups import groups
from recollect.report.results.results import Results


def context(results: Results) -> dict[str, Any] | None:
    """The glossary fits what was measured."""
    return {"trained": trained(results), "interval_text": interval_text(groups(results))}


CHAPTER = Chapter("method", "Settings and method", context)
