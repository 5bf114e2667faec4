"""A plan in words."""

from __future__ import annotations

from recollect.core.numbers import many
from recollect.core.progress import duration
from recollect.experiments.plan.found import Plan, PlanRow


def size(count: int | None) -> str:
    """Bytes for people.

    Examples:
        >>> size(2_150_000_000), size(3_400_000), size(None)
        ('2.2 GB', '3.4 MB', 'not known')
    """
    if count is None:
        return "not known"
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1e3:,.1f} kB"


def how_long(seconds: float | None) -> str:
    """A time that is foretold: to the second for short ones, in days for long ones.

    Examples:
        >>> how_long(95), how_long(400_000), how_long(None)
        ('1:35', '4.6 days', 'not known')
    """
    if seconds is None:
        return "not known"
    return f"{seconds / 86_400:,.1f} days" if seconds >= 2 * 86_400 else duration(seconds)


def row_of(row: PlanRow) -> tuple[str, str, str, str, str]:
    """A line of the table: what, steps, there, time, work."""
    time = "–" if row.steps == row.there and not row.detail else how_long(row.seconds)
    return row.what, f"{row.steps:,}", f"{row.there:,}", time, row.detail


def lines(plan: Plan) -> list[str]:
    """What the plan comes to, below its table."""
    found = [
        f"{many(plan.steps, 'step')}, {plan.there:,} there; to do: {plan.completions:,} completions, "
        f"{plan.training_steps:,} training steps on {plan.training_tokens:,} tokens",
        f"time: {how_long(plan.seconds)}" + (f" ({plan.calibration})" if plan.calibration else ""),
        f"memory: {size(plan.memory_bytes)} ({plan.memory_of}); disk: {size(plan.disk_bytes)}",
    ]
    if plan.priced:
        found.append("price: not known, since the time is not" if plan.price is None else f"price: {plan.price:,.2f}")
    return found
