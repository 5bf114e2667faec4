"""Charts of a search: learning curves, early against final scores, where in the space it works, what matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.report.chapters.search.record import Search, SearchTrial
from recollect.report.page.svg import COLOURS, Style, draw, panel
from recollect.report.page.text import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 330
MOST_BARS = 10
STYLES: dict[str, Style] = {
    "finished": {"color": COLOURS["accent"], "marker": "o"},
    "paused": {"color": COLOURS["base"], "marker": "s"},
    "degenerate": {"color": COLOURS["l2"], "marker": "X"},
    "failed": {"color": COLOURS["l3"], "marker": "P"},
    "running": {"color": COLOURS["l1"], "marker": "D"},
}
_BASELINE: Style = {"color": COLOURS["ink"], "ls": "--"}


def states(search: Search) -> list[str]:
    """The states that occur, in the order of the key."""
    return [state for state in STYLES if any(trial.state == state for trial in search.trials)]


def learning_chart(search: Search) -> Markup:
    """Training loss and validation score over the share of the training, one line per trial."""
    with_losses = any(trial.losses for trial in search.trials)

    def paint(figure: Figure) -> None:
        if with_losses:
            _losses(panel(figure, 62, 36, 430, HEIGHT), search)
        _scores(panel(figure, 618 if with_losses else 62, 36, 430 if with_losses else 880, HEIGHT), search)

    return draw(1100, HEIGHT + 92, "Learning curves of all trials", paint)


def _losses(axes: Axes, search: Search) -> None:
    axes.set_title("Training loss")
    lines = [(trial, trial.losses) for trial in search.trials if trial.losses]
    values = sorted(loss for _, line in lines for _, loss in line)
    top = values[min(len(values) - 1, int(0.98 * len(values)))]
    axes.set_ylim(min(0.0, values[0]), 1.1 * max(top, 1e-9))  # a runaway loss leaves the picture at the top
    for trial, line in lines:
        style = _line(trial, search)
        axes.plot([100 * (share or 0) for share, _ in line], [loss for _, loss in line], **style)
    _shares(axes, search)


def _scores(axes: Axes, search: Search) -> None:
    axes.set_title("Validation score")
    for trial in search.trials:
        if not trial.rungs:
            continue
        style = _line(trial, search)
        marker = STYLES[trial.state]["marker"]
        x = [100 * point.share for point in trial.rungs]
        axes.plot(x, [point.score for point in trial.rungs], **style, marker=marker, ms=6.5, mec=COLOURS["card"])
        if trial.state == "paused" and trial.forecast:
            ends = (trial.rungs[-1].score, trial.forecast.value)
            axes.plot((x[-1], 100), ends, color=style["color"], lw=0.9, ls=(0, (2, 3)), alpha=0.7)
    _shares(axes, search)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}{' %' if search.unit == 'points' else ''}")


def _line(trial: SearchTrial, search: Search) -> Style:
    style: Style = {"color": STYLES[trial.state]["color"], "lw": 1.5, "alpha": 0.75}
    if trial.number == search.baseline:
        style |= {**_BASELINE, "lw": 1.8, "alpha": 1}
    if trial.number == search.best:
        style |= {"lw": 3.0, "alpha": 1, "zorder": 4}
    return style


def _shares(axes: Axes, search: Search) -> None:
    axes.set_xlim(0, 103)
    ticks = sorted({0.0, *(100 * share for share in search.rungs)})
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.set_xlabel("share of the trial's training", labelpad=8)
    axes.grid(axis="both")
    axes.spines["left"].set_visible(False)


def early_final(search: Search) -> list[tuple[SearchTrial, float, float]]:
    """Trials with a score at the first rung and at the end."""
    found = []
    for trial in search.trials:
        scores = {point.share: point.score for point in trial.rungs}
        if trial.state == "finished" and search.rungs[0] in scores and 1.0 in scores:
            found.append((trial, scores[search.rungs[0]], scores[1.0]))
    return found


def early_final_chart(search: Search) -> Markup | None:
    """Score at the first rung against the final one; paused trials where the finished ones say they end. None without
    a pair."""
    pairs = early_final(search)
    if not pairs:
        return None
    paused: list[tuple[float, float, float, float]] = []
    for trial in search.trials:
        found = trial.forecast
        if trial.state != "paused" or not trial.rungs or found is None:
            continue
        ends = (found.value, found.low, found.high)
        middle, low, high = (min(max(end, 0.0), 100.0) if search.unit == "points" else end for end in ends)
        paused.append((trial.rungs[0].score, middle, low, high))

    def paint(figure: Figure) -> None:
        axes = panel(figure, 66, 20, 470, 360)
        for early, middle, low, high in paused:
            grey = STYLES["paused"]["color"]
            axes.plot((early, early), (low, high), color=grey, lw=1.1, alpha=0.5)
            axes.plot(early, middle, marker="s", ms=6, color=grey, mec=COLOURS["card"], ls="")
        for trial, early, final in pairs:
            drawn = trial.why == "random"
            colour = COLOURS["ink"] if trial.number == search.baseline else STYLES["finished"]["color"]
            face = COLOURS["card"] if drawn else colour
            axes.plot(early, final, marker="o", ms=9, color=colour, mfc=face, mew=1.8, ls="", zorder=3)
            axes.annotate(f"{trial.number}", (early, final), (7, 5), textcoords="offset points", size=11)
        values = [v for _, *both in pairs for v in both]
        low, high = min(values), max(values)
        axes.plot((low, high), (low, high), color=COLOURS["base"], lw=1, ls=":")
        axes.set_xlabel(f"validation score at {100 * search.rungs[0]:g} % of the training", labelpad=8)
        axes.set_ylabel("final score", labelpad=8)
        axes.grid(axis="both")
        _key(figure, pairs, bool(paused), search)

    return draw(1100, 446, "Early against final validation scores", paint)


def _key(figure: Figure, pairs: Sequence[tuple[SearchTrial, float, float]], paused: bool, search: Search) -> None:
    axes = panel(figure, 590, 20, 480, 200)
    axes.set_axis_off()
    axes.set_xlim(0, 480)
    axes.set_ylim(200, 0)
    blue, grey = STYLES["finished"]["color"], STYLES["paused"]["color"]
    rows: list[tuple[Style, str]] = [({"color": blue, "marker": "o"}, "finished, with its number")]
    if any(trial.why == "random" for trial, *_ in pairs):
        rows += [({"color": blue, "marker": "o", "mfc": COLOURS["card"]}, "finished because drawn at random")]
    if any(trial.number == search.baseline for trial, *_ in pairs):
        rows += [({"color": COLOURS["ink"], "marker": "o"}, "the baseline's settings")]
    if paused:
        rows += [({"color": grey, "marker": "s"}, "paused, where the finished say it ends (95 % interval)")]
    for at, (style, text) in enumerate(rows):
        axes.plot(10, 14 + 28 * at, ms=9, mew=1.8, ls="", **style)
        axes.text(30, 14 + 28 * at, text, va="center")
    axes.plot((0, 20), (14 + 28 * len(rows),) * 2, color=COLOURS["base"], lw=1, ls=":")
    axes.text(30, 14 + 28 * len(rows), "no change after the first judgement", va="center")


def map_axes(search: Search) -> tuple[str, str] | None:
    """The two numeric settings to draw trials over: the two that matter most among those that vary."""

    def varies(name: str) -> bool:
        values = [trial.settings.get(name) for trial in search.trials]
        numbers = {value for value in values if isinstance(value, int | float) and not isinstance(value, bool)}
        return len(numbers) >= 3

    names = list(dict.fromkeys(name for trial in search.trials for name in trial.settings))
    weight = {one.name: one.share or 0.0 for one in search.importance}
    found = sorted((name for name in names if varies(name)), key=lambda name: -weight.get(name, 0.0))
    if len(found) < 2:
        return None
    first = "learning_rate" if "learning_rate" in found else found[0]
    return first, next(name for name in found if name != first)


def map_chart(search: Search) -> Markup | None:
    """All trials over two settings: colour is the last score, a cross a degenerate one. None with fewer settings."""
    names = map_axes(search)
    if names is None:
        return None
    shown = [(trial, place) for trial in search.trials if (place := _place(trial, names))]
    scored = [(trial, place) for trial, place in shown if trial.state in ("finished", "paused") and trial.rungs]

    def paint(figure: Figure) -> None:
        from matplotlib.colors import Normalize

        axes = panel(figure, 84, 20, 920, 360)
        values = [trial.rungs[-1].score for trial, _ in scored] or [0.0]
        norm = Normalize(min(values), max(max(values), min(values) + 1e-9))
        for trial, (x, y) in scored:
            score = trial.rungs[-1].score
            size = 190 if trial.state == "finished" else 90
            axes.scatter([x], [y], c=[score], norm=norm, cmap="viridis_r", s=size, lw=0, zorder=3)
            if trial.number == search.best:
                axes.scatter([x], [y], s=430, facecolors="none", edgecolors=COLOURS["ink"], lw=1.8, zorder=2)
        for trial, (x, y) in shown:
            if trial.state in ("degenerate", "failed"):
                style = STYLES[trial.state]
                axes.scatter([x], [y], color=style["color"], marker=style["marker"], s=120, lw=0, zorder=3)
        for at, axis in enumerate(("x", "y")):
            _scale(axes, axis, [place[at] for _, place in shown])
        _label(axes, [(x, y, trial.rungs[-1].score) for trial, (x, y) in scored])
        axes.set_xlabel(names[0], labelpad=8)
        axes.set_ylabel(names[1], labelpad=8)
        axes.grid(axis="both")

    return draw(1100, 446, f"Trials over {short(names[0], 30)} and {short(names[1], 30)}", paint)


def _label(axes: Axes, points: list[tuple[float, float, float]]) -> None:
    """Write each (x, y, score) beside its point, on the first of four sides where no other score stands yet."""
    taken: list[tuple[float, float]] = []
    axes.autoscale_view()
    for x, y, score in points:
        left, bottom = axes.transData.transform((x, y))
        sides = [(left + dx, bottom + dy) for dx, dy in ((11, 7), (11, -17), (-27, 7), (-27, -17))]
        free = [
            side for side in sides if all(abs(side[0] - one[0]) > 18 or abs(side[1] - one[1]) > 12 for one in taken)
        ]
        taken.append(at := (free or sides)[0])
        offset = (at[0] - left, at[1] - bottom)
        axes.annotate(f"{score:.0f}", (x, y), offset, textcoords="offset points", size=11, color=COLOURS["muted"])


def _place(trial: SearchTrial, names: tuple[str, str]) -> tuple[float, float] | None:
    """Where a trial is on the map; None where it does not have both settings as numbers."""
    first, second = (trial.settings.get(name) for name in names)
    if isinstance(first, bool) or isinstance(second, bool):
        return None
    if not isinstance(first, int | float) or not isinstance(second, int | float):
        return None
    return (float(first), float(second)) if math.isfinite(first) and math.isfinite(second) else None


def _scale(axes: Axes, axis: str, values: list[float]) -> None:
    if min(values, default=0) > 0 and max(values) >= 8 * min(values):
        from matplotlib.ticker import LogLocator, NullFormatter

        getattr(axes, f"set_{axis}scale")("log")
        where = axes.xaxis if axis == "x" else axes.yaxis
        where.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        where.set_major_formatter(lambda value, _: f"{value:g}")
        where.set_minor_formatter(NullFormatter())


def importance_chart(search: Search) -> Markup | None:
    """One bar per setting. None when it was not measured."""
    rows = sorted(search.importance, key=lambda one: -(one.share or 0.0))[:MOST_BARS]
    if not rows:
        return None
    height = 30 * len(rows)

    def paint(figure: Figure) -> None:
        axes = panel(figure, 210, 10, 620, height)
        shares = [100 * (one.share or 0.0) for one in rows]
        axes.barh(range(len(rows)), shares, height=0.62, color=COLOURS["accent"])
        axes.set_yticks(range(len(rows)), [short(one.name, 26) for one in rows], color=COLOURS["ink"])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.12 * max(*shares, 1.0))
        axes.set_xticks([])
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_visible(False)
        for at, share in enumerate(shares):
            axes.text(share, at, f" {share:.0f} %", va="center")

    return draw(1100, height + 24, "Importance of the settings", paint)
