"""Chapter: the papers' findings, each tested on this study or grid and corrected for their number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from recollect.core.estimates import Estimate, Verdict
from recollect.core.numbers import with_interval
from recollect.report.chapters.findings.charts import MOST, Bar, effects_chart
from recollect.report.chapters.findings.collect import collect
from recollect.report.chapters.findings.literature import Finding, literature
from recollect.report.chapters.findings.record import CheckFound, FindingFound, Findings, Unit
from recollect.report.page.chapter import Chapter, InShort
from recollect.report.page.results import Results

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


@dataclass(frozen=True)
class FindingsView:
    """What the chapter shows."""

    findings: list[FindingView]
    tested: int
    several: bool
    """Whether there are several studies."""
    counts: list[tuple[str, str, int]]
    """Mark, verdict and how many findings have it."""
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
    return FindingsView(
        findings=[
            FindingView(known[number], [_part(one) for one in found.findings if one.id == number]) for number in numbers
        ],
        tested=found.tested,
        several=any(one.part for one in found.findings),
        counts=[(mark, verdict, counted[verdict]) for verdict, mark in _MARKS.items() if counted[verdict]],
        svg=effects_chart(bars),
        most_bars=MOST,
        bars=len(bars),
        published=any(bar.published is not None for bar in bars),
    )


def in_short(results: Results) -> InShort:
    """How many findings hold here, by name where they are decided."""
    found = results.of(Findings)
    if found is None or not found.tested:
        return InShort()
    refuted = [finding_line(one) for one in found.findings if one.verdict == "refuted"]
    counted = Counter(one.verdict for one in found.findings)
    counts = ", ".join(f"{counted[verdict]} {verdict}" for verdict in _MARKS if counted[verdict])
    return InShort(sentences=[f"Of the papers' findings, tested together: {counts}.", *refuted[:_MOST_REFUTED]])


def finding_line(one: FindingFound) -> str:
    """One finding with its verdict and the number that decides it, as one line."""
    check, title = one.deciding, literature()[one.id].title
    where = f" ({one.part})" if one.part else ""
    number = _effect(check)
    end = f": {check.what} {number}" if number else ""
    needs = f"; {check.needs}" if check.needs else ""
    return f"{title}{where}: {one.verdict}{end}{needs}."


def _part(one: FindingFound) -> PartView:
    values = literature()[one.id].values
    checks = [_check(check, values[at] if at < len(values) else None) for at, check in enumerate(one.checks)]
    return PartView(one.part, _MARKS[one.verdict], one.verdict, checks)


def _check(check: CheckFound, value: float | None) -> CheckView:
    effect = check.effect
    return CheckView(
        what=check.what,
        effect=_effect(check),
        confidence=f"{100 * effect.confidence:.2f} %" if effect else "",
        claimed=f"{check.side} {_figure(check.boundary, check.unit) if check.boundary else 0}" if check.side else "",
        published="" if value is None else _figure(value, check.unit),
        mark=_MARKS[check.verdict],
        verdict=check.verdict,
        needs=check.needs,
        rows=[(row.name, _figure(row.value, check.unit)) for row in check.rows],
    )


_SHOWN: dict[Unit, tuple[float, int, bool, str]] = {
    "points": (100, 1, True, " points"),
    "share": (100, 1, False, " %"),
    "nats": (1, 3, True, " nats"),
    "correlation": (1, 2, True, ""),
}
"""Times, digits, sign and unit of each kind of number."""


def _effect(check: CheckFound) -> str:
    found = check.effect
    if found is None:
        return "" if check.value is None else _figure(check.value, check.unit)
    return _with_interval(found, check.unit)


def _with_interval(found: Estimate, unit: Unit) -> str:
    times, digits, sign, name = _SHOWN[unit]
    value, low, high = (times * one for one in (found.value, found.low, found.high))
    return with_interval(value, low, high, digits, sign=sign) + name


def _figure(value: float, unit: Unit) -> str:
    times, digits, sign, name = _SHOWN[unit]
    return with_interval(times * value, None, None, digits, sign=sign and bool(value)) + name


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
