"""Chapter: the meaning of the words, the settings, and where everything came from. It is always there."""

from __future__ import annotations

from typing import Any

from recollect.report._chapter import Chapter
from recollect.report._chapter_sizes import interval_text
from recollect.report._chapter_wakes import trained
from recollect.report._groups import groups
from recollect.report._results import Results


def context(results: Results) -> dict[str, Any] | None:
    """The glossary fits what was measured."""
    return {"trained": trained(results), "interval_text": interval_text(groups(results))}


CHAPTER = Chapter("method", "Settings and method", context)
