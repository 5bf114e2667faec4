"""Chapter: how much data is enough."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from recollect.report.chapters.curve.charts import MOST_PANELS, curve_chart
from recollect.report.chapters.curve.collect import collect
from recollect.report.chapters.curve.record import Curve, Curves
from recollect.report.page.chapter import Card, Chapter, InShort
from recollect.report.page.results import Results

NAMES = {
    "saturated": "enough data",
    "rising": "more data helps",
    "peaked": "more data hurts",
    "undecided": "not yet decided",
}


@dataclass(frozen=True)
class CurveView:
    """The chart and the curves with their tables."""

    curves: list[Curve]
    names: dict[str, str]
    curve_svg: Markup
    left_out: int
    negated: bool


def context(results: Results) -> CurveView | None:
    """Shown for a data curve."""
    found = results.of(Curves)
    if found is None:
        return None
    return CurveView(
        curves=found.curves,
        names=NAMES,
        curve_svg=curve_chart(found.curves),
        left_out=max(0, len(found.curves) - MOST_PANELS),
        negated=any(curve.negated for curve in found.curves),
    )


def in_short(results: Results) -> InShort:
    """One big number per curve: the saturation size, the last doubling, or where more begins to hurt; and the verdicts
    in their own words."""
    found = results.of(Curves)
    shown = found.curves[:MOST_PANELS] if found else []
    return InShort(
        cards=[_card(curve) for curve in shown],
        sentences=[f"{curve.part}: {curve.lines[0]}" for curve in shown if curve.lines],
    )


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


CHAPTER = Chapter(
    __name__,
    "How much data is enough",
    context,
    in_short,
    record=Curves,
    collect=collect,
    flat=("curves",),
)
