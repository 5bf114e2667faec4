"""Numbers of the advice, in words."""

from __future__ import annotations

from recollect.core.estimates import Estimate
from recollect.core.numbers import estimate
from recollect.core.workspace.fit import Power


def points(found: Estimate | None) -> str:
    """A difference with its interval."""
    return f"{estimate(found, sign=True)} points"


def would_tell(power: Power | None) -> str:
    """How many questions would tell."""
    if power is None or power.needed is None or power.needed <= power.asked:
        return ""
    return f" About {power.needed:,} test questions would tell; there were {power.asked:,}."
