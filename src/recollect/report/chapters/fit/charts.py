"""Charts of a fit: the five contenders on the test, and the candidates in the plane of score and forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.core.workspace.fit import CALLED, COMMONEST, COMMONEST_SHORT, SHORT, Candidate, FitFound
from recollect.report.page.svg import COLOURS, Style, draw, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {
    "plain": ("plain fine-tuning", "s", COLOURS["base"]),
    "trial": ("trial of the search", "o", COLOURS["l3"]),
    "seed": ("another seed", "o", COLOURS["accent"]),
    "mean": ("mean of several", "D", COLOURS["accent"]),
    "repair": ("moved back towards the base", "^", COLOURS["mixed"]),
}
"""Label, marker and colour of each kind of candidate."""
_ROW = 46
_PLANE = 380
_NAMES, _BARS = 98, 201
"""Of a chart on a phone: the names at the left, and the bars."""
_FAR, _LEAST = 3, 10.0
"""How many times narrower an axis must become without the worst candidates for them to be drawn at its edge, and from
how many points of width on."""


@dataclass(frozen=True)
class Drawn:
    """A chart for windows and one for phones."""

    wide: Markup
    narrow: Markup


def contenders_chart(found: FitFound) -> Drawn | None:
    """Test score, and what was forgotten, one row for each; None before the test."""
    shown = [one for one in found.contenders if one.test is not None]
    if not shown:
        return None
    forgot = any(one.forgot is not None for one in shown)
    ruled = [found.rule.test] if found.rule is not None else []
    names = [*(CALLED[one.name] for one in shown), *[COMMONEST] * len(ruled)]
    height = _ROW * len(names) + 20

    def test(axes: Axes, names: list[str], at_left: float = 0.0) -> None:
        axes.set_title(f"Test: {found.scored}, %", x=at_left)
        for at, one in enumerate(shown):
            _bar(axes, at, one.test, one.name == found.chosen)
        for at, value in enumerate(ruled, len(shown)):
            _bar(axes, at, value, chosen=False)
        _rows(axes, names)

    def lost(axes: Axes, names: list[str], at_left: float = 0.0) -> None:
        axes.set_title("Forgotten, % of what the base knew", x=at_left)
        for at, one in enumerate(shown):
            _bar(axes, at, one.forgot, one.name == found.chosen)
        _rows(axes, names)

    def wide(figure: Figure) -> None:
        test(panel(figure, 215, 36, 390 if forgot else 800, height), names)
        if forgot:
            lost(panel(figure, 675, 36, 390, height), [""] * len(names))

    def narrow(figure: Figure) -> None:
        short = [*(SHORT[one.name] for one in shown), *[COMMONEST_SHORT] * len(ruled)]
        test(panel(figure, _NAMES, 36, _BARS, height), short, -_NAMES / _BARS)
        if forgot:
            under = panel(figure, _NAMES, height + 106, _BARS, height - _ROW * len(ruled))
            lost(under, short[: len(shown)], -_NAMES / _BARS)

    label = "The contenders on the test questions"
    return Drawn(
        draw(1100, height + 76, label, wide),
        draw(310, height + 70 + (height + 70 - _ROW * len(ruled) if forgot else 0), f"{label}, for a phone", narrow),
    )


def _bar(axes: Axes, at: int, value: Estimate | None, chosen: bool) -> None:
    if value is None:
        axes.text(1, at, "forgets nothing", va="center", color=COLOURS["muted"], size=12)
        return
    middle, low, high = value.percent
    colour = COLOURS["accent"] if chosen else COLOURS["base"]
    axes.barh(at, middle, height=0.5, color=colour, alpha=0.85 if chosen else 0.5)
    axes.plot((low, high), (at, at), color=COLOURS["ink"], lw=1.6)
    axes.text(high + 1.5, at, f"{middle:.1f}", va="center", size=12.5, weight="bold" if chosen else "normal")


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, max(20.0, 1.12 * axes.get_xlim()[1]))
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def plane_chart(found: FitFound) -> Drawn | None:
    """Score over forgetting on validation; None of fewer than two candidates, and where nothing was known to forget."""
    candidates = found.candidates
    if len(candidates) < 2 or not found.known_validation:
        return None

    most, least = window(candidates)
    inside = [one for one in candidates if one.forgot <= most and one.score >= least]

    def points(axes: Axes) -> None:
        front = sorted((one for one in candidates if one.front), key=lambda one: one.forgot)
        axes.plot([one.forgot for one in front], [one.score for one in front], color=COLOURS["base"], lw=1.2, zorder=1)
        for kind, (label, marker, colour) in KINDS.items():
            mine = [one for one in inside if one.kind == kind]
            if mine:
                x, y = [one.forgot for one in mine], [one.score for one in mine]
                axes.plot(x, y, marker, color=colour, ms=9, mec=COLOURS["card"], mew=1, ls="", label=label, zorder=2)
        _ring(axes, next(one for one in candidates if one.chosen))
        axes.set_xlabel("forgotten, % of what the base knew", labelpad=8)
        axes.set_title("Score on validation, %")
        axes.grid(axis="both")
        axes.margins(0.08)
        axes.spines["left"].set_visible(False)
        _outside(axes, [one for one in candidates if one not in inside], most, least)

    def wide(figure: Figure) -> None:
        axes = panel(figure, 66, 36, 700, _PLANE)
        points(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.03, 1.0), frameon=False, fontsize=12.5)

    def narrow(figure: Figure) -> None:
        axes = panel(figure, 34, 36, 266, 270)
        points(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(-0.08, -0.2), frameon=False, fontsize=12.5)

    label = "Candidates by score and forgetting on validation"
    return Drawn(draw(1100, _PLANE + 92, label, wide), draw(310, 500, f"{label}, for a phone", narrow))


def _ring(axes: Axes, chosen: Candidate) -> None:
    style: Style = {"ms": 17, "mfc": "none", "mec": COLOURS["ink"], "mew": 2, "ls": "", "zorder": 3, "marker": "o"}
    axes.plot([chosen.forgot], [chosen.score], **style, label="taken as the fit's own model")


def window(candidates: Sequence[Candidate]) -> tuple[float, float]:
    """The most forgetting and the least score that the plane shows, in percent.

    A few bad candidates far away would crowd all others: those without which an axis is under a third as wide are left
    outside, at most a quarter of them (or one), and never one of the front or the chosen one.
    """
    good = [one for one in candidates if one.front or one.chosen]
    most = -_near([-one.forgot for one in candidates], min(-one.forgot for one in good))
    return most, _near([one.score for one in candidates], min(one.score for one in good))


def _near(values: Sequence[float], kept: float) -> float:
    """The least value that is shown, of values where less is worse; nothing from `kept` on is left out."""
    ordered = sorted(values)
    width = ordered[-1] - ordered[0]
    for left_out in range(1, 1 + max(1, len(ordered) // 4)):
        shown = ordered[left_out:]
        if width > _LEAST and shown and shown[0] <= kept and _FAR * (shown[-1] - shown[0]) < width:
            return shown[0]
    return ordered[0]


def _outside(axes: Axes, far: Sequence[Candidate], most: float, least: float) -> None:
    """Candidates that lie outside, hollow at the edge, with their numbers."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for number, one in enumerate(far):
        x, y = right if one.forgot > most else one.forgot, bottom if one.score < least else one.score
        _, marker, colour = KINDS[one.kind]
        style: Style = {"color": colour, "marker": marker, "ms": 9, "mfc": "none", "mew": 1.6, "ls": "", "zorder": 3}
        axes.plot([x], [y], **style, clip_on=False, label="" if number else "outside: score / forgotten, %")
        side = "right" if x > (left + right) / 2 else "left"
        axes.annotate(
            f"{one.score:.0f} / {one.forgot:.0f}",
            (x, y),
            xytext=(-10 if side == "right" else 10, -4),
            textcoords="offset points",
            ha=side,
            size=11.5,
            color=COLOURS["muted"],
        )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
