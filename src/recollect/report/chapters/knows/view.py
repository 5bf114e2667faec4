"""Chapter: the memory levels of the facts, per part and per relation, and how much the wording matters."""

from __future__ import annotations

from typing import Any

from recollect.report.chapters.knows.charts import (
    PART_NAMES,
    levels_chart,
    part_counts,
    relation_rows,
    relations_chart,
    wording_chart,
)
from recollect.report.page.chapter import Chapter
from recollect.report.results.results import Results


def context(results: Results) -> dict[str, Any] | None:
    """Charts and tables of the probe."""
    if results.probe is None and not results.levels:
        return None
    parts, relations = part_counts(results), relation_rows(results)
    return {
        "part_names": PART_NAMES,
        "parts": parts,
        "levels_svg": levels_chart(parts) if parts else None,
        "relations": relations,
        "relations_svg": relations_chart(relations),
        "wording_svg": wording_chart(relations),
    }


CHAPTER = Chapter("knows", "What the base knows", context)
