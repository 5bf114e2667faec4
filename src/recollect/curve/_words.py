"""A verdict in words and as one JSON object."""

from __future__ import annotations

import math
from typing import Any

from recollect.curve._verdict import Value, Verdict


def verdict_lines(verdict: Verdict, unit: str = "points") -> list[str]:
    """The verdict in a few sentences: what it is, what more data would buy, what to run next."""
    return [_finding(verdict, unit), *_gain_line(verdict, unit), *_next_line(verdict)]


def _finding(verdict: Verdict, unit: str) -> str:
    largest, percent = verdict.sizes[-1], f"{100 * verdict.confidence:.0f} % interval"
    margin = f"{verdict.margin:g} {unit}"
    if verdict.name == "saturated":
        low, high = (f"{math.ceil(n):,}" for n in (verdict.n_sat.low, verdict.n_sat.high))
        return (
            f"Saturated: from about {math.ceil(verdict.n_sat.value):,} examples on ({percent} {low} to {high}), no "
            f"larger size up to {largest:,} brings more than {margin}."
        )
    if verdict.name == "rising":
        return (
            f"Still rising at {largest:,} examples: the last doubling brought {_signed(verdict.last_doubling)} {unit} "
            f"({percent} {_ends(verdict.last_doubling)})."
        )
    if verdict.name == "peaked" and verdict.n_hurts is not None:
        low, high = (f"{math.ceil(n):,}" for n in (verdict.n_hurts.low, verdict.n_hurts.high))
        return (
            f"Peaked: best near {math.ceil(verdict.n_best.value):,} examples; from about "
            f"{math.ceil(verdict.n_hurts.value):,} on ({percent} {low} to {high}) more data costs over {margin}. "
            f"At {largest:,} the score is {verdict.loss.value:.1f} below the best ({percent} "
            f"{verdict.loss.low:.1f} to {verdict.loss.high:.1f})."
        )
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in verdict.probability.items())
    return f"Undecided at a margin of {margin}: {shares}."


def _gain_line(verdict: Verdict, unit: str) -> list[str]:
    ahead = [gain for gain in verdict.gains if not gain.measured]
    if not ahead:
        return []
    gain = ahead[0]
    labels = gain.end - gain.start
    return [
        f"{labels:,} more labels (to {gain.end:,}) are expected to change the score by {_signed(gain.points)} {unit} "
        f"({100 * verdict.confidence:.0f} % interval {_ends(gain.points)}): an extrapolation, "
        f"{_minus(f'{100 * gain.per_label:+z.2f}')} per 100 labels."
    ]


def _next_line(verdict: Verdict) -> list[str]:
    if not verdict.next:
        return []
    return ["Worth running next: " + "; ".join(f"{one.size:,} ({one.why})" for one in verdict.next) + "."]


def _signed(value: Value) -> str:
    return _minus(f"{value.value:+z.1f}")


def _ends(value: Value) -> str:
    return _minus(f"{value.low:+z.1f} to {value.high:+z.1f}")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as the command's JSON answer; sizes are whole numbers, rounded up."""
    hurts = verdict.n_hurts
    return {
        "verdict": verdict.name,
        "n_sat": math.ceil(verdict.n_sat.value),
        "low": math.ceil(verdict.n_sat.low),
        "high": math.ceil(verdict.n_sat.high),
        "sizes": list(verdict.sizes),
        "scores": [score.value for score in verdict.scores],
        "scores_low": [score.low for score in verdict.scores],
        "scores_high": [score.high for score in verdict.scores],
        "repeats": list(verdict.repeats),
        "next": [one.size for one in verdict.next],
        "why_next": [one.why for one in verdict.next],
        "probability": dict(verdict.probability),
        "n_best": [math.ceil(n) for n in _three(verdict.n_best)],
        "n_hurts": None if hurts is None else [math.ceil(n) for n in _three(hurts)],
        "last_doubling": _three(verdict.last_doubling),
        "loss": _three(verdict.loss),
        "gains": [
            {
                "start": gain.start,
                "end": gain.end,
                "points": gain.points.value,
                "low": gain.points.low,
                "high": gain.points.high,
                "per_label": gain.per_label,
                "measured": gain.measured,
            }
            for gain in verdict.gains
        ],
        "family": verdict.family,
        "families": [
            {
                "name": one.name,
                "left_out_error": one.error,
                "weight": one.weight,
                "shape": list(one.shape.parameters),
                "coefficients": list(one.coefficients),
            }
            for one in verdict.families
        ],
        "run_spread": verdict.run_spread,
        "margin": verdict.margin,
        "confidence": verdict.confidence,
        "notes": list(verdict.notes),
    }


def _three(value: Value) -> list[float]:
    return [value.value, value.low, value.high]
