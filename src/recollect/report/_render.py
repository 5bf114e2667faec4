"""From results to one self-contained HTML page.

Notable choices
- Jinja2 with autoescape on; every text goes through `clean` first, so direction marks in an answer show.
- No scripts at all, and a content policy that would refuse them and every network load.
- Long texts and long lists are cut with a note, so the page stays far below 5 MB; results.json holds all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from statistics import median
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recollect.report._chart_heat import MOST_SIZES, heat_chart, shown_sizes
from recollect.report._chart_levels import (
    PART_NAMES,
    levels_chart,
    part_counts,
    relation_rows,
    relations_chart,
    wording_chart,
)
from recollect.report._chart_sizes import sizes_chart
from recollect.report._groups import Estimate, Group, Measured, groups, measured
from recollect.report._papers import claims
from recollect.report._results import Example, Kind, Results
from recollect.report._text import clean, cut
from recollect.report._verdict import judge, verdict

CHAPTERS = (
    ("headline", "In short"),
    ("knows", "What the base knows"),
    ("wakes", "Which examples wake it"),
    ("sizes", "How many examples"),
    ("examples", "Answers to read"),
    ("method", "Settings and method"),
)
LEVEL_TEXTS = ("never right", "right up to 25 %", "25–50 %", "50–75 %", "over 75 % of the time")
KINDS: tuple[Kind, ...] = ("woken", "lost", "still wrong", "still right")
MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Card:
    """One big number of the headline."""

    what: str
    value: str
    unit: str
    interval: str
    note: str


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


def render(results: Results) -> str:
    """The report as HTML text; equal results give equal text."""
    found = groups(results)
    base = measured(results.base.test)
    base_ood = measured(results.base.ood) if results.base.ood else None
    parts, relations = part_counts(results), relation_rows(results)
    examples = _examples(results)
    return _environment().get_template("report.html.j2").render(
        r=results,
        created=_date(results.created),
        style=Markup(_environment().get_template("style.css").render()),
        chapters=CHAPTERS,
        level_texts=LEVEL_TEXTS,
        part_names=PART_NAMES,
        cards=cards(results),
        verdict=verdict(results),
        parts=parts,
        levels_svg=levels_chart(parts) if parts else None,
        relations=relations,
        relations_svg=relations_chart(relations),
        wording_svg=wording_chart(relations),
        heat=_heat(found, base, base_ood),
        groups=found,
        one_size=len({group.size for group in found}) == 1,
        sizes_svg=sizes_chart(found, base, base_ood),
        interval_text=interval_text(found),
        claims=claims(results),
        examples=examples,
        tuned_by=list(dict.fromkeys(example.tuned_by for example in examples)),
        most_examples=MOST_EXAMPLES,
    )  # fmt: skip


def cards(results: Results) -> list[Card]:
    """The headline's four numbers."""
    found = judge(results)
    found_known = _known(results)
    best = found.best.test.macro if found.best else None
    rival = found.random.test.macro if found.random else None
    return [
        found_known,
        _score("Right before training (base, in-domain)", found.base.macro, "macro score in the training prompt"),
        _score(
            "Right after the best training (in-domain)",
            best,
            found.best.name if found.best else "nothing was trained",
        ),
        Card(
            "Best choice against a random draw of equal size",
            f"{best.value - rival.value:+.1f}".replace("-", "−") if best and rival else "–",
            "points" if best and rival else "",
            ("clear difference" if best.apart(rival) else "no clear difference") if best and rival else "",
            f"{best.value:.1f} % against {rival.value:.1f} %"
            if best and rival
            else "no choice by level to compare"
            if not best
            else "no random draw of that size",
        ),
    ]


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


def _known(results: Results) -> Card:
    what = "In-domain test facts the base knows at all (level 1 or higher)"
    counts = part_counts(results).get("test")
    if not counts:
        return Card(what, "–", "", "", "not measured")
    from scipy import stats

    n = sum(counts)
    inner = stats.binomtest(n - counts[0], n).proportion_ci(method="wilson")
    return Card(
        what,
        f"{100 * (n - counts[0]) / n:.1f}",
        "%",
        f"{100 * inner.low:.1f} to {100 * inner.high:.1f}",
        f"{n - counts[0]:,} of {n:,} facts; {counts[4]:,} nearly always",
    )


def _score(what: str, value: Estimate | None, note: str) -> Card:
    if value is None:
        return Card(what, "–", "", "", "not measured")
    return Card(what, f"{value.value:.1f}", "%", f"{value.low:.1f} to {value.high:.1f}", note)


def _heat(found: tuple[Group, ...], base: Measured, base_ood: Measured | None) -> list[HeatMap]:
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
            HeatRow(f"{group.size:,}", _choice(group.levels), scores)
            for group in found
            if (scores := group.on(part)) is not None
        ]
        if untrained:
            rows.append(HeatRow("0", "no training", untrained))
        maps.append(HeatMap(title, text, svg, rows))
    return maps


def _examples(results: Results) -> list[Example]:
    return [e for kind in KINDS for e in [e for e in results.examples if e.kind == kind][:MOST_EXAMPLES]]


def _choice(levels: str) -> str:
    return f"level {levels}" if levels.isdigit() else levels


def _count(value: int) -> str:
    for size, unit in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,}"


def _date(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return cut(text, 40)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _finalize(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("recollect.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
    )
    environment.filters.update(cut=cut, choice=_choice, count=_count, duration=_duration, median=median, value=_value)
    return environment
