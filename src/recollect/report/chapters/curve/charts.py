"""The data curve: runs, means with intervals, the fits with their band, and where it saturates or begins to hurt.

A fit is drawn only where it passes through every mean; where none does, straight lines join the means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.report.chapters.curve.record import Curve
from recollect.report.page.svg import COLOURS, draw, panel
from recollect.report.page.text import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 360
MOST_PANELS = 2
STYLES = {"saturating": (0, (6, 3)), "power law": (0, (1, 2)), "sigmoid": (0, (2, 2)), "peaked": (0, (6, 2, 1, 2))}


def curve_chart(curves: Sequence[Curve]) -> Markup:
    """One panel per part (the first two), on one scale where they share a unit."""
    shown = curves[:MOST_PANELS]
    width = 470 if len(shown) > 1 else 860
    limits = _limits(shown)

    def paint(figure: Figure) -> None:
        for index, curve in enumerate(shown):
            axes = panel(figure, 62 + index * 556, 36, width, HEIGHT)
            axes.set_title(short(curve.part, 60))
            axes.set_ylim(*limits)
            axes.grid(axis="y")
            axes.spines["left"].set_visible(False)
            _sizes_axis(axes, curve)
            _paint(axes, curve)
        axes.legend(
            loc="upper center", bbox_to_anchor=_middle(len(shown)), ncols=len(STYLES) + 3, frameon=False, fontsize=12
        )

    return draw(1100, HEIGHT + 136, "Score over the number of training examples, with fits", paint)


def _middle(panels: int) -> tuple[float, float]:
    """Where the one legend stands, in parts of the last panel."""
    return (0.5 if panels == 1 else -0.09, -0.17)


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    values = [value for curve in curves for point in curve.points for value in (point.low, point.high, *point.runs)]
    bands = [curve.band for curve in curves if curve.band is not None]
    values += [value for band in bands for row in (band.low, band.high) for value in row]
    low, high = min(values), max(values)
    pad = max(0.06 * (high - low), 1e-6 * max(abs(low), abs(high)), 1e-9)
    return low - pad, high + pad


def _place(curve: Curve, n: float) -> float:
    """Place of a size on the axis: logarithmic, with room for 0."""
    unit = min((point.size for point in curve.points if point.size > 0), default=1)
    return math.log1p(n / unit)


def _sizes_axis(axes: Axes, curve: Curve) -> None:
    sizes = [point.size for point in curve.points]
    low, high = _place(curve, sizes[0]), _place(curve, sizes[-1])
    axes.set_xlim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    apart: list[int] = []
    for size in sizes:
        if not apart or _place(curve, size) - _place(curve, apart[-1]) > 0.07 * (high - low):
            apart.append(size)
    axes.set_xticks([_place(curve, size) for size in apart], [f"{size:,}" for size in apart])
    axes.set_xlabel("training examples (log scale)", labelpad=8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}{' %' if curve.unit == 'points' else ''}")


def _paint(axes: Axes, curve: Curve) -> None:
    if curve.verdict == "saturated":
        axes.axvspan(
            _place(curve, curve.n_sat_low), _place(curve, curve.n_sat_high), color=COLOURS["mixed"], alpha=0.13, lw=0
        )
        axes.axvline(_place(curve, curve.n_sat_high), color=COLOURS["mixed"], lw=1.6)
        _flag(axes, _place(curve, curve.n_sat_high), f"enough: {curve.n_sat_high:,}", "mixed")
    if curve.verdict == "peaked" and curve.n_hurts is not None:
        low, high = (_place(curve, n) for n in curve.n_hurts[1:])
        axes.axvspan(low, high, color=COLOURS["l2"], alpha=0.1, lw=0)
        axes.axvline(_place(curve, curve.n_hurts[2]), color=COLOURS["l2"], lw=1.6)
        _flag(axes, _place(curve, curve.n_hurts[2]), f"hurts: {curve.n_hurts[2]:,}", "l2")
    _paint_fits(axes, curve)
    for at, point in enumerate(curve.points):
        here = _place(curve, point.size)
        axes.plot((here, here), (point.low, point.high), color=COLOURS["ink"], lw=1.6)
        runs = "single run" if at == len(curve.points) - 1 else None
        mean = "mean" if at == 0 else None
        if len(point.runs) > 1:
            axes.plot(
                [here] * len(point.runs), point.runs, "o", color=COLOURS["l3"], ms=4.5, mew=0, alpha=0.6, label=runs
            )
        axes.plot(here, point.score, "o", color=COLOURS["ink"], ms=7.5, mec=COLOURS["card"], mew=1, ls="", label=mean)


def _paint_fits(axes: Axes, curve: Curve) -> None:
    if curve.band is None:
        x = [_place(curve, point.size) for point in curve.points]
        axes.plot(x, [point.score for point in curve.points], color=COLOURS["accent"], lw=1.3, ls=":")
        return
    x = [_place(curve, n) for n in curve.band.sizes]
    axes.fill_between(x, curve.band.low, curve.band.high, color=COLOURS["accent"], alpha=0.13, lw=0)
    for family in curve.families:
        if family.scores:
            style = STYLES.get(family.name, "-")
            axes.plot(x, family.scores, color=COLOURS["base"], ls=style, lw=1.3, label=short(family.name, 30))
    axes.plot(x, curve.band.middle, color=COLOURS["accent"], lw=2.4, label="fits, weighed")


def _flag(axes: Axes, place: float, text: str, colour: str) -> None:
    low, high = axes.get_xlim()
    right = place > (low + high) / 2
    axes.annotate(
        text,
        (place, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if right else 6, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        color=COLOURS[colour],
        weight="bold",
        size=12.5,
    )
