"""Chapter: which training level serves which test level; with the headline's numbers and verdict of the study."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.core.numbers import number, signed
from recollect.report.chapters.elicits.charts import MOST_SIZES, heat_chart, shown_sizes
from recollect.report.chapters.elicits.older import older
from recollect.report.chapters.elicits.record import collect
from recollect.report.chapters.elicits.verdict import verdict
from recollect.report.page.chapter import Card, Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.page.text import choice, ends
from recollect.report.scores.groups import Group, Measured, base_measured, groups, interval_text
from recollect.report.scores.record import Best, Scores, Trained, examples_of

LEAD = (
    "A language model has read about many facts, but remembers some better than others. This study measured how well "
    "the base model remembers each fact, fine-tuned it on small sets of facts of different memory levels, and scored "
    "every result on questions kept apart."
)
SMALL_PRINT = (
    "A difference is called clear only when its interval, which holds the spread between trainings, excludes zero. The "
    "best choice was picked on one half of the in-domain questions and is judged on the other."
)
PARTS = {
    "test": ("In-domain", "Other facts of the relations that were trained on."),
    "ood": (
        "Out-of-domain",
        "Facts of relations that were never trained on: does eliciting one kind of fact elicit others?",
    ),
}


@dataclass(frozen=True)
class HeatRow:
    """One row of a heat map's table."""

    size: str
    name: str
    measured: Measured


@dataclass(frozen=True)
class HeatMap:
    """The heat maps of one part, with their table."""

    title: str
    text: str
    svg: Markup
    facts: str
    """How many test facts of each level there are, and which of them the macro leaves out."""
    rows: list[HeatRow]


@dataclass(frozen=True)
class ElicitsView:
    """What the chapter shows."""

    heat: list[HeatMap]


def context(results: Results) -> ElicitsView | None:
    """The heat maps."""
    trained = results.of(Trained)
    return None if trained is None else ElicitsView(_heat(results, trained))


def in_short(results: Results) -> InShort:
    """The headline's three numbers, and the verdict."""
    return InShort(LEAD, cards(results), verdict(results), SMALL_PRINT)


def cards(results: Results) -> list[Card]:
    """The base before training, the best choice after it, and this against a random draw."""
    trained = results.of(Trained)
    if trained is None:
        return []
    return [_base(trained), _best(trained.best), _against_random(trained.best)]


def _base(trained: Trained) -> Card:
    scores = trained.base.test if trained.base else Scores()
    note = f"{'macro' if scores.macro else 'micro'} score in the training prompt"
    if scores.macro and scores.micro:
        note += f"; micro {100 * scores.micro.value:.1f} %"
    return _score("Right before training (base, in-domain)", scores.macro or scores.micro, note)


def _best(best: Best | None) -> Card:
    what = "Right after the best choice (in-domain, facts that did not choose it)"
    if best is None or best.score is None:
        return Card(what, "–", note="not measured")
    note = f"{examples_of(best.levels, best.size)}; {best.mean} over {best.judged_on:,} facts"
    if best.below:
        return _score("Right after the chosen training (in-domain, facts that did not choose it)", best.score, note)
    return _score(what, best.score, note)


def _against_random(best: Best | None) -> Card:
    what = f"{'Chosen training' if best and best.below else 'Best choice'} against a random draw of equal size"
    if best is None or best.levels is None:
        return Card(what, "–", note="no training is the best" if best else "no choice was judged")
    if best.levels == "random":
        return Card(what, "–", note="the random draw is the best choice itself")
    found = best.random
    if found is None:
        return Card(what, "–", note="no random draw of that size")
    clear = {0: "no clear difference", 1: "clear gain", -1: "clear loss", None: "one training each: no claim"}
    note = f"{_percent(best.score.value if best.score else None)} against {_percent(found.score)}"
    return Card(what, signed(100 * found.value), "points", clear[found.sign], note)


def _score(what: str, found: Estimate | None, note: str) -> Card:
    if found is None:
        return Card(what, "–", note="not measured")
    return Card(what, number(100 * found.value), "%", ends(found), note)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def facts_line(scores: Scores | None) -> str:
    """For example "Test facts: 18 of level 0, ...; 121 without a known level count in micro only."."""
    if scores is None:
        return ""
    counts = [f"{found.n:,} of level {level}" for level, found in sorted(scores.by_level.items())]
    line = f"Test facts: {', '.join(counts) or 'none with a known level'}."
    if scores.left_out:
        one = len(scores.left_out) == 1
        said = "has too few and does" if one else "have too few and do"
        line += f" Level{'' if one else 's'} {', '.join(scores.left_out)} {said} not enter the macro score."
    if scores.without_level:
        line += f" {scores.without_level:,} more have no known level: they count in micro only."
    return line


def _heat(results: Results, trained: Trained) -> list[HeatMap]:
    found, maps = groups(results), []
    asked = trained.base or (trained.cells[0] if trained.cells else None)  # tells how many facts each part has
    for part, untrained in zip(PARTS, base_measured(results), strict=True):
        title, text = PARTS[part]
        svg = heat_chart(found, part, untrained, title)
        if svg is None:
            continue
        if shown_sizes(found) != sorted({group.size for group in found}):
            text += f" Shown are {MOST_SIZES} sizes; the table has all."
        line = facts_line((asked.test if part == "test" else asked.ood) if asked else None)
        maps.append(HeatMap(title, text, svg, line, _rows(found, part, untrained)))
    return maps


def _rows(found: tuple[Group, ...], part: str, untrained: Measured | None) -> list[HeatRow]:
    rows = [
        HeatRow(f"{group.size:,}", choice(group.levels), scores)
        for group in found
        if (scores := group.on(part)) is not None
    ]
    return [*rows, HeatRow("0", "no training", untrained)] if untrained else rows


def terms(results: Results) -> list[tuple[str, str]]:
    """How scores are averaged, and what they are of."""
    if results.of(Trained) is None:
        return []
    return [
        (
            "Macro and micro",
            "Macro: the unweighted mean of the accuracies by level. Micro: the share of right answers over all "
            "facts, where common levels weigh more.",
        ),
        (
            "Base",
            "The weights as loaded, asked in the same prompt as the trained models. It has never seen that prompt, so "
            "part of every gain is learning to answer in its form.",
        ),
        (
            "In-domain, out-of-domain",
            "In-domain: other facts of the relations that were trained on. Out-of-domain: relations never trained on.",
        ),
        ("Intervals", interval_text(groups(results))),
    ]


CHAPTER = Chapter(
    __name__,
    "Which examples elicit it",
    context,
    in_short,
    terms=terms,
    record=Trained,
    collect=collect,
    older=older,
    flat=("base", "cells", "best"),
)
