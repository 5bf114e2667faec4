"""What a finding comes down to: checks, each a claim about one number; or what is missing for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recollect.core.estimates import Claimed
from recollect.report.scores.findings import Unit


@dataclass(frozen=True)
class Check:
    """One claim of a finding about one number of this study."""

    what: str
    """What the number is, for a reader."""
    unit: Unit
    claimed: Claimed | None = None
    """None where the study lacks what it takes."""
    needs: str = ""
    """What would decide it: where nothing can, or where it is mostly the spread between trainings that does not."""
    rows: Sequence[tuple[str, float]] = ()
    """The single numbers behind it, by name."""
    side: Literal["above", "below"] = "above"
    """Of which side of the boundary the finding says the number is, where `claimed` does not say it."""
    boundary: float = 0.0
    section: Literal["", "curve", "search"] = ""
    """Which section of the study it is of; "" for the study's own trainings."""

    @property
    def repeats(self) -> str:
        """The setting that says how often each training is run."""
        return f"repeats in the section {self.section}" if self.section else "--repeats"

    @property
    def once(self) -> str:
        """What is missing where each training was run once."""
        if self.section == "search":
            return f"one search was run, so how far two lie apart is unknown: set {self.repeats} to 2 or more"
        return (
            f"each training was run once, so the spread between trainings is unknown: set {self.repeats} to 2 or more"
        )

    @property
    def decidable(self) -> Claimed | None:
        """The claim, where every cell was trained more than once."""
        return self.claimed if self.claimed is not None and self.claimed.measure.repeats > 1 else None


def missing(
    what: str, unit: Unit, needs: str, side: Literal["above", "below"] = "above", boundary: float = 0.0
) -> Check:
    """A check that the study cannot make, with what the finding says of its number."""
    return Check(what, unit, needs=needs, side=side, boundary=boundary)
