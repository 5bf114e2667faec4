"""The verdict in plain sentences, computed from the results alone.

The rule is one: two scores differ clearly when their 95 % intervals do not overlap. It is strict (a paired
test on the same facts would find more), so "no clear difference" means not shown here, never
shown to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass

from recollect.report._groups import Estimate, Group, Measured, base_measured, groups
from recollect.report._results import Results

UNCLEAR = "no clear difference (the intervals overlap)"


@dataclass(frozen=True)
class Judgement:
    """What the verdict is about. Fields are None where the study did not measure them."""

    base: Measured | None
    base_ood: Measured | None
    best: Group | None
    """The selection with the highest in-domain macro score; random draws stand apart as its control."""
    random: Group | None
    """The random draw of the same size."""
    rival: Group | None
    """The next best selection of the same size."""


def judge(results: Results) -> Judgement:
    """Find the best selection and what stands beside it."""
    scored = [group for group in groups(results) if group.test.macro is not None]
    selections = [group for group in scored if group.levels != "random"]
    best = max(selections, key=_macro, default=None)  # the first of equals: the smaller size
    same = [group for group in scored if best and group.size == best.size and group is not best]
    base, base_ood = base_measured(results)
    return Judgement(
        base=base,
        base_ood=base_ood,
        best=best,
        random=next((group for group in same if group.levels == "random"), None),
        rival=max((group for group in same if group.levels != "random"), key=_macro, default=None),
    )


def verdict(results: Results) -> list[str]:
    """Sentences for a newcomer: the best choice; against random, base and next best; out-of-domain."""
    found = judge(results)
    best = found.best
    if best is None or best.test.macro is None:
        why = "No selection by memory level was trained, or none has a macro score in-domain"
        return [f"{why}, so there is no best choice to name."]
    macro = best.test.macro
    lines = [
        f"Best choice: {best.name}, right on {percent(macro)} of in-domain test questions "
        f"(each memory level counted equally)."
    ]
    if found.random is None or found.random.test.macro is None:
        lines.append("No random draw of the same size was trained, so nothing can be said about choosing at all.")
    else:
        lines.append(_against(f"{found.random.name}", macro, found.random.test.macro))
    if found.base is None or found.base.macro is None:
        lines.append("The untouched base has no macro score, so the gain of training cannot be stated.")
    else:
        lines.append(_against("the untouched base model", macro, found.base.macro))
    if found.rival is not None and found.rival.test.macro is not None:
        lines.append(_against(f"the next best at that size, {found.rival.name}", macro, found.rival.test.macro))
    lines += _out_of_domain(found, best)
    return lines


def difference(value: Estimate, other: Estimate) -> str:
    """For example "+3.1 points, a clear gain"."""
    points = f"{value.value - other.value:+.1f} points".replace("-", "−")
    if not value.apart(other):
        return f"{points}, {UNCLEAR}"
    return f"{points}, a clear {'gain' if value.above(other) else 'loss'}"


def percent(estimate: Estimate) -> str:
    """For example "57.5 % (55.1 to 59.9)"."""
    return f"{estimate.value:.1f} % ({estimate.low:.1f} to {estimate.high:.1f})"


def _against(other_name: str, value: Estimate, other: Estimate) -> str:
    return f"Against {other_name}, at {percent(other)}: {difference(value, other)}."


def _out_of_domain(found: Judgement, best: Group) -> list[str]:
    if best.ood is None or best.ood.macro is None:
        return ["Out-of-domain facts were not scored, so whether the gain carries over is open."]
    if found.base_ood is None or found.base_ood.macro is None:
        return [f"Out-of-domain it reaches {percent(best.ood.macro)}; the base was not scored there."]
    gained = difference(best.ood.macro, found.base_ood.macro)
    return [
        f"On relations it was never trained on (out-of-domain) it reaches {percent(best.ood.macro)}: "
        f"{gained} against the base."
    ]


def _macro(group: Group) -> float:
    assert group.test.macro is not None
    return group.test.macro.value
