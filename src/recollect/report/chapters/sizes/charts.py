"""The score over the number of training examples: one line per training choice, base and random too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from recollect.report.page.svg import COLOURS, draw, panel, spread
from recollect.report.results.common import CHOICES, Choice
from recollect.report.results.groups import Estimate, Group, Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS: dict[Choice, str] = {"0": "o", "1": "s", "2": "D", "3": "^", "4": "v", "mixed": "P", "random": "o"}
HEIGHT = 380
Reference = tuple[float, str]
"""A dotted line: its height and its name."""


def sizes_chart(groups: Sequence[Group], base: Measured | None, base_ood: Measured | None) -> Markup | None:
    """Macro score over size (log scale), in- and, when measured, out-of-domain; None without scores."""
    parts = [("test", "In-domain", base), ("ood", "Out-of-domain", base_ood)]
    shown = [(part, title, line) for part, title, line in parts if _curves(groups, part)]
    if not shown:
        return None
    values = [e for part, _, _ in shown for curve in _curves(groups, part).values() for e in curve.values()]
    values += [line.macro for _, _, line in shown if line and line.macro]
    low, high = min(e.low for e in values), max(e.high for e in values)
    pad = max(0.06 * (high - low), 1.0)
    limits = (max(0.0, low - pad), min(100.0, high + pad))
    one = len({group.size for group in groups}) == 1
    width = (450 if one else 385) if len(shown) > 1 else 860

    def paint(figure: Figure) -> None:
        for index, (part, title, line) in enumerate(shown):
            axes = panel(figure, 54 + index * 556, 36, width, HEIGHT)
            axes.set_title(title)
            axes.set_ylim(*limits)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
            axes.grid(axis="y")
            axes.spines["left"].set_visible(False)
            curves = _curves(groups, part)
            reference = (line.macro.value, "base, untrained" if one else "base") if line and line.macro else None
            (points if one else lines)(axes, curves, reference)

    label = "Macro accuracy over the number of training examples"
    return draw(1100, HEIGHT + 96, label, paint)


def _curves(groups: Sequence[Group], part: str) -> dict[Choice, dict[int, Estimate]]:
    found: dict[Choice, dict[int, Estimate]] = {}
    for choice in CHOICES:
        for group in groups:
            measured = group.on(part)
            if group.levels == choice and measured and measured.macro:
                found.setdefault(choice, {})[group.size] = measured.macro
    return found


def lines(axes: Axes, curves: dict[Choice, dict[int, Estimate]], reference: Reference | None) -> None:
    """One line per training choice over the sizes, with bands; names stand at the right end."""
    sizes = sorted({size for curve in curves.values() for size in curve})
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.12, sizes[-1] * 1.12)
    axes.set_xticks([], minor=True)
    apart = [size for i, size in enumerate(sizes) if i == 0 or size / sizes[i - 1] > 1.25] if len(sizes) > 6 else sizes
    axes.set_xticks(apart, [f"{size:,}" for size in apart])
    axes.set_xlabel("training examples (log scale)", labelpad=8)
    ends: list[tuple[float, str, dict[str, Any]]] = []
    for choice, curve in curves.items():
        x = sorted(curve)
        colour = _colour(choice)
        random = choice == "random"
        axes.fill_between(x, [curve[s].low for s in x], [curve[s].high for s in x], color=colour, alpha=0.09, lw=0)
        if len(x) == 1:  # a band of no width shows nothing
            axes.plot(x * 2, (curve[x[0]].low, curve[x[0]].high), color=colour, lw=3, alpha=0.45)
        style: dict[str, Any] = {
            "color": colour,
            "ls": "--" if random else "-",
            "marker": MARKERS[choice],
            "ms": 8,
            "mew": 1.6 if random else 0.8,
            "mec": colour if random else COLOURS["card"],
            "mfc": COLOURS["card"] if random else colour,
        }
        axes.plot(x, [curve[s].value for s in x], **style, zorder=3)
        ends.append((curve[x[-1]].value, _name(choice), style))
    if reference:
        style = {"color": COLOURS["base"], "ls": ":"}
        axes.axhline(reference[0], **style, lw=2)
        ends.append((*reference, style))
    name_ends(axes, ends)


def name_ends(axes: Axes, ends: list[tuple[float, str, dict[str, Any]]]) -> None:
    """Write the lines' names right of the axes, each with a piece of its line; (height, name, style)."""
    low, high = axes.get_ylim()
    places = spread([value for value, _, _ in ends], 17 * (high - low) / HEIGHT)
    beside = axes.get_yaxis_transform()
    for place, (_, name, style) in zip(places, ends, strict=True):
        axes.plot((1.03, 1.06, 1.09), [place] * 3, **style, zorder=3, markevery=[1], transform=beside, clip_on=False)
        axes.text(1.11, place, name, transform=beside, va="center_baseline", size=12.5)


def points(axes: Axes, curves: dict[Choice, dict[int, Estimate]], reference: Reference | None, digits: int = 1) -> None:
    """One mark per training choice, when all have one size."""
    axes.set_xlim(-0.6, len(curves) - 0.4)
    axes.set_xticks(range(len(curves)), [_name(choice) for choice in curves], size=12)
    axes.set_xlabel("trained on", labelpad=8)
    for x, (choice, curve) in enumerate(curves.items()):
        (value,) = curve.values()
        colour = _colour(choice)
        axes.plot((x, x), (value.low, value.high), color=colour, lw=3, alpha=0.45, solid_capstyle="round")
        axes.plot(x, value.value, marker=MARKERS[choice], color=colour, ms=10, mew=1.4, mec=COLOURS["card"])
        axes.annotate(
            f"{value.value:.{digits}f}",
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


def _name(choice: Choice) -> str:
    return f"level {choice}" if choice.isdigit() else choice


def _colour(choice: Choice) -> str:
    return COLOURS[f"l{choice}" if choice.isdigit() else choice]
