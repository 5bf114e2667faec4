"""Chapter: which training level serves which test level; with the headline's numbers and verdict of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recollect.core.estimates import proportion
from recollect.report.chapters.knows.charts import part_counts
from recollect.report.chapters.wakes.charts import MOST_SIZES, heat_chart, shown_sizes
from recollect.report.page.chapter import Card, Chapter
from recollect.report.page.environment import choice, signed
from recollect.report.page.verdict import named, verdict
from recollect.report.results.best import Best
from recollect.report.results.groups import Estimate, Group, Measured, base_measured, groups
from recollect.report.results.memory import Scores
from recollect.report.results.results import Results


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


def trained(results: Results) -> bool:
    """Whether the results are of a memory study."""
    return results.base is not None or bool(results.cells)


def context(results: Results) -> dict[str, Any] | None:
    """The heat maps."""
    if not trained(results):
        return None
    return {"heat": _heat(groups(results), *base_measured(results), _asked(results))}


def cards(results: Results) -> list[Card]:
    """The headline's four numbers."""
    if not trained(results):
        return []
    base, _ = base_measured(results)
    return [
        _known(results),
        _base(results, base.macro or base.micro if base else None, bool(base and base.macro)),
        _best(results.best),
        _against_random(results.best),
    ]


def _base(results: Results, value: Estimate | None, macro: bool) -> Card:
    scores = results.base.test if results.base else None
    note = f"{'macro' if macro else 'micro'} score in the training prompt"
    if scores is not None and macro and scores.micro is not None:
        note += f"; micro {scores.micro:.1f} %"
    return _score("Right before training (base, in-domain)", value, note)


def _best(best: Best | None) -> Card:
    what = "Right after the best choice (in-domain, facts that did not choose it)"
    if best is None or best.score is None or best.low is None or best.high is None:
        return Card(what, "–", "", "", "not measured")
    value = Estimate(best.score, best.low, best.high, best.score, best.score)
    return _score(what, value, f"{named(best.levels, best.size)}; {best.mean} over {best.judged_on:,} facts")


def _against_random(best: Best | None) -> Card:
    what = "Best choice against a random draw of equal size"
    if best is None or best.levels is None:
        return Card(what, "–", "", "", "no training is the best" if best else "no choice was judged")
    if best.levels == "random":
        return Card(what, "–", "", "", "the random draw is the best choice itself")
    if best.random is None:
        return Card(what, "–", "", "", "no random draw of that size")
    found = best.random
    clear = {None: "one training each: no claim", 0: "no clear difference", 1: "clear gain", -1: "clear loss"}
    return Card(
        what, signed(found.value), "points", clear[found.sign], f"{best.score:.1f} % against {found.score:.1f} %"
    )


def sentences(results: Results) -> list[str]:
    """The verdict."""
    return verdict(results) if trained(results) else []


def _known(results: Results) -> Card:
    what = "In-domain test facts the base knows at all (level 1 or higher)"
    counts = part_counts(results).get("test")
    if not counts:
        return Card(what, "–", "", "", "not measured")
    n = sum(counts)
    share, low, high = proportion(n - counts[0], n).percent
    return Card(
        what,
        f"{share:.1f}",
        "%",
        f"{low:.1f} to {high:.1f}",
        f"{n - counts[0]:,} of {n:,} facts; {counts[4]:,} nearly always",
    )


def _score(what: str, value: Estimate | None, note: str) -> Card:
    if value is None:
        return Card(what, "–", "", "", "not measured")
    return Card(what, f"{value.value:.1f}", "%", f"{value.low:.1f} to {value.high:.1f}", note)


def _asked(results: Results) -> dict[str, Scores | None]:
    """Scores that tell how many facts each part has: the base's, else those of a trained model."""
    first = results.base or (results.cells[0] if results.cells else None)
    return {"test": first.test, "ood": first.ood} if first else {}


def facts_line(scores: Scores | None) -> str:
    """For example "Test facts: 18 of level 0, ...; 121 without a known level count in micro only."."""
    if scores is None:
        return ""
    counts = [f"{entry.n:,} of level {level}" for level, entry in sorted(scores.by_level.items())]
    line = f"Test facts: {', '.join(counts) or 'none with a known level'}."
    if scores.left_out:
        line += f" Level {', '.join(scores.left_out)} has too few and does not enter the macro score."
    if scores.without_level:
        line += f" {scores.without_level:,} more have no known level: they count in micro only."
    return line


def _heat(
    found: tuple[Group, ...], base: Measured | None, base_ood: Measured | None, asked: Mapping[str, Scores | None]
) -> list[HeatMap]:
    maps = []
    texts = {
        "test": ("In-domain", "Other facts of the relations that were trained on."),
        "ood": (
            "Out-of-domain",
            "Facts of relations that were never trained on: does waking one kind of fact wake others?",
        ),
    }
    for part, untrained in (("test", base), ("ood", base_ood)):
        title, text = texts[part]
        svg = heat_chart(found, part, untrained, title)
        if svg is None:
            continue
        if shown_sizes(found) != sorted({group.size for group in found}):
            text += f" Shown are {MOST_SIZES} sizes; the table has all."
        rows = [
            HeatRow(f"{group.size:,}", choice(group.levels), scores)
            for group in found
            if (scores := group.on(part)) is not None
        ]
        if untrained:
            rows.append(HeatRow("0", "no training", untrained))
        maps.append(HeatMap(title, text, svg, facts_line(asked.get(part)), rows))
    return maps


CHAPTER = Chapter("wakes", "Which examples wake it", context, cards, sentences)
