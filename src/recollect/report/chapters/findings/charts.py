"""The checks in points as one picture: effect, interval and boundary of each, the paper's own beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.core.estimates import Estimate, Verdict
from recollect.report.page.svg import COLOURS, draw, panel
from recollect.report.page.text import clean, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 40
ROW = 26
_ROW_OF_TWO = 34
_LINE = 76
"""Characters of a label's line."""
LEFT = 500
_COLOUR: dict[Verdict, str] = {
    "confirmed": COLOURS["mixed"],
    "refuted": COLOURS["l2"],
    "not decided here": COLOURS["base"],
}


@dataclass(frozen=True)
class Bar:
    """One check of the chart."""

    name: str
    effect: Estimate
    boundary: float
    verdict: Verdict
    published: float | None


def effects_chart(bars: Sequence[Bar]) -> Markup | None:
    """One row a check, in points; None without any."""
    shown = bars[:MOST]
    if not shown:
        return None
    labels = [_label(bar.name) for bar in shown]
    height = (_ROW_OF_TWO if any("\n" in label for label in labels) else ROW) * len(shown)

    def paint(figure: Figure) -> None:
        axes = panel(figure, LEFT, 10, 1090 - LEFT, height)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(*_limits(shown))
        axes.set_yticks(range(len(shown)), labels, size=11.5)
        axes.tick_params(axis="y", colors=COLOURS["ink"])
        axes.grid(axis="x")
        axes.axvline(0, color=COLOURS["muted"], lw=1.2, zorder=1)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("points of accuracy", labelpad=8)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0")
        for at, bar in enumerate(shown):
            _paint(axes, at, bar)

    return draw(1100, height + 62, "Effect of every finding in points of accuracy, with corrected intervals", paint)


def _label(name: str) -> str:
    """The name on at most two lines, so that two checks that begin alike can be told apart."""
    lines = wrap(" ".join(clean(name).split()), _LINE)
    return "\n".join([*lines[:1], *([short(" ".join(lines[1:]), _LINE)] if lines[1:] else [])])


def _limits(bars: Sequence[Bar]) -> tuple[float, float]:
    """From the least to the greatest number, and the end of every interval that is not far wider than they lie."""
    numbers = [end for bar in bars for end in (bar.effect.value, bar.boundary, bar.published or 0.0)]
    reach = max(max(numbers) - min(numbers), 0.1)
    for bar in bars:
        numbers += [end for end in (bar.effect.low, bar.effect.high) if abs(end - bar.effect.value) < reach]
    pad = 0.04 * (max(numbers) - min(numbers))
    return 100 * (min(numbers) - pad), 100 * (max(numbers) + pad)


def _paint(axes: Axes, at: int, bar: Bar) -> None:
    colour = _COLOUR[bar.verdict]
    value, low, high = bar.effect.percent
    axes.plot((low, high), (at, at), color=colour, lw=5, alpha=0.35, solid_capstyle="round")
    axes.plot(value, at, "o", ms=8, color=colour, mec=COLOURS["card"], mew=0.8, zorder=4)
    if bar.boundary:
        axes.plot((100 * bar.boundary,) * 2, (at - 0.36, at + 0.36), color=COLOURS["ink"], lw=1.6, ls=":", zorder=3)
    if bar.published is not None:
        axes.plot(100 * bar.published, at, "D", ms=7, mfc="none", mec=COLOURS["ink"], mew=1.4, zorder=3)
