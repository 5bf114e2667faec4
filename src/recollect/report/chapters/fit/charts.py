"""Charts of a fit: the five contenders on the test, and the candidates in the plane of score and forgetting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.core.workspace.fit import Candidate, FitFound
from recollect.report.page.svg import COLOURS, Style, draw, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CALLED = {
    "base": "untouched base",
    "few-shot": "examples in the prompt",
    "plain": "plain, all data",
    "random": "random, equal size",
    "ours": "ours",
}
_SHORT = {"base": "base", "few-shot": "prompt", "plain": "plain", "random": "random", "ours": "ours"}
"""On a phone."""
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
    names = [*(CALLED[one.name] for one in shown), *["no model: commonest"] * len(ruled)]
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
        test(panel(figure, 190, 36, 390 if forgot else 800, height), names)
        if forgot:
            lost(panel(figure, 660, 36, 390, height), [""] * len(names))

    def narrow(figure: Figure) -> None:
        short = [*(_SHORT[one.name] for one in shown), *["commonest"] * len(ruled)]
        test(panel(figure, 84, 36, 215, height), short, -84 / 215)
        if forgot:
            lost(panel(figure, 84, height + 106, 215, height - _ROW * len(ruled)), short[: len(shown)], -84 / 215)

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

    def points(axes: Axes) -> None:
        front = sorted((one for one in candidates if one.front), key=lambda one: one.forgot)
        axes.plot([one.forgot for one in front], [one.score for one in front], color=COLOURS["grid"], lw=2, zorder=1)
        for kind, (label, marker, colour) in KINDS.items():
            mine = [one for one in candidates if one.kind == kind]
            if mine:
                x, y = [one.forgot for one in mine], [one.score for one in mine]
                axes.plot(x, y, marker, color=colour, ms=9, mec=COLOURS["card"], mew=1, ls="", label=label, zorder=2)
        _ring(axes, next(one for one in candidates if one.chosen))
        axes.set_xlabel("forgotten, % of what the base knew", labelpad=8)
        axes.set_title("Score on validation, %")
        axes.grid(axis="both")
        axes.margins(0.08)
        axes.spines["left"].set_visible(False)

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
    axes.plot([chosen.forgot], [chosen.score], **style, label="taken as ours")
