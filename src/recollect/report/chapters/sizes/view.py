"""Chapter: how the score moves with the number of examples, and what the published studies found."""

from __future__ import annotations

from typing import Any

from recollect.report.chapters.papers import claims
from recollect.report.chapters.sizes.charts import sizes_chart
from recollect.report.chapters.wakes.view import trained
from recollect.report.page.chapter import Chapter
from recollect.report.results.groups import Group, base_measured, groups
from recollect.report.results.results import Results


def context(results: Results) -> dict[str, Any] | None:
    """The curve, its table and the findings."""
    if not trained(results):
        return None
    found = groups(results)
    return {
        "groups": found,
        "one_size": len({group.size for group in found}) == 1,
        "sizes_svg": sizes_chart(found, *base_measured(results)),
        "interval_text": interval_text(found),
        "claims": claims(results),
    }


def interval_text(found: tuple[Group, ...]) -> str:
    """How the intervals were made, in words that fit this study."""
    if not found:
        return "95 % intervals over the test facts."
    most = max(len(group.seeds) for group in found)
    if most == 1:
        return (
            "95 % intervals over the test facts. Each point is one training run (one seed), so how much "
            "another draw of training examples would change it is not measured: run several seeds to see."
        )
    return (
        f"Points are means over up to {most} seeds (other examples, other order). The 95 % intervals "
        "join two errors: the mean interval of the single runs over the test facts, and the spread between "
        "seeds (Student's t with a standard deviation pooled over all training choices and sizes)."
    )


CHAPTER = Chapter("sizes", "How many examples", context)
