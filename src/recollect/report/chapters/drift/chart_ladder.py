"""The restoration ladder: accuracy over the percentage set back, one line per order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.report.chapters.drift.record import Ladder
from recollect.report.chapters.sizes.charts import HEIGHT, name_ends
from recollect.report.page.svg import COLOURS, draw, panel, short
from recollect.restore import Rung

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Score = tuple[float, float, float]
PartName = Literal["test", "ood"]
ENDS = ("tuned", "base")
STYLES: dict[str, dict[str, Any]] = {
    "relative": {"color": COLOURS["accent"], "marker": "o", "lw": 2.8},
    "absolute": {"color": COLOURS["l2"], "marker": "s"},
    "bottom": {"color": COLOURS["l1"], "marker": "v"},
    "random": {"color": COLOURS["random"], "marker": "o", "ls": "--", "mfc": COLOURS["card"]},
    "interpolation": {"color": COLOURS["mixed"], "marker": "P"},
}
_OTHER: dict[str, Any] = {"color": COLOURS["l4"], "marker": "^"}
_FLAT: dict[str, dict[str, Any]] = {
    "tuned": {"color": COLOURS["ink"], "ls": "-"},
    "base": {"color": COLOURS["base"], "ls": ":"},
}


def score(rung: Rung, mean: str, part: PartName) -> Score | None:
    """A rung's accuracy with its interval, in percent; None where it was not measured."""
    names = {"test": ("macro", "micro"), "ood": ("ood", "ood_micro")}[part]
    found: Estimate | None = getattr(rung, names[mean == "micro"])
    return found.percent if found else None


def ladder_orders(ladder: Ladder) -> list[str]:
    """The orders of the rungs as they come: the main one first; tuned and base are no orders."""
    return list(dict.fromkeys(rung.order for rung in ladder.rungs if rung.order not in ENDS))


def end(ladder: Ladder, order: str) -> Rung | None:
    """The rung of the tuned or of the base model."""
    return next((rung for rung in ladder.rungs if rung.order == order), None)


def ladder_chart(ladder: Ladder) -> Markup | None:
    """In- and, when measured, out-of-domain; None without a scored rung."""
    parts: list[tuple[PartName, str]] = [("test", "In-domain"), ("ood", "Out-of-domain")]
    shown = [(part, title) for part, title in parts if any(_lines(ladder, part).values())]
    if not shown:
        return None
    scores = [score(rung, ladder.mean, part) for rung in ladder.rungs for part, _ in shown]
    highest = max(found[2] for found in scores if found)
    limits = (0.0, min(101.0, 1.06 * highest + 0.5))
    width = 355 if len(shown) > 1 else 860

    def paint(figure: Figure) -> None:
        for index, (part, title) in enumerate(shown):
            axes = panel(figure, 54 + index * 544, 36, width, HEIGHT)
            axes.set_title(title)
            axes.set_ylim(*limits)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
            axes.grid(axis="y")
            axes.spines["left"].set_visible(False)
            _paint(axes, ladder, part)

    label = f"Accuracy over the percentage of weights set back, {ladder.size} facts, {ladder.levels}, {ladder.seed}"
    return draw(1100, HEIGHT + 96, label, paint)


def _lines(ladder: Ladder, part: PartName) -> dict[str, dict[float, Score]]:
    return {
        order: {
            rung.percent: found
            for rung in ladder.rungs
            if rung.order == order and (found := score(rung, ladder.mean, part)) and rung.percent > 0
        }
        for order in ladder_orders(ladder)
    }


def _paint(axes: Axes, ladder: Ladder, part: PartName) -> None:
    found = _lines(ladder, part)
    percents = sorted({percent for line in found.values() for percent in line})
    axes.set_xscale("log")
    axes.set_xlim(percents[0] / 1.15, percents[-1] * 1.15)
    axes.set_xticks([], minor=True)
    axes.set_xticks(_apart(percents), [f"{percent:g}" for percent in _apart(percents)])
    axes.set_xlabel("% of the weights set back to the base (log scale)", labelpad=8)
    ends: list[tuple[float, str, dict[str, Any]]] = []
    for index, (order, line) in enumerate(found.items()):
        if not line:
            continue
        style = {"ls": "-", "ms": 8, "mec": COLOURS["card"], **STYLES.get(order, _OTHER)}
        style["mec"] = style["color"] if "mfc" in style else COLOURS["card"]
        x = sorted(line)
        low, high = [line[p][1] for p in x], [line[p][2] for p in x]
        if index == 0:
            axes.fill_between(x, low, high, color=style["color"], alpha=0.12, lw=0)
        else:  # beside each other, so that they can be told apart
            axes.vlines([p * 1.02 ** (index - 3) for p in x], low, high, color=style["color"], lw=1.6, alpha=0.4)
        axes.plot(x, [line[p][0] for p in x], **style, zorder=3)
        ends.append((line[x[-1]][0], short(order, 14), style))
    for name, style in _FLAT.items():
        rung = end(ladder, name)
        value = score(rung, ladder.mean, part) if rung else None
        if value:
            axes.axhline(value[0], **{"lw": 1.6, "zorder": 2, **style})
            ends.append((value[0], name, style))
    _mark(axes, ladder, found, named=part == "test")
    name_ends(axes, ends)


def _mark(axes: Axes, ladder: Ladder, found: dict[str, dict[float, Score]], named: bool) -> None:
    """A ring around the chosen rung, named where it was chosen."""
    best = ladder.best
    if best is None or best.percent not in found.get(best.order, {}):
        return
    value = found[best.order][best.percent][0]
    axes.plot(best.percent, value, "o", ms=17, mfc="none", mec=COLOURS["ink"], mew=1.8, zorder=4)
    if not named:
        return
    axes.annotate(
        f"chosen: {best.percent:g} %", (best.percent, value), xytext=(0, 15), textcoords="offset points",
        ha="center", weight="bold", size=12, zorder=5,
    )  # fmt: skip


def _apart(percents: Sequence[float]) -> list[float]:
    """The percentages that have room for a label on a log scale of this width."""
    span = max(percents[-1] / percents[0], 1.0001)
    kept: list[float] = []
    for percent in percents:
        if not kept or percent / kept[-1] > span ** (1 / 14):
            kept.append(percent)
    return kept
