"""The restoration ladder: accuracy over the percentage set back, one line per order; and what it shows in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.core.numbers import interval, signed
from recollect.report.chapters.drift.record import Ladder
from recollect.report.page.svg import COLOURS, Style, draw, panel
from recollect.report.page.text import short
from recollect.report.scores.charts import HEIGHT, name_ends
from recollect.restore import Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PartName = Literal["test", "ood"]
ENDS = ("tuned", "base")
STYLES: dict[str, Style] = {
    "relative": {"color": COLOURS["accent"], "marker": "o", "lw": 2.8},
    "absolute": {"color": COLOURS["l2"], "marker": "s"},
    "bottom": {"color": COLOURS["l1"], "marker": "v"},
    "random": {"color": COLOURS["random"], "marker": "o", "ls": "--", "mfc": COLOURS["card"]},
    "interpolation": {"color": COLOURS["mixed"], "marker": "P"},
}
_OTHER: Style = {"color": COLOURS["l4"], "marker": "^"}
_FLAT: dict[str, Style] = {
    "tuned": {"color": COLOURS["ink"], "ls": "-"},
    "base": {"color": COLOURS["base"], "ls": ":"},
}


def ladder_orders(ladder: Ladder) -> list[str]:
    """The orders of the rungs as they come: the main one first; tuned and base are no orders."""
    return list(dict.fromkeys(rung.order for rung in ladder.rungs if rung.order not in ENDS))


def ladder_chart(ladder: Ladder) -> Markup | None:
    """In- and, when measured, out-of-domain; None without a scored rung."""
    parts: list[tuple[PartName, str]] = [("test", "In-domain"), ("ood", "Out-of-domain")]
    shown = [(part, title) for part, title in parts if any(_lines(ladder, part).values())]
    if not shown:
        return None
    scores = [ladder.score(rung, part) for rung in ladder.rungs for part, _ in shown]
    highest = max(found.high for found in scores if found)
    limits = (0.0, min(1.01, 1.06 * highest + 0.005))
    width = 355 if len(shown) > 1 else 860

    def paint(figure: Figure) -> None:
        for index, (part, title) in enumerate(shown):
            axes = panel(figure, 54 + index * 544, 36, width, HEIGHT)
            axes.set_title(title)
            axes.set_ylim(*limits)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
            axes.grid(axis="y")
            axes.spines["left"].set_visible(False)
            _paint(axes, ladder, part)

    label = f"Accuracy over the percentage of weights set back, {ladder.size} facts, {ladder.levels}, {ladder.seed}"
    return draw(1100, HEIGHT + 96, label, paint)


def _lines(ladder: Ladder, part: PartName) -> dict[str, dict[float, Estimate]]:
    return {
        order: {
            rung.percent: found
            for rung in ladder.rungs
            if rung.order == order and (found := ladder.score(rung, part)) and rung.percent > 0
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
    ends: list[tuple[float, str, Style]] = []
    for index, (order, line) in enumerate(found.items()):
        if not line:
            continue
        style: Style = {"ls": "-", "ms": 8, "mec": COLOURS["card"], **STYLES.get(order, _OTHER)}
        style["mec"] = style["color"] if "mfc" in style else COLOURS["card"]
        x = sorted(line)
        low, high = [line[p].low for p in x], [line[p].high for p in x]
        if index == 0:
            axes.fill_between(x, low, high, color=style["color"], alpha=0.12, lw=0)
        else:  # beside each other, so that they can be told apart
            axes.vlines([p * 1.02 ** (index - 3) for p in x], low, high, color=style["color"], lw=1.6, alpha=0.4)
        axes.plot(x, [line[p].value for p in x], **style, zorder=3)
        ends.append((line[x[-1]].value, short(order, 14), style))
    for name, flat in _FLAT.items():
        rung = ladder.end(name)
        value = ladder.score(rung, part)
        if value:
            axes.axhline(value.value, **flat, lw=1.6, zorder=2)
            ends.append((value.value, name, flat))
    _mark(axes, ladder, found, named=part == "test")
    name_ends(axes, ends)


def _mark(axes: Axes, ladder: Ladder, found: dict[str, dict[float, Estimate]], named: bool) -> None:
    """A ring around the chosen rung, named where it was chosen."""
    best = ladder.best
    if best is None or best.percent not in found.get(best.order, {}):
        return
    value = found[best.order][best.percent].value
    axes.plot(best.percent, value, "o", ms=17, mfc="none", mec=COLOURS["ink"], mew=1.8, zorder=4)
    if not named:
        return
    axes.annotate(
        f"chosen: {best.percent:g} %", (best.percent, value), xytext=(0, 15), textcoords="offset points",
        ha=_inside(best.percent, [percent for line in found.values() for percent in line]), weight="bold", size=12,
        zorder=5,
    )  # fmt: skip


def _inside(percent: float, percents: Sequence[float]) -> Literal["left", "right", "center"]:
    """How a text at this percentage is set, so that it does not run over the axis's own numbers."""
    low, high = min(percents), max(percents)
    return "left" if percent == low < high else "right" if percent == high > low else "center"


def _apart(percents: Sequence[float]) -> list[float]:
    """The percentages that have room for a label on a log scale of this width."""
    span = max(percents[-1] / percents[0], 1.0001)
    kept: list[float] = []
    for percent in percents:
        if not kept or percent / kept[-1] > span ** (1 / 14):
            kept.append(percent)
    return kept


def ladder_lines(ladder: Ladder) -> list[str]:
    """The verdict first, then what each control says, then what follows from both."""
    best = ladder.best
    if best is None:
        return [ladder.note or "No rung could be chosen: too few facts to choose on one half and judge on the other."]
    if best.percent == 0:
        return [
            "On the half of the facts that chooses, no rung is better than the tuned model: nothing to set back.",
            *_controls_of_nothing(ladder),
            *_meaning(ladder, best),
        ]
    gain = signed_interval(best.gain)
    judged = "a gain beyond noise" if best.beats_tuned else "no gain beyond noise: the interval holds zero"
    if best.gain is None:
        judged = "not measured"
    elif best.gain.sign < 0:
        judged = "a loss"
    lines = [
        f"Chosen on one half of the in-domain facts: {best.percent:g} % set back ({best.order}). On the other half "
        f"({best.gain.n if best.gain else 0:,} facts) that is {gain} against the tuned model: {judged}."
    ]
    if best.ood_gain is not None:
        gain = signed_interval(best.ood_gain)
        lines.append(f"Out-of-domain ({best.ood_gain.n:,} facts, none of which chose): {gain}.")
    lines += [_control(one, one.ahead) for one in ladder.controls if one.ahead is not None]
    return lines + _meaning(ladder, best)


def signed_interval(found: Estimate | None) -> str:
    """For example "+3.1 points (+0.4 to +5.8)"."""
    if found is None:
        return "– points"
    value, low, high = found.percent
    return f"{signed(value)} points ({interval(low, high, sign=True)})"


def length_line(ladder: Ladder) -> str | None:
    """Whether the answers of the last rung lost their form; None when that cannot be asked."""
    tuned, rungs = ladder.end("tuned"), ladder.main_rungs
    before = ladder.score(tuned)
    after = ladder.score(rungs[-1]) if rungs else None
    if not (tuned and before and after) or tuned.answer_length is None or rungs[-1].answer_length is None:
        return None
    long, short = rungs[-1].answer_length, tuned.answer_length
    lengths = f"answers are {long:.0f} characters long on average, the tuned model's {short:.0f}"
    at = f"With {rungs[-1].percent:g} % set back"
    if after.high >= before.low:
        return f"{at} accuracy does not clearly fall, and {lengths}."
    falls = f"{at} accuracy falls to {100 * after.value:.1f} %"
    if long > 1.5 * short:
        return (
            f"{falls}, and {lengths}: the form of the answer goes, so how much knowledge went with it cannot be told."
        )
    return f"{falls}, while {lengths}: the form of the answer stays, so it is the answers that got worse."


def _control(control: Choice, ahead: Estimate) -> str:
    judged = {1: "clearly ahead", -1: "clearly behind", 0: "no clear difference"}[ahead.sign]
    what = f"{control.percent:g} %" if control.percent else "nothing set back"
    return f"Against the control “{control.order}” at its own best ({what}): {signed_interval(ahead)}, {judged}."


def _controls_of_nothing(ladder: Ladder) -> list[str]:
    """What the controls say where nothing is to be set back: those that choose nothing either are in one sentence."""
    measured = [one for one in ladder.controls if one.ahead is not None]
    alike = [f"“{one.order}”" for one in measured if one.percent == 0]
    same = f"Nor is a rung of the {'control' if len(alike) == 1 else 'controls'} {', '.join(alike)}."
    return [same] * bool(alike) + [_control(one, one.ahead) for one in measured if one.percent and one.ahead]


def rivals(ladder: Ladder) -> list[str]:
    """The controls that the choice is not clearly ahead of."""
    return [control.order for control in ladder.controls if control.rivals_best]


def _meaning(ladder: Ladder, best: Choice) -> list[str]:
    if not best.beats_tuned:
        return [
            f"The control “{other.order}” at {other.percent:g} % does gain against the tuned model: "
            f"{signed_interval(other.gain)}."
            for other in ladder.controls
            if other.beats_tuned
        ]
    if not ladder.controls:
        return []
    if not rivals(ladder):
        return ["It is ahead of every control, so which weights are set back matters here."]
    return [
        f"It is not clearly ahead of {', '.join(rivals(ladder))}: undoing a part of the change helps, but that these "
        "weights are the right ones is not shown."
    ]
