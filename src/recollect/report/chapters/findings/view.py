"""Chapter: the papers' findings, each tested on this study or grid and corrected for their number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from recollect.core.estimates import Verdict
from recollect.report.chapters.findings.charts import MOST, Bar, effects_chart
from recollect.report.chapters.findings.collect import collect
from recollect.report.chapters.findings.literature import Finding, literature
from recollect.report.chapters.findings.words import (
    counts_line,
    effect,
    figure,
    finding_line,
    first_line,
    says_of,
    to_add,
    what_is_counted,
)
from recollect.report.page.chapter import Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.scores.findings import CheckFound, FindingFound, Findings

_AT_END = re.compile(r" \([^)]*\)$")
_MOST_REFUTED = 4
_MARKS: dict[Verdict, str] = {"confirmed": "good", "refuted": "bad", "not decided here": ""}


@dataclass(frozen=True)
class CheckView:
    """One check in words and numbers."""

    what: str
    effect: str
    confidence: str
    claimed: str
    published: str
    mark: str
    verdict: Verdict
    needs: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class PartView:
    """What one study of the grid says of a finding."""

    name: str
    mark: str
    verdict: Verdict
    checks: list[CheckView]


@dataclass(frozen=True)
class FindingView:
    """One finding with what every study says of it."""

    finding: Finding
    parts: list[PartView]

    @property
    def decided(self) -> bool:
        """Whether a check of it is decided, in any study."""
        return any(check.verdict != "not decided here" for part in self.parts for check in part.checks)


@dataclass(frozen=True)
class FindingsView:
    """What the chapter shows."""

    findings: list[FindingView]
    """Those of which something is measured."""
    unmeasured: list[FindingView]
    to_add: list[tuple[str, str]]
    """What would decide more, and which findings."""
    tested: int
    checks: int
    """Checks, the tested ones among them."""
    several: bool
    """Whether there are several studies."""
    counted: str
    """What the verdicts are of."""
    counts: list[tuple[str, str, int]]
    """Mark, verdict and how many have it."""
    svg: Markup | None
    most_bars: int
    bars: int
    """Checks in points; the chart has the first of them."""
    published: bool
    """Whether the chart has a figure of a paper."""


def context(results: Results) -> FindingsView | None:
    """Shown where a model was trained."""
    found = results.of(Findings)
    if found is None or not found.findings:
        return None
    known = literature()
    numbers = list(dict.fromkeys(one.id for one in found.findings))
    bars = _bars(found)
    counted = Counter(one.verdict for one in found.findings)
    every = {
        number: FindingView(known[number], [_part(one) for one in found.findings if one.id == number])
        for number in numbers
    }
    measured = {one.id for one in found.findings if any(effect(check) for check in one.checks)}
    return FindingsView(
        findings=[view for number, view in every.items() if number in measured],
        unmeasured=[view for number, view in every.items() if number not in measured],
        to_add=to_add(found),
        checks=sum(len(one.checks) for one in found.findings),
        counted=what_is_counted(found),
        tested=found.tested,
        several=any(one.part for one in found.findings),
        counts=[(mark, verdict, counted[verdict]) for verdict, mark in _MARKS.items() if counted[verdict]],
        svg=effects_chart(bars),
        most_bars=MOST,
        bars=len(bars),
        published=any(bar.published is not None for bar in bars),
    )


def in_short(results: Results) -> InShort:
    """How many findings hold here, by name where they are decided; of a grid the first is the page's own first line."""
    found = results.of(Findings)
    if found is None or not found.findings:
        return InShort()
    first, several = first_line(found), any(one.part for one in found.findings)
    refuted = [finding_line(one) for one in found.findings if one.verdict == "refuted"][:_MOST_REFUTED]
    lines = [f"{counts_line(found)}.", *(refuted or [first])]
    if not several:
        return InShort(sentences=lines)
    return InShort(opening=first, sentences=[line for line in lines if line != first])


def _part(one: FindingFound) -> PartView:
    values = literature()[one.id].values
    checks = [_check(check, values[at] if at < len(values) else None) for at, check in enumerate(one.checks)]
    return PartView(one.part, _MARKS[one.verdict], one.verdict, checks)


def _check(check: CheckFound, value: float | None) -> CheckView:
    found = check.effect
    return CheckView(
        what=check.what,
        effect=effect(check),
        confidence=f"{100 * found.confidence:.2f} %" if found else "",
        claimed=says_of(check),
        published="" if value is None else figure(value, check.unit),
        mark=_MARKS[check.verdict],
        verdict=check.verdict,
        needs=check.needs,
        rows=[(row.name, figure(row.value, check.unit)) for row in check.rows],
    )


def _bars(found: Findings) -> Sequence[Bar]:
    bars: list[tuple[int, int, Bar]] = []
    for one in found.findings:
        values = literature()[one.id].values
        for at, check in enumerate(one.checks):
            if check.unit == "points" and check.effect is not None:
                where = f"{one.part}: " if one.part else ""
                value = values[at] if at < len(values) else None
                name = f"{one.id}. {where}{_AT_END.sub('', check.what)}"
                bars.append((one.id, at, Bar(name, check.effect, check.boundary, check.verdict, value)))
    return [bar for _, _, bar in sorted(bars, key=lambda one: one[:2])]  # the studies' bars of one check together


CHAPTER = Chapter(
    __name__,
    "The papers' findings, tested here",
    context,
    in_short,
    record=Findings,
    collect=collect,
)
