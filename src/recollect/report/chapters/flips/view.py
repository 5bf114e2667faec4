"""Chapter: which answers flipped, in both directions, by training and beside a prompt with examples."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from recollect.core.numbers import estimate, number
from recollect.report.chapters.flips.charts import MOST_ROWS, PARTS, FlipGroup, flip_groups, flips_chart
from recollect.report.chapters.flips.record import FlippedQuestion, FlipsFound, collect
from recollect.report.page.chapter import Chapter
from recollect.report.page.results import Results


@dataclass(frozen=True)
class FlipLine:
    """One row of the table."""

    part: str
    name: str
    size: str
    questions: str
    lost: str
    """Counts, averaged over seeds."""
    gained: str
    lost_share: str
    """Less chance, in percent."""
    gained_share: str
    difference: str
    p: str


@dataclass(frozen=True)
class FlipsView:
    """What the chapter shows."""

    svg: Markup
    cut: bool
    """Whether the chart shows some rows only."""
    lines: list[FlipLine]
    lost: list[FlippedQuestion]
    gained: list[FlippedQuestion]
    models: int
    judge: str
    prompt: bool
    chance: float
    """The greatest mean chance of a guess, in percent."""
    seeds: bool
    notes: list[str]


def context(results: Results) -> FlipsView | None:
    """Shown for a study whose base and trained models answered the same questions."""
    found = results.of(FlipsFound)
    svg = None if found is None else flips_chart(found.rows)
    if found is None or svg is None:
        return None
    groups = [(title, group) for part, title in PARTS.items() for group in flip_groups(found.rows, part)]
    counts = [len(flip_groups(found.rows, part)) for part in PARTS]
    return FlipsView(
        svg=svg,
        cut=max(counts) > MOST_ROWS,
        lines=[_line(title, group) for title, group in groups],
        lost=found.lost,
        gained=found.gained,
        models=found.models,
        judge=found.judge,
        prompt=any(row.levels is None for row in found.rows),
        chance=100 * max(row.flips.chance for row in found.rows),
        seeds=any(len(group.rows) > 1 for _, group in groups),
        notes=found.notes,
    )


def _line(part: str, group: FlipGroup) -> FlipLine:
    flips = [row.flips for row in group.rows]
    alone = flips[0] if len(flips) == 1 else None

    def mean(values: list[float], digits: int = 1) -> str:
        return number(fmean(values), 0 if alone else digits)

    return FlipLine(
        part=part,
        name=group.name,
        size="" if group.levels is None else f"{group.size:,}",
        questions=f"{flips[0].n:,}",
        lost=mean([one.right_to_wrong.count for one in flips]),
        gained=mean([one.wrong_to_right.count for one in flips]),
        lost_share=_share([one.right_to_wrong.share.value for one in flips]),
        gained_share=_share([one.wrong_to_right.share.value for one in flips]),
        difference=estimate(alone.difference, sign=True)
        if alone
        else number(100 * fmean(one.difference.value for one in flips), sign=True),
        p=f"{alone.p:.2g}" if alone else "–",
    )


def _share(values: list[float]) -> str:
    return number(100 * fmean(values))


def terms(results: Results) -> list[tuple[str, str]]:
    """Flips, and how chance is taken off them."""
    found = results.of(FlipsFound)
    if found is None:
        return []
    text = (
        "An answer that was right with the untouched base and is wrong with a trained model, or the other way round, "
        "to the same question."
    )
    if any(row.flips.chance for row in found.rows):
        text += (
            " Shares are less what two guesses would give: a model is taken to know an answer or to guess among the "
            "answers that a relation's questions have (after arXiv 2510.17776). Counts are as they are."
        )
    return [("Flip", text)]


CHAPTER = Chapter(
    __name__,
    "Which answers flipped",
    context,
    terms=terms,
    record=FlipsFound,
    collect=collect,
)
