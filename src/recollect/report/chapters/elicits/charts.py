"""Heat maps: which training level serves which test level, one map per training size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.report.page.evenly import evenly
from recollect.report.page.svg import COLOURS, ON_DARK, ON_LIGHT, RAMP, bare, dark, draw, panel
from recollect.report.page.text import choice
from recollect.report.scores.groups import Group, Measured
from recollect.report.scores.record import CHOICES, LEVELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

ACROSS = 3
MOST_SIZES = 9


def shown_sizes(groups: Sequence[Group]) -> list[int]:
    """The sizes that get a heat map: all, or `MOST_SIZES` of them evenly from the smallest to the largest."""
    sizes = sorted({group.size for group in groups})
    return [sizes[at] for at in evenly(len(sizes), MOST_SIZES)]


def heat_chart(groups: Sequence[Group], part: str, base: Measured | None, domain: str) -> Markup | None:
    """The heat maps of one part ("test" or "ood"); None when nothing was measured there."""
    if not any(group.on(part) for group in groups):
        return None
    sizes = shown_sizes(groups)
    names = [one for one in CHOICES if any(group.levels == one for group in groups)]
    labels = [choice(name) for name in names] + (["no training"] if base else [])
    across = min(ACROSS, len(sizes))
    down = math.ceil(len(sizes) / across)
    cell_width, cell_height, left = 46, 30, 100
    map_width, map_height = cell_width * 6 + 10, cell_height * len(labels)
    step, lift = map_width + 54, map_height + 92

    def paint(figure: Figure) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        ramp = LinearSegmentedColormap.from_list("accuracy", RAMP)
        for index, size in enumerate(sizes):
            column, row = index % across, index // across
            axes = panel(figure, left + column * step, 52 + row * lift, map_width, map_height)
            bare(axes)
            axes.set_xlim(0, map_width)
            axes.set_ylim(map_height, 0)
            axes.set_title(f"{size:,} training {'example' if size == 1 else 'examples'}", pad=26)
            centres = [cell_width * (level + 0.5) for level in LEVELS] + [map_width - cell_width / 2]
            axes.set_xticks(centres, [*map(str, LEVELS), "all"])
            axes.xaxis.tick_top()
            axes.tick_params(axis="x", pad=3, colors=COLOURS["ink"])
            axes.tick_params(axis="y", pad=8, colors=COLOURS["ink"])
            axes.set_yticks([cell_height * (y + 0.5) for y in range(len(labels))], labels if column == 0 else [])
            axes.text(0, map_height + 19, "memory level of the test facts", color=COLOURS["muted"], size=12)
            found = {group.levels: group.on(part) for group in groups if group.size == size}
            rows = [found.get(name) for name in names] + ([base] if base else [])
            columns = zip(*(_columns(row) for row in rows[: len(names)]), strict=True)
            best = [max((e.value for e in column if e), default=None) for column in columns]
            for y, measured in enumerate(rows):
                for centre, value, top in zip(centres, _columns(measured), best, strict=True):
                    corner = (centre - cell_width / 2 + 1, cell_height * y + 1)
                    bold = y < len(names) and value is not None and value.value == top
                    _cell(axes, corner, cell_width - 2, cell_height - 2, value, ramp, bold)
            for y, name in enumerate(names):
                if name.isdigit():
                    corner = (cell_width * int(name) + 1, cell_height * y + 1)
                    _outline(axes, corner, cell_width - 2, cell_height - 2)

    width = left + across * step - 50
    return draw(width, 52 + down * lift - 62, f"Accuracy by training level and test level, {domain}", paint)


def _columns(row: Measured | None) -> Sequence[Estimate | None]:
    return (*row.by_level, row.macro) if row else (None,) * (len(LEVELS) + 1)


def _cell(
    axes: Axes,
    corner: tuple[float, float],
    width: float,
    height: float,
    value: Estimate | None,
    ramp: Colormap,
    bold: bool,
) -> None:
    from matplotlib.patches import Rectangle

    middle = (corner[0] + width / 2, corner[1] + height / 2)
    if value is None:
        axes.add_patch(Rectangle(corner, width, height, facecolor="none", edgecolor=COLOURS["grid"], linewidth=1))
        axes.text(*middle, "–", ha="center", va="center_baseline", color=COLOURS["muted"])
        return
    colour = ramp(value.value)
    axes.add_patch(Rectangle(corner, width, height, facecolor=colour, edgecolor="none"))
    ink = ON_DARK if dark(colour[:3]) else ON_LIGHT
    weight = "bold" if bold else "normal"
    axes.text(*middle, f"{100 * value.value:.0f}", ha="center", va="center_baseline", color=ink, size=13, weight=weight)


def _outline(axes: Axes, corner: tuple[float, float], width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(corner, width, height, facecolor="none", edgecolor=COLOURS["l2"], linewidth=2.4))
