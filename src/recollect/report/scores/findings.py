"""The findings of the papers, tested on a study or on all studies of a grid: what the chapter on them stores, and what
others show of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from recollect.core.estimates import Verdict
from recollect.report.page.record import Count, Finite, Measured, Number, Record

Unit = Literal["points", "nats", "share", "correlation", "levels"]
"""Points are shown times 100, shares in percent; the record holds fractions."""


class CheckRow(Record):
    """One of the numbers behind a check."""

    name: str
    value: Finite


class CheckFound(Record):
    """One claim about one number of the study."""

    what: str
    unit: Unit
    side: Literal["above", "below"] | None = None
    """Of which side of the boundary the number is, by the finding, measured or not; null in some earlier results."""
    boundary: Finite = 0.0
    effect: Measured | None = None
    """With the interval that the verdict rests on, at its corrected confidence; null: not measured."""
    value: Number = None
    """The number where it has no interval, for want of repeats."""
    verdict: Verdict = "not decided here"
    needs: str = ""
    """What would decide it."""
    rows: list[CheckRow] = []


class FindingFound(Record):
    """One finding, tested on one study (or, where it is about several models, on all of the grid)."""

    id: Count
    """As in docs/studies.md."""
    part: str = ""
    """Which study of the grid; "" for the only one, and for a finding about several."""
    verdict: Verdict
    """Confirmed when every check is, refuted when any check is."""
    checks: list[CheckFound]

    @property
    def deciding(self) -> CheckFound:
        """The check that the verdict rests on: the first refuted, else the first not decided, else the first."""
        for verdict in ("refuted", "not decided here"):
            for one in self.checks:
                if one.verdict == verdict == self.verdict:
                    return one
        return self.checks[0]


class Findings(Record):
    """All findings."""

    tested: Count
    """Checks with an interval; their verdicts hold together at 95 %."""
    findings: list[FindingFound]

    def verdict(self, number: int, places: Sequence[int] = ()) -> Verdict | None:
        """Of a finding, or of some of its checks alone, on the one study of the page; None where it was not tested."""
        found = next((one for one in self.findings if one.id == number and not one.part), None)
        if found is None:
            return None
        checks = [found.checks[at].verdict for at in places if at < len(found.checks)]
        if not places or not checks:
            return found.verdict
        return joined(checks)

    def answer(self) -> list[dict[str, object]]:
        """For the JSON of `recollect study`: each finding with the numbers of its deciding check; effect, low and high
        are null where nothing was measured."""
        return [_answer(one) for one in self.findings]


def joined(verdicts: Sequence[Verdict]) -> Verdict:
    """Confirmed when every one is, refuted when any is."""
    if "refuted" in verdicts:
        return "refuted"
    return "confirmed" if all(one == "confirmed" for one in verdicts) else "not decided here"


def _answer(one: FindingFound) -> dict[str, object]:
    check = one.deciding
    effect = check.effect
    return {
        "id": one.id,
        **({"part": one.part} if one.part else {}),
        "verdict": one.verdict,
        "effect": effect.value if effect else check.value,
        "low": effect.low if effect else None,
        "high": effect.high if effect else None,
        "what": check.what,
        "unit": check.unit,
        **({"needs": check.needs} if check.needs else {}),
    }
