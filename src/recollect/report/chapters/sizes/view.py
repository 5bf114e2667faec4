"""Chapter: how the score moves with the number of examples, and what the published studies found."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from recollect.report.chapters.sizes.charts import sizes_chart
from recollect.report.chapters.sizes.claims import claims
from recollect.report.page.chapter import Chapter
from recollect.report.page.results import Results
from recollect.report.scores.findings import Findings
from recollect.report.scores.groups import Group, base_measured, groups, interval_text
from recollect.report.scores.papers import Told, told
from recollect.report.scores.record import Trained


@dataclass(frozen=True)
class SizesView:
    """The curve, its table and the findings."""

    groups: tuple[Group, ...]
    one_size: bool
    random: bool
    """Whether the control was trained."""
    base: bool
    """Whether the base was asked."""
    sizes_svg: Markup | None
    interval_text: str
    claims: list[Told]


def context(results: Results) -> SizesView | None:
    """Shown for every study that trained or asked a model."""
    if results.of(Trained) is None:
        return None
    found, bases = groups(results), base_measured(results)
    return SizesView(
        groups=found,
        one_size=len({group.size for group in found}) == 1,
        random=any(group.levels == "random" for group in found),
        base=any(one is not None and one.macro is not None for one in bases),
        sizes_svg=sizes_chart(found, *bases),
        interval_text=interval_text(found),
        claims=told(claims(results), results.of(Findings)),
    )


CHAPTER = Chapter(__name__, "How many examples", context)
