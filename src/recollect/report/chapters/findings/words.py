"""Findings in words: how many are decided, each as one line, what a study would have to add, and numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from recollect.core.estimates import Estimate, Verdict
from recollect.core.numbers import many, with_interval
from recollect.report.chapters.findings.literature import literature
from recollect.report.scores.findings import CheckFound, FindingFound, Findings, Unit

VERDICTS: tuple[Verdict, ...] = ("confirmed", "refuted", "not decided here")
_SHOWN: dict[Unit, tuple[float, int, bool, str]] = {
    "points": (100, 1, True, " points"),
    "share": (100, 1, False, " %"),
    "nats": (1, 3, True, " nats"),
    "correlation": (1, 2, True, ""),
    "levels": (1, 2, True, " levels"),
}
"""Times, digits, sign and unit of each kind of number."""
_MORE_DIGITS = 3


def what_is_counted(found: Findings) -> str:
    """What the numbers of verdicts are of, since a finding is tested on every study of a grid."""
    several = {one.id for one in found.findings if not one.part}
    each = {one.id for one in found.findings if one.part}
    studies = len({one.part for one in found.findings if one.part})
    if studies < 2:
        return f"Of {many(len(several | each), 'finding')} of the papers"
    of_all = f" and {len(several)} on all together" if several else ""
    count = many(len(several | each), "finding")
    return (
        f"{count} of the papers, {len(each)} of them tested on each of {studies} studies{of_all}: of "
        f"{len(found.findings)} verdicts"
    )


def counts_line(found: Findings) -> str:
    """For example "Of 10 findings of the papers, 2 confirmed, 8 not decided here"."""
    counted = Counter(one.verdict for one in found.findings)
    counts = ", ".join(f"{counted[verdict]} {verdict}" for verdict in VERDICTS if counted[verdict])
    return f"{what_is_counted(found)}, {counts}"


def finding_line(one: FindingFound) -> str:
    """One finding with its verdict and the number that decides it, as one line."""
    check, title = one.deciding, literature()[one.id].title
    where = f" ({one.part})" if one.part else ""
    number = effect(check)
    end = f": {check.what} {number}" if number else ""
    says = f"; the finding says {says_of(check)}" if number and check.side else ""
    needs = f"; {check.needs}" if check.needs else ""
    return f"{title}{where}: {one.verdict}{end}{says}{needs}."


def first_line(found: Findings) -> str:
    """The finding that matters most: a refuted one, else a confirmed one; else what would decide most of them."""
    for verdict in ("refuted", "confirmed"):
        for one in found.findings:
            if one.verdict == verdict:
                return finding_line(one)
    needed = to_add(found)
    help_most = f" What would help most: {needed[0][0]} ({needed[0][1]})." if needed else ""
    return f"Of the papers' findings nothing is decided here.{help_most}"


def to_add(found: Findings) -> list[tuple[str, str]]:
    """What would decide what is not measured here, and the findings that it is for; what helps most first."""
    needed = _needed(found, lambda check: check.effect is None)
    needed = needed or _needed(found, lambda check: check.verdict == "not decided here")
    ordered = sorted(needed.items(), key=lambda one: (-len(one[1]), min(one[1])))
    return [(needs, _of(sorted(ids))) for needs, ids in ordered]


def _needed(found: Findings, counts: Callable[[CheckFound], bool]) -> dict[str, set[int]]:
    needed: dict[str, set[int]] = defaultdict(set)
    for one in found.findings:
        for check in one.checks:
            if check.needs and counts(check):
                needed[check.needs].add(one.id)
    return needed


def _of(ids: Sequence[int]) -> str:
    return f"finding{'' if len(ids) == 1 else 's'} {', '.join(map(str, ids))}"


# -- numbers ---------------------------------------------------------------------------------------------------


def effect(check: CheckFound) -> str:
    """The check's number with its interval; "" where nothing was measured."""
    found = check.effect
    if found is None:
        return "" if check.value is None else figure(check.value, check.unit)
    return _with_interval(found, check.unit, check.boundary)


def says_of(check: CheckFound) -> str:
    """For example "above 90.0 %"; "" where the side is not stored."""
    return f"{check.side} {figure(check.boundary, check.unit) if check.boundary else 0}" if check.side else ""


def figure(value: float, unit: Unit) -> str:
    """A number without an interval, in its unit."""
    times, digits, sign, name = _SHOWN[unit]
    return with_interval(times * value, None, None, digits, sign=sign and bool(value)) + name


def _with_interval(found: Estimate, unit: Unit, boundary: float) -> str:
    """With more digits where an end would look like the boundary itself, so that its side is seen."""
    times, digits, sign, name = _SHOWN[unit]
    value, low, high = (times * one for one in (found.value, found.low, found.high))
    edge, most = times * boundary, digits + _MORE_DIGITS
    while digits < most and any(one != edge and round(one, digits) == round(edge, digits) for one in (low, high)):
        digits += 1
    return with_interval(value, low, high, digits, sign=sign) + name
