"""Chapter: how much data is enough."""

from __future__ import annotations

from typing import Any

from recollect.report.chapters.curve.charts import MOST_PANELS, curve_chart
from recollect.report.chapters.curve.record import Curve
from recollect.report.page.chapter import Card, Chapter
from recollect.report.results.results import Results

NAMES = {
    "saturated": "enough data",
    "rising": "more data helps",
    "peaked": "more data hurts",
    "undecided": "not yet decided",
}


def context(results: Results) -> dict[str, Any] | None:
    """The chart and the curves with their tables."""
    if not results.curves:
        return None
    return {
        "curves": results.curves,
        "names": NAMES,
        "curve_svg": curve_chart(results.curves),
        "left_out": max(0, len(results.curves) - MOST_PANELS),
        "negated": any(curve.negated for curve in results.curves),
    }


def cards(results: Results) -> list[Card]:
    """One big number per curve: the saturation size, the last doubling, or where more begins to hurt."""
    return [_card(curve) for curve in results.curves[:MOST_PANELS]]


def _card(curve: Curve) -> Card:
    percent = f"{100 * (curve.confidence or 0):.0f} %"
    if curve.verdict == "saturated":
        interval = f"{curve.n_sat_low:,} to {curve.n_sat_high:,}"
        note = f"where it begins, {percent} interval"
        return Card(f"{curve.part}: enough from", f"{curve.n_sat_high:,}", "examples", interval, note)
    if curve.verdict == "peaked" and curve.n_hurts is not None:
        _, low, high = (f"{n:,}" for n in curve.n_hurts)
        note = f"where it begins, {percent} interval"
        return Card(f"{curve.part}: more hurts from", high, "examples", f"{low} to {high}", note)
    if curve.verdict == "rising":
        note = "the last doubling still brought more than the margin"
        return Card(f"{curve.part}: still rising at", f"{curve.points[-1].size:,}", "examples", "", note)
    trained = max((len(point.runs) for point in curve.points if point.size), default=0)
    note = f"a verdict needs {percent}" if trained > 1 else "a verdict needs several trainings of a size"
    return Card(f"{curve.part}: undecided; sizes run", str(len(curve.points)), "", "", note)


def sentences(results: Results) -> list[str]:
    """The verdict of each curve in its own words."""
    return [f"{curve.part}: {curve.lines[0]}" for curve in results.curves[:MOST_PANELS] if curve.lines]


CHAPTER = Chapter("curve", "How much data is enough", context, cards=cards, sentences=sentences)
