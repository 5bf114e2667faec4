"""How far the next-token distributions moved, how concentrated the change of the weights is, and where it sits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.report.chapters.drift.groups import DriftGroup
from recollect.report.chapters.drift.record import DriftCell, ModuleChange
from recollect.report.page.evenly import evenly
from recollect.report.page.svg import COLOURS, ON_DARK, ON_LIGHT, RAMP, Style, bare, dark, draw, panel
from recollect.report.page.text import short
from recollect.report.scores.charts import HEIGHT, Curves, lines, points
from recollect.report.scores.groups import Averaged
from recollect.report.scores.papers import published
from recollect.report.scores.record import CHOICES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LAYERS = 48  # a taller map is not read; layers are then shown evenly from the first to the last
MOST_MODULES = 14
_TEXT_LAYERS = 16


def kl_chart(groups: Sequence[DriftGroup], floor: float | None) -> Markup | None:
    """The paper's KL and the full-vocabulary KL, each in its own panel and on its own scale; None without either."""
    panels = [
        (
            f"First word, ten likeliest ({published().papers.token_and_parameter_levels.name})",
            _curves(groups, lambda group: group.kl_paper),
            None,
        ),
        ("Every answer token, whole vocabulary", _curves(groups, lambda group: group.kl_full), floor),
    ]
    shown = [one for one in panels if one[1]]
    if not shown:
        return None
    width = 385 if len(shown) > 1 else 860

    def paint(figure: Figure) -> None:
        for index, (title, found, dotted) in enumerate(shown):
            axes = panel(figure, 54 + index * 556, 36, width, HEIGHT)
            values = [estimate for curve in found.values() for estimate in curve.values()]
            axes.set_title(title)
            axes.set_ylim(0, max(1.06 * max(estimate.high for estimate in values), 1e-9))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_ylabel("KL divergence in nats", labelpad=6, size=12)
            axes.grid(axis="y")
            axes.spines["left"].set_visible(False)
            reference = None if dotted is None else (dotted, "floor")
            if len({size for curve in found.values() for size in curve}) == 1:
                points(axes, found, reference, lambda value: f"{value:.2f}")
            else:
                lines(axes, found, reference)

    return draw(1100, HEIGHT + 96, "Divergence of the tuned from the base model over training examples", paint)


def _curves(groups: Sequence[DriftGroup], pick: Callable[[DriftGroup], Averaged | None]) -> Curves:
    """What was measured, by training choice and size."""
    found: Curves = {}
    for choice in CHOICES:
        for group in groups:
            value = pick(group)
            if group.levels == choice and value is not None:
                found.setdefault(choice, {})[group.size] = value
    return found


@dataclass(frozen=True)
class Concentration:
    """The share of the change that the most changed percent of the weights hold, over the cells; 0 to 1."""

    percent: float
    mean: float
    lowest: float
    highest: float
    n: int
    published: float | None


@dataclass(frozen=True)
class ModuleRow:
    """One kind of weight over all layers. Shares are 0 to 1."""

    module: str
    of_weights: float
    """Its share of all weights."""
    of_change: float
    of_top: float | None
    """Its share of the most changed 20 % of the weights."""
    published: float | None
    """Its share of the restored weights in Token and Parameter Levels."""


def concentration(cells: Sequence[DriftCell]) -> list[Concentration]:
    """By rising percent; empty when nothing was measured."""
    percents = {text for cell in cells for text, share in cell.share_top.items() if share is not None and _is(text)}
    found = []
    for text in sorted(percents, key=float):
        values = [share for cell in cells if (share := cell.share_top.get(text)) is not None]
        there = published().change_by_top_percent.share.get(float(text))
        found.append(Concentration(float(text), fmean(values), min(values), max(values), len(values), there))
    return found


def module_rows(modules: Sequence[ModuleChange]) -> list[ModuleRow]:
    """One row per kind of weight, the largest share of the change first."""
    weights, top = sum(one.weights for one in modules), sum(one.restored_20 for one in modules)
    names = dict.fromkeys(one.module for one in modules)
    rows = []
    for name in names:
        mine = [one for one in modules if one.module == name]
        rows.append(
            ModuleRow(
                name,
                sum(one.weights for one in mine) / max(weights, 1),
                sum(one.share or 0.0 for one in mine),
                sum(one.restored_20 for one in mine) / top if top else None,
                published().restored_by_module.share.get(name),
            )
        )
    return sorted(rows, key=lambda row: (-row.of_change, row.module))


def concentration_chart(rows: Sequence[Concentration]) -> Markup | None:
    """Share of the change over the share of the weights (log scale), the published figures beside it."""
    if not rows:
        return None
    figures, paper = published().change_by_top_percent, published().papers.token_and_parameter_levels

    def paint(figure: Figure) -> None:
        axes = panel(figure, 54, 16, 1000, 320)
        x = [row.percent for row in rows]
        axes.set_xscale("log")
        axes.set_xticks([], minor=True)
        axes.set_xticks(x, [f"{value:g} %" for value in x])
        axes.set_xlim(x[0] / 1.15, x[-1] * 1.15)
        there = [(row.percent, 100 * row.published) for row in rows if row.published is not None]
        values = [100 * row.lowest for row in rows] + [value for _, value in there]
        axes.set_ylim(max(0.0, min(values) - 6), 101.5)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("most changed share of the weights (log scale)", labelpad=8)
        low, high = [100 * row.lowest for row in rows], [100 * row.highest for row in rows]
        axes.fill_between(x, low, high, color=COLOURS["accent"], alpha=0.14, lw=0)
        cells = max(row.n for row in rows)
        name = "this run" if cells == 1 else f"this run, {cells} tuned models (mean; band: lowest to highest)"
        axes.plot(x, [100 * row.mean for row in rows], "o-", color=COLOURS["accent"], ms=8, mec=COLOURS["card"])
        entries: list[tuple[str, Style]] = [(name, {"marker": "o", "ls": "-", "color": COLOURS["accent"]})]
        if there:
            style: Style = {"marker": "D", "ls": "--", "color": COLOURS["base"], "mfc": COLOURS["card"]}
            axes.plot(*zip(*there, strict=True), **style, ms=7, lw=1.6)
            entries.append((f"published: {figures.of} (arXiv {paper.arxiv})", style))
        for index, (text, style) in enumerate(entries):
            y = 0.17 - 0.075 * index
            axes.plot((0.5, 0.52, 0.54), [y] * 3, **style, ms=7, markevery=[1], transform=axes.transAxes)
            axes.text(0.55, y, text, transform=axes.transAxes, va="center_baseline", size=12)

    return draw(1100, 390, "Share of the summed relative change held by the most changed weights", paint)


def modules_chart(modules: Sequence[ModuleChange]) -> Markup | None:
    """A heat map of the share of the change: a row per layer, a column per kind of weight; None without modules."""
    if not modules:
        return None
    columns = [row.module for row in module_rows(modules)][:MOST_MODULES]
    layers = shown_layers(modules)
    places: dict[tuple[int | None, str], float] = {}
    for one in modules:
        places[one.layer, one.module] = places.get((one.layer, one.module), 0.0) + (one.share or 0.0)
    highest = max(max(places.values()), 1e-12)
    texts = len(layers) <= _TEXT_LAYERS
    cell_width, cell_height, left = 82, 30 if texts else 15, 110
    width, height = cell_width * len(columns), cell_height * len(layers)

    def paint(figure: Figure) -> None:
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.patches import Rectangle

        ramp = LinearSegmentedColormap.from_list("share", RAMP)
        axes = panel(figure, left, 30, width, height)
        bare(axes)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_xticks([cell_width * (i + 0.5) for i in range(len(columns))], [short(name, 10) for name in columns])
        axes.xaxis.tick_top()
        step = 1 if texts else 4
        names = ["no layer" if layer is None else f"layer {layer}" for layer in layers]
        at = [i for i in range(len(layers)) if i % step == 0 or layers[i] is None]
        axes.set_yticks([cell_height * (i + 0.5) for i in at], [names[i] for i in at])
        axes.tick_params(colors=COLOURS["ink"], labelsize=12)
        for y, layer in enumerate(layers):
            for x, name in enumerate(columns):
                share = places.get((layer, name))
                corner = (cell_width * x + 1, cell_height * y + 1)
                size = (cell_width - 2, cell_height - (2 if texts else 1))
                colour = "none" if share is None else ramp(share / highest)
                axes.add_patch(Rectangle(corner, *size, facecolor=colour, edgecolor="none"))
                if texts:
                    _number(axes, corner, size, share, colour)

    return draw(left + width + 8, height + 40, "Share of the summed relative change by layer and kind of weight", paint)


def shown_layers(modules: Sequence[ModuleChange]) -> list[int | None]:
    """The layers of the map, first to last; weights outside the layers last, as None."""
    layers = sorted({one.layer for one in modules if one.layer is not None})
    return [
        *(layers[at] for at in evenly(len(layers), MOST_LAYERS)),
        *([None] if any(one.layer is None for one in modules) else []),
    ]


def _number(
    axes: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    share: float | None,
    colour: tuple[float, ...] | str,
) -> None:
    middle = (corner[0] + size[0] / 2, corner[1] + size[1] / 2)
    ink = COLOURS["muted"] if share is None else ON_DARK if dark(colour[:3]) else ON_LIGHT
    text = "–" if share is None else f"{100 * share:.1f} %"
    axes.text(*middle, text, ha="center", va="center_baseline", color=ink, size=12)


def _is(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
