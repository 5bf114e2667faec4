"""Charts of a fit: the five contenders on the test, and the candidates in the plane of score and forgetting."""

from __future__ import annotations

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


def contenders_chart(found: FitFound) -> Markup | None:
    """Test score, and what was forgotten, one row for each; None before the test."""
    shown = [one for one in found.contenders if one.test is not None]
    if not shown:
        return None
    forgot = any(one.forgot is not None for one in shown)
    ruled = [found.rule.test] if found.rule is not None else []
    height = _ROW * (len(shown) + len(ruled)) + 20

    def paint(figure: Figure) -> None:
        left = panel(figure, 190, 36, 390 if forgot else 800, height)
        left.set_title(f"Test: {found.scored}, %")
        for at, one in enumerate(shown):
            _bar(left, at, one.test, one.name == found.chosen)
        for at, value in enumerate(ruled, len(shown)):
            _bar(left, at, value, chosen=False)
        _rows(left, [*(CALLED[one.name] for one in shown), *["no model: commonest"] * len(ruled)])
        if forgot:
            right = panel(figure, 660, 36, 390, height)
            right.set_title("Forgotten, % of what the base knew")
            for at, one in enumerate(shown):
                _bar(right, at, one.forgot, one.name == found.chosen)
            _rows(right, [""] * (len(shown) + len(ruled)))

    return draw(1100, height + 76, "The contenders on the test questions", paint)


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


def plane_chart(found: FitFound) -> Markup | None:
    """Score over forgetting on validation; None of fewer than two candidates, and where nothing was known to forget."""
    candidates = found.candidates
    if len(candidates) < 2 or not found.known_validation:
        return None

    def paint(figure: Figure) -> None:
        axes = panel(figure, 66, 36, 640, _PLANE)
        front = sorted((one for one in candidates if one.front), key=lambda one: one.forgot)
        axes.plot([one.forgot for one in front], [one.score for one in front], color=COLOURS["grid"], lw=2, zorder=1)
        for kind, (label, marker, colour) in KINDS.items():
            mine = [one for one in candidates if one.kind == kind]
            if mine:
                x, y = [one.forgot for one in mine], [one.score for one in mine]
                axes.plot(x, y, marker, color=colour, ms=8, mec=COLOURS["card"], mew=1, ls="", label=label, zorder=2)
        _ring(axes, next(one for one in candidates if one.chosen))
        axes.set_xlabel("forgotten, % of what the base knew", labelpad=8)
        axes.set_title("Score on validation, %")
        axes.grid(axis="both")
        axes.margins(0.08)
        axes.spines["left"].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.04, 1.0), frameon=False, fontsize=12.5)

    return draw(1100, _PLANE + 92, "Candidates by score and forgetting on validation", paint)


def _ring(axes: Axes, chosen: Candidate) -> None:
    style: Style = {"ms": 17, "mfc": "none", "mec": COLOURS["ink"], "mew": 2, "ls": "", "zorder": 3, "marker": "o"}
    axes.plot([chosen.forgot], [chosen.score], **style, label="taken")
