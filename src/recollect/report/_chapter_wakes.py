"""Chapter: which training level serves which test level; with the headline's numbers and verdict of the study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recollect.report._chapter import Card, Chapter
from recollect.report._chart_heat import MOST_SIZES, heat_chart, shown_sizes
from recollect.report._chart_levels import part_counts
from recollect.report._environment import choice, signed
from recollect.report._groups import Estimate, Group, Measured, base_measured, groups
from recollect.report._results import Results
from recollect.report._verdict import judge, verdict
from recollect.statistics import proportion


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
    rows: list[HeatRow]


def trained(results: Results) -> bool:
    """Whether the results are of a memory study."""
    return results.base is not None or bool(results.cells)


def context(results: Results) -> dict[str, Any] | None:
    """The heat maps."""
    return {"heat": _heat(groups(results), *base_measured(results))} if trained(results) else None


def cards(results: Results) -> list[Card]:
    """The headline's four numbers."""
    if not trained(results):
        return []
    found = judge(results)
    found_known = _known(results)
    best = found.best.test.macro if found.best else None
    rival = found.random.test.macro if found.random else None
    return [
        found_known,
        _score(
            "Right before training (base, in-domain)",
            found.base.macro if found.base else None,
            "macro score in the training prompt",
        ),
        _score(
            "Right after the best training (in-domain)",
            best,
            found.best.name if found.best else "nothing was trained",
        ),
        Card(
            "Best choice against a random draw of equal size",
            signed(best.value - rival.value) if best and rival else "–",
            "points" if best and rival else "",
            ("clear difference" if best.apart(rival) else "no clear difference") if best and rival else "",
            f"{best.value:.1f} % against {rival.value:.1f} %"
            if best and rival
            else "no choice by level to compare"
            if not best
            else "no random draw of that size",
        ),
    ]


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


def _heat(found: tuple[Group, ...], base: Measured | None, base_ood: Measured | None) -> list[HeatMap]:
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
        maps.append(HeatMap(title, text, svg, rows))
    return maps


CHAPTER = Chapter("wakes", "Which examples wake it", context, cards, sentences)
