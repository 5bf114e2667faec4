"""The score over the number of training examples: one line per training choice, base and random too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.report.page.svg import draw, panel
from recollect.report.scores.charts import HEIGHT, Curves, lines, points
from recollect.report.scores.groups import Group, Measured
from recollect.report.scores.record import CHOICES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sizes_chart(groups: Sequence[Group], base: Measured | None, base_ood: Measured | None) -> Markup | None:
    """Macro score over size (log scale), in- and, when measured, out-of-domain; None without scores."""
    parts = [("test", "In-domain", base), ("ood", "Out-of-domain", base_ood)]
    shown = [(part, title, line) for part, title, line in parts if _curves(groups, part)]
    if not shown:
        return None
    values = [e for part, _, _ in shown for curve in _curves(groups, part).values() for e in curve.values()]
    values += [line.macro for _, _, line in shown if line and line.macro]
    low, high = min(e.low for e in values), max(e.high for e in values)
    pad = max(0.06 * (high - low), 0.01)
    limits = (max(0.0, low - pad), min(1.0, high + pad))
    one = len({group.size for group in groups}) == 1
    width = (450 if one else 385) if len(shown) > 1 else 860

    def paint(figure: Figure) -> None:
        for index, (part, title, line) in enumerate(shown):
            axes = panel(figure, 54 + index * 556, 36, width, HEIGHT)
            axes.set_title(title)
            axes.set_ylim(*limits)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
            axes.grid(axis="y")
            axes.spines["left"].set_visible(False)
            curves = _curves(groups, part)
            reference = (line.macro.value, "base, untrained" if one else "base") if line and line.macro else None
            if one:
                points(axes, curves, reference, lambda value: f"{100 * value:.1f}")
            else:
                lines(axes, curves, reference)

    label = "Macro accuracy over the number of training examples"
    return draw(1100, HEIGHT + 96, label, paint)


def _curves(groups: Sequence[Group], part: str) -> Curves:
    found: Curves = {}
    for choice in CHOICES:
        for group in groups:
            measured = group.on(part)
            if group.levels == choice and measured and measured.macro:
                found.setdefault(choice, {})[group.size] = measured.macro
    return found
