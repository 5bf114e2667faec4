"""The study's best choice: picked on one half of the in-domain test facts, judged on the other.

Notable choices
- Every training choice competes, the random draws and the untouched base too.
- All differences of one study hold at 95 % together: each has the confidence 1 - 0.05 / (number of differences).
- A difference between trainings has an interval only where both sides were trained at least twice.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recollect.report.results.common import Choice, Count, Level, Number, Percent, Record, need_interval


class Compared(Record):
    """The best choice less another model, in points, on questions that chose nothing."""

    levels: Choice | None = None
    """What the other was trained on; null for the untouched base."""
    size: Count = 0
    score: Percent
    """The other's own score there."""
    value: Annotated[float, Field(ge=-100, le=100)]
    low: Number = None
    """Null, as `high`, where at least one side was trained once: then nothing is said of the difference."""
    high: Number = None
    n: Count

    @property
    def sign(self) -> int | None:
        """1 or -1 where the interval excludes zero, 0 where it holds it, None without an interval."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > 0) - int(self.high < 0)


class Best(Record):
    """Which choice scored best on the choosing half, and what the judging half says of it."""

    levels: Choice | None
    """Null when no training was better than the untouched base."""
    size: Count
    seeds: Count
    mean: Literal["macro", "micro"]
    """micro where no memory level has enough facts in the choosing half."""
    macro_levels: list[Level]
    """The memory levels that the macro averages."""
    candidates: Count
    chosen_on: Count
    """Facts of the half that chose."""
    chosen_score: Percent
    judged_on: Count
    """Facts of the half that judges."""
    judged_facts: list[str] = []
    """Their ids; the other in-domain test facts chose. Empty in results of earlier versions."""
    score: Percent
    low: Percent
    high: Percent
    base: Compared | None = None
    """Against the untouched base; null when that is the best."""
    random: Compared | None = None
    """Against the random draw of the same size; null when that is the best, or was not trained."""
    rival: Compared | None = None
    """Against the next best selection by level of the same size, chosen on the same half."""
    ood_score: Percent = None
    ood_low: Percent = None
    ood_high: Percent = None
    ood_base: Compared | None = None
    """Out of domain, where nothing was chosen: against the untouched base."""

    @property
    def differences(self) -> int:
        """How many differences have an interval; those hold together at 95 %."""
        found = (self.base, self.random, self.rival, self.ood_base)
        return sum(one is not None and one.low is not None for one in found)

    @model_validator(mode="after")
    def _has_intervals(self) -> Self:
        need_interval("score", self.score, self.low, self.high)
        need_interval("ood_score", self.ood_score, self.ood_low, self.ood_high)
        return self
