"""Charts of models beside each other: their levels, each fact's level in both, and what each cell brought them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.compare import LevelPair, LevelShares
from recollect.core.numbers import number
from recollect.report.chapters.models.record import Reaction
from recollect.report.page.svg import COLOURS, ON_DARK, ON_LIGHT, RAMP, bare, dark, draw, panel
from recollect.report.page.text import choice, short
from recollect.report.scores.charts import MARKERS
from recollect.report.scores.record import CHOICES, LEVELS, Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_MODELS = 6
_MODEL_COLOURS = ("accent", "mixed", "l1", "l2", "l3", "base")


def model_colour(at: int) -> str:
    """The name of a model's colour, for the key."""
    return _MODEL_COLOURS[at % len(_MODEL_COLOURS)]


def shares_chart(models: Sequence[LevelShares]) -> Markup:
    """A bar for each model at each level, with its interval over facts."""
    shown = models[:MOST_MODELS]
    most = max(share.high for one in shown for share in one.shares)
    thick = 0.8 / len(shown)

    def paint(figure: Figure) -> None:
        axes = panel(figure, 60, 16, 1010, 240)
        bare(axes)
        axes.set_xlim(-0.55, 4.55)
        axes.set_ylim(0, min(1.0, most) * 1.08)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.grid(axis="y")
        axes.set_xticks(range(5), [f"level {level}" for level in LEVELS])
        axes.tick_params(axis="x", colors=COLOURS["ink"], pad=6)
        for at, one in enumerate(shown):
            for level, share in zip(LEVELS, one.shares, strict=True):
                x = level - 0.4 + (at + 0.5) * thick
                colour = COLOURS[model_colour(at)]
                axes.bar(x, share.value, thick * 0.9, color=colour, linewidth=0)
                axes.plot((x, x), (share.low, share.high), color=COLOURS["ink"], lw=1.5)
                if len(shown) < 4:
                    axes.annotate(
                        number(share.percent[0], 0), (x, share.high), xytext=(0, 4), textcoords="offset points",
                        ha="center", size=11.5, color=COLOURS["muted"],
                    )  # fmt: skip

    return draw(1100, 300, "Share of facts of each memory level, model beside model", paint)


def table_chart(pair: LevelPair) -> Markup:
    """Facts by their level in one model and in the other; the more, the darker."""
    most = max(max(row) for row in pair.table) or 1.0

    def paint(figure: Figure) -> None:
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.patches import Rectangle

        ramp = LinearSegmentedColormap.from_list("facts", RAMP)
        axes = panel(figure, 56, 52, 300, 260)
        bare(axes)
        axes.set_xlim(-0.5, 4.5)
        axes.set_ylim(4.5, -0.5)
        axes.set_xticks(range(5), [str(level) for level in LEVELS])
        axes.set_yticks(range(5), [str(level) for level in LEVELS])
        axes.xaxis.tick_top()
        axes.tick_params(colors=COLOURS["ink"], pad=5)
        axes.set_ylabel(f"level in {short(pair.first, 28)}", labelpad=8)
        axes.text(2, -1.02, f"level in {short(pair.second, 30)}", ha="center", color=COLOURS["muted"])
        for row in LEVELS:
            for column in LEVELS:
                count = pair.table[row][column]
                colour = ramp((count / most) ** 0.5)
                edge = COLOURS["ink"] if row == column else COLOURS["card"]
                cell = Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fc=colour, ec=edge, lw=1.4)
                axes.add_patch(cell)
                if count >= 0.05:
                    on = ON_DARK if dark(colour) else ON_LIGHT
                    text = number(count, 0 if count == round(count) else 1)
                    axes.text(column, row, text, ha="center", va="center_baseline", color=on, size=12.5)

    return draw(360, 320, f"Facts by level, {pair.first} against {pair.second}", paint)


def gains_chart(reaction: Reaction) -> Markup:
    """One mark per cell: what the first model gained, and what the second."""

    def paint(figure: Figure) -> None:
        axes = panel(figure, 90, 12, 620, 400)
        bare(axes)
        axes.grid()
        for setter, name in ((axes.set_xlabel, reaction.first), (axes.set_ylabel, reaction.second)):
            setter(f"gain of {short(name, 40)}, points", labelpad=8)
        ends = [100 * gain for cell in reaction.cells for gain in (*cell.first, *cell.second)]
        low, high = min([0.0, *ends]), max([0.0, *ends])
        room = 0.06 * max(high - low, 1.0)
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(low - room, high + room)
        axes.plot((low, high), (low, high), color=COLOURS["base"], ls=":", lw=1.5)
        axes.axhline(0, color=COLOURS["base"], lw=1)
        axes.axvline(0, color=COLOURS["base"], lw=1)
        sizes = sorted({cell.size for cell in reaction.cells})
        for cell in reaction.cells:
            _mark(axes, cell.levels, _width(sizes.index(cell.size)), cell.first, cell.second)
        _key(axes, reaction, sizes)

    return draw(1100, 470, f"Gain of each cell, {reaction.first} against {reaction.second}", paint)


def _mark(axes: Axes, levels: Choice, size: float, first: Sequence[float], second: Sequence[float]) -> None:
    x, y = 100 * fmean(first), 100 * fmean(second)
    colour = _colour(levels)
    axes.plot((100 * min(first), 100 * max(first)), (y, y), color=colour, lw=1.2, alpha=0.5)
    axes.plot((x, x), (100 * min(second), 100 * max(second)), color=colour, lw=1.2, alpha=0.5)
    axes.plot(x, y, marker=MARKERS[levels], color=colour, ms=size, mew=1.2, mec=_edge(levels), mfc=_fill(levels))


def _key(axes: Axes, reaction: Reaction, sizes: Sequence[int]) -> None:
    """The choices, and the sizes, right of the axes."""
    beside, y = axes.transAxes, 0.97
    for levels in [one for one in CHOICES if any(cell.levels == one for cell in reaction.cells)]:
        colour = _colour(levels)
        style = {"marker": MARKERS[levels], "color": colour, "mec": _edge(levels), "mfc": _fill(levels)}
        axes.plot(1.06, y, ms=10, transform=beside, clip_on=False, **style)  # type: ignore[arg-type]
        axes.text(1.09, y, choice(levels), transform=beside, va="center_baseline")
        y -= 0.062
    y -= 0.03
    for at, size in enumerate(sizes):
        axes.plot(1.06, y, "o", ms=_width(at), color=COLOURS["base"], transform=beside, clip_on=False)
        axes.text(1.09, y, f"{size:,} examples", transform=beside, va="center_baseline")
        y -= 0.066


def _width(at: int) -> float:
    """Of the marks of the sizes, the smallest first."""
    return float(10 + 3.4 * at**0.8)


def _colour(levels: Choice) -> str:
    return COLOURS[f"l{levels}" if levels.isdigit() else levels]


def _edge(levels: Choice) -> str:
    return COLOURS["random"] if levels == "random" else COLOURS["card"]


def _fill(levels: Choice) -> str:
    return COLOURS["card"] if levels == "random" else _colour(levels)
