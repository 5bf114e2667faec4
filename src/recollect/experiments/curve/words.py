"""A verdict in words."""

from __future__ import annotations

import math

from recollect.core.estimates import Estimate
from recollect.core.workspace.curve import Doubt, Gain, Verdict


def verdict_lines(verdict: Verdict, unit: str = "points") -> list[str]:
    """The verdict in a few sentences: what it is, what more data would bring, what to run next."""
    return [_finding(verdict, unit), *_double_line(verdict, unit), *_next_line(verdict)]


def _finding(verdict: Verdict, unit: str) -> str:
    largest, margin = f"{verdict.sizes[-1]:,}", f"{verdict.margin:g} {unit}"
    percent = f"{100 * verdict.confidence:.0f} % interval"
    if verdict.name == "saturated":
        low, high = (f"{math.ceil(n):,}" for n in (verdict.n_sat.low, verdict.n_sat.high))
        where = "the smallest size run" if low == high else f"where that begins: above {low}, at most {high}; {percent}"
        return (
            f"Saturated: from {high} examples on, no larger measured size up to {largest} brings more than {margin} "
            f"({where})."
        )
    if verdict.name == "rising" and verdict.last_doubling is not None:
        gain = verdict.last_doubling
        return (
            f"Still rising at {largest} examples: from {gain.start:,} to {gain.end:,} the score rose by "
            f"{_signed(gain.points)} {unit} ({percent} {_ends(gain.points)}), measured."
        )
    if verdict.name == "peaked" and verdict.n_hurts is not None:
        low, high = (f"{math.ceil(n):,}" for n in (verdict.n_hurts.low, verdict.n_hurts.high))
        return (
            f"Peaked: of the measured sizes {math.ceil(verdict.n_best.value):,} is best; between {low} and {high} more "
            f"data begins to cost over {margin}. At {largest} the score is {verdict.loss.value:.1f} below the best "
            f"({percent} {verdict.loss.low:.1f} to {verdict.loss.high:.1f}), measured."
        )
    reasons = "; ".join(_doubt(doubt, verdict, unit) for doubt in verdict.doubts)
    return f"Undecided at a margin of {margin}: {reasons}."


def _doubt(doubt: Doubt, verdict: Verdict, unit: str) -> str:
    if doubt.change is None:
        return "every size was trained once, so nobody knows how far two trainings lie apart"
    change = (
        f"from {doubt.first:,} to {doubt.last:,} the score changed by {_signed(doubt.change)} {unit} "
        f"({100 * verdict.confidence:.0f} % interval {_ends(doubt.change)})"
    )
    if doubt.kind == "gap":
        return f"{change}, and no size between them was run, so the last doubling is not known"
    return f"{change}, so a {doubt.kind} of more than the margin is neither certain nor excluded"


def _double_line(verdict: Verdict, unit: str) -> list[str]:
    ahead = [gain for gain in verdict.gains if not gain.measured]
    return [_extrapolation(ahead[0], verdict, unit)] if ahead else []


def _extrapolation(gain: Gain, verdict: Verdict, unit: str) -> str:
    """No interval: a fit cannot know of a step or a fall that is yet to come (docs/statistics.md)."""
    return (
        f"{gain.end - gain.start:,} more labels (to {gain.end:,}) are expected to change the score by "
        f"{_signed(gain.points)} {unit}, {_minus(f'{100 * gain.per_label:+z.2f}')} per 100 labels: an extrapolation of "
        f"the fits, which span {_ends(gain.points)}; a step or fall beyond {verdict.sizes[-1]:,} is not in it."
    )


def _next_line(verdict: Verdict) -> list[str]:
    if not verdict.next:
        return []
    if any(doubt.kind == "single" for doubt in verdict.doubts):
        return ["Worth running next: every size with another seed (--repeats 2 or more)."]
    return ["Worth running next: " + "; ".join(f"{one.size:,} ({one.why})" for one in verdict.next) + "."]


def _signed(value: Estimate) -> str:
    return _minus(f"{value.value:+z.1f}")


def _ends(value: Estimate) -> str:
    return _minus(f"{value.low:+z.1f} to {value.high:+z.1f}")


def _minus(text: str) -> str:
    return text.replace("-", "−")
