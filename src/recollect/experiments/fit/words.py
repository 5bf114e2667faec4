"""Numbers of the advice, in words."""

from __future__ import annotations

from recollect.core.estimates import Estimate
from recollect.core.numbers import estimate, interval, many, number
from recollect.core.workspace.fit import Contender, FitFound, Power

UNKNOWN = " How far apart other seeds lie was not measured: the interval leaves the luck of a training out."
UNTOLD = "which is better cannot be told"
"""Of a difference whose interval holds zero: it is no proof that there is none."""


def points(found: Estimate | None) -> str:
    """A difference with its interval."""
    return f"{estimate(found, sign=True)} points"


def both(one: Contender) -> str:
    """What the taken one has more than another, with the interval over the questions and that over luck, too."""
    if one.gap is None or one.over_questions is None:
        return points(one.gap)
    alone, wide = (interval(*found.percent[1:], sign=True) for found in (one.over_questions, one.gap))
    value = number(one.gap.percent[0], sign=True)
    return f"{value} points ({alone} over these questions; {wide} also over the luck of a training)"


def would_tell(power: Power | None) -> str:
    """How many questions would tell."""
    if power is None or power.needed is None:
        return ""
    if power.luck:
        return " More questions alone would not tell: the luck of a training may be as large; more seeds would."
    if power.needed <= power.asked:
        return ""
    return (
        f" About {many(power.needed, f'test {power.unit}')} would tell, in four of five tests at the "
        f"{100 * power.confidence:.3g} % that this verdict is held to; there were {power.asked:,}."
    )


def used(found: FitFound) -> str:
    """How many examples the taken one was trained on."""
    of = f"of {many(found.sets.train, 'training example')}"
    if found.chosen != "ours" or len(found.members) < 2:
        return f"{found.best.examples:,} {of}"
    least, most = min(found.members), max(found.members)
    each = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    return f"{each} {of} in each of its {len(found.members)} trainings, {found.together:,} different ones together"
