"""The charts of the page: the curve so far, and the trials of a search. Each is drawn wide, and narrow for phones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.report.page.svg import COLOURS, Style, draw, panel, spread
from recollect.report.page.text import choice, short
from recollect.watch.models import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 340
_PALETTE = ("accent", "l2", "mixed", "l4", "l1", "l3", "l0")
_MOST = len(_PALETTE)


@dataclass(frozen=True)
class Drawn:
    """A chart for wide windows and one for phones."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True)
class Tried:
    """A trial on the chart; scores in points."""

    number: int
    early: float | None
    final: float | None


@lru_cache(maxsize=8)
def curve_chart(points: tuple[Point, ...], base: Estimate | None) -> Drawn | None:
    """Score over the number of training examples, one line for each choice; None before there are two sizes."""
    series = _series(points)
    if len({size for line in series.values() for size in line}) < 2:
        return None
    ends = [(one.low, one.high) for line in series.values() for one in line.values()]
    ends += [(base.low, base.high)] if base else []
    low, high = 100 * min(end for end, _ in ends), 100 * max(end for _, end in ends)
    limits = max(0.0, low - 3), min(100.0, high + 3)

    def paint(figure: Figure, width: int, narrow: bool) -> None:
        right = 20 if narrow else 150
        axes = panel(figure, 46, 12 + (22 * len(series) if narrow else 0), width - 46 - right, _HEIGHT)
        _frame(axes, limits, "training examples (log scale)")
        _sizes(axes, sorted({size for line in series.values() for size in line}), narrow)
        names = []
        for at, ((name, line), colour) in enumerate(zip(series.items(), _PALETTE, strict=False)):
            x, beside = sorted(line), 1 + (0.045 if narrow else 0.02) * (at - (len(series) - 1) / 2)
            values = [100 * line[size].value for size in x]
            below, above = ([abs(100 * (getattr(line[size], end) - line[size].value)) for size in x] for end in _ENDS)
            colour = COLOURS["random"] if name == "random" else COLOURS[colour]
            places = [max(size, 0.5) * beside for size in x]  # a little beside each other, so that all bars are seen
            axes.errorbar(
                places, values, yerr=(below, above), color=colour, marker="o", ms=6, capsize=3, elinewidth=1.3
            )
            names.append((values[-1], choice(name) if "/" not in name else name, colour))
        if base:
            axes.axhline(100 * base.value, color=COLOURS["base"], ls=":", lw=2)
            names.append((100 * base.value, "base", COLOURS["base"]))
        _name(axes, names, limits, narrow)

    return _both("Score over the number of training examples, with intervals", paint, 22 * (len(series) + 1))


_ENDS = ("low", "high")


@lru_cache(maxsize=8)
def trials_chart(trials: tuple[Tried, ...], base: float | None) -> Drawn | None:
    """Validation score of each trial: early as a ring, final as a dot; None before there is a score."""
    known = [value for one in trials for value in (one.early, one.final) if value is not None]
    if not known:
        return None
    ends = [*known, *([] if base is None else [base])]
    limits = min(ends) - 4, max(ends) + 4

    def paint(figure: Figure, width: int, narrow: bool) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = panel(figure, 46, 62 if narrow else 40, width - 66, _HEIGHT - 34)
        _frame(axes, limits, "trial")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.set_xlim(-0.6, max(3, *(one.number for one in trials)) + 0.6)  # whole numbers below, also of the first
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        early = [(one.number, one.early) for one in trials if one.early is not None]
        final = [(one.number, one.final) for one in trials if one.final is not None]
        for one in trials:
            if one.early is not None and one.final is not None:
                axes.plot((one.number, one.number), (one.early, one.final), color=COLOURS["grid"], lw=3, zorder=1)
        ring: Style = {"ls": "", "marker": "o", "ms": 8, "mec": COLOURS["accent"], "mew": 1.8, "mfc": COLOURS["card"]}
        dot: Style = {"ls": "", "marker": "o", "ms": 9, "color": COLOURS["accent"]}
        for found, look, label in ((early, ring, "early"), (final, dot, "trained to the end")):
            axes.plot([number for number, _ in found], [score for _, score in found], **look, label=label)
        if base is not None:
            axes.axhline(base, color=COLOURS["base"], ls=":", lw=2, label="base")
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2 if narrow else 3, frameon=False, handletextpad=0.3
        )

    return _both("Validation score of each trial", paint, 22)


def _both(label: str, paint: Callable[[Figure, int, bool], None], key: int) -> Drawn:
    heights = {False: _HEIGHT + 66, True: _HEIGHT + 66 + key}
    sizes = {False: 900, True: 330}

    def one(narrow: bool) -> Markup:
        return draw(sizes[narrow], heights[narrow], label, lambda figure: paint(figure, sizes[narrow], narrow))

    return Drawn(one(False), one(True))


def _series(points: Sequence[Point]) -> dict[str, dict[int, Estimate]]:
    """Lines by name, the ones with most points first, as many as there are colours."""
    found: dict[str, dict[int, Estimate]] = {}
    for one in points:
        found.setdefault(f"{one.of}/{one.choice}" if one.of else one.choice, {})[one.size] = one.score
    return dict(sorted(found.items(), key=lambda item: (item[0] != "random", -len(item[1]), item[0]))[:_MOST])


def _frame(axes: Axes, limits: tuple[float, float], what: str) -> None:
    axes.set_ylim(*limits)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(what, labelpad=8)


def _sizes(axes: Axes, sizes: list[int], narrow: bool) -> None:
    axes.set_xscale("symlog", linthresh=10)
    first, last = sizes[0], sizes[-1]
    axes.set_xlim(first / 1.2, last * 1.2 if last > first else last * 2)
    apart, most = list[int](), 4 if narrow else 9
    for size in sizes:
        if not apart or size > apart[-1] * 1.25:
            apart.append(size)
    step = -(-len(apart) // most)
    axes.set_xticks(apart[::step], [f"{size:,}" for size in apart[::step]])
    axes.set_xticks([], minor=True)


def _name(axes: Axes, names: Sequence[tuple[float, str, str]], limits: tuple[float, float], narrow: bool) -> None:
    """Names of the lines: at their right ends, or above the chart where there is no room."""
    if narrow:
        for at, (_, name, colour) in enumerate(names):
            place = 1 + (22 * (len(names) - at) - 14) / _HEIGHT
            axes.plot((0.0, 0.08), (place, place), color=colour, lw=3, transform=axes.transAxes, clip_on=False)
            axes.text(0.11, place, short(name, 36), transform=axes.transAxes, va="center_baseline")
        return
    places = spread([value for value, _, _ in names], 17 * (limits[1] - limits[0]) / _HEIGHT)
    beside = axes.get_yaxis_transform()
    for place, (_, name, colour) in zip(places, names, strict=True):
        axes.plot((1.015, 1.045), (place, place), color=colour, lw=3, transform=beside, clip_on=False)
        axes.text(1.06, place, short(name, 18), transform=beside, va="center_baseline")
