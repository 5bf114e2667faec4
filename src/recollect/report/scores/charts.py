"""One line or one mark per training choice over the number of examples: accuracies, or divergences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recollect.core.estimates import Estimate
from recollect.report.page.svg import COLOURS, Style, spread
from recollect.report.page.text import choice
from recollect.report.scores.record import Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS: dict[Choice, str] = {"0": "o", "1": "s", "2": "D", "3": "^", "4": "v", "mixed": "P", "random": "o"}
HEIGHT = 380
Curves = dict[Choice, dict[int, Estimate]]
"""Estimates by training choice and size."""
Reference = tuple[float, str]
"""A dotted line: its height and its name."""


def lines(axes: Axes, curves: Curves, reference: Reference | None) -> None:
    """One line per training choice over the sizes, with bands; names stand at the right end."""
    sizes = sorted({size for curve in curves.values() for size in curve})
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.12, sizes[-1] * 1.12)
    axes.set_xticks([], minor=True)
    apart = [size for i, size in enumerate(sizes) if i == 0 or size / sizes[i - 1] > 1.25] if len(sizes) > 6 else sizes
    axes.set_xticks(apart, [f"{size:,}" for size in apart])
    axes.set_xlabel("training examples (log scale)", labelpad=8)
    ends: list[tuple[float, str, Style]] = []
    for one, curve in curves.items():
        x = sorted(curve)
        colour = _colour(one)
        random = one == "random"
        axes.fill_between(x, [curve[s].low for s in x], [curve[s].high for s in x], color=colour, alpha=0.09, lw=0)
        if len(x) == 1:  # a band of no width shows nothing
            axes.plot(x * 2, (curve[x[0]].low, curve[x[0]].high), color=colour, lw=3, alpha=0.45)
        style: Style = {
            "color": colour,
            "ls": "--" if random else "-",
            "marker": MARKERS[one],
            "ms": 8,
            "mew": 1.6 if random else 0.8,
            "mec": colour if random else COLOURS["card"],
            "mfc": COLOURS["card"] if random else colour,
        }
        axes.plot(x, [curve[s].value for s in x], **style, zorder=3)
        ends.append((curve[x[-1]].value, choice(one), style))
    if reference:
        style = {"color": COLOURS["base"], "ls": ":"}
        axes.axhline(reference[0], **style, lw=2)
        ends.append((*reference, style))
    name_ends(axes, ends)


def name_ends(axes: Axes, ends: list[tuple[float, str, Style]]) -> None:
    """Write the lines' names right of the axes, each with a piece of its line; (height, name, style)."""
    low, high = axes.get_ylim()
    places = spread([value for value, _, _ in ends], 17 * (high - low) / HEIGHT)
    beside = axes.get_yaxis_transform()
    for place, (_, name, style) in zip(places, ends, strict=True):
        axes.plot((1.03, 1.06, 1.09), [place] * 3, **style, zorder=3, markevery=[1], transform=beside, clip_on=False)
        axes.text(1.11, place, name, transform=beside, va="center_baseline", size=12.5)


def points(axes: Axes, curves: Curves, reference: Reference | None, text: Callable[[float], str]) -> None:
    """One mark per training choice, when all have one size; `text` is how a value is written beside it."""
    axes.set_xlim(-0.6, len(curves) - 0.4)
    axes.set_xticks(range(len(curves)), [choice(one) for one in curves], size=12)
    axes.set_xlabel("trained on", labelpad=8)
    for x, (one, curve) in enumerate(curves.items()):
        (value,) = curve.values()
        colour = _colour(one)
        axes.plot((x, x), (value.low, value.high), color=colour, lw=3, alpha=0.45, solid_capstyle="round")
        axes.plot(x, value.value, marker=MARKERS[one], color=colour, ms=10, mew=1.4, mec=COLOURS["card"])
        axes.annotate(
            text(value.value),
            (x, value.value),
            xytext=(11, 0),
            textcoords="offset points",
            va="center_baseline",
        )
    if reference:
        axes.axhline(reference[0], color=COLOURS["base"], ls=":", lw=2)
        axes.annotate(
            reference[1], (1, reference[0]), xycoords=("axes fraction", "data"), xytext=(0, 5),
            textcoords="offset points", ha="right", color=COLOURS["base"], weight="bold", size=12.5,
        )  # fmt: skip


def _colour(one: Choice) -> str:
    return COLOURS[f"l{one}" if one.isdigit() else one]
