"""Bars by attribute: one row per attribute, one bar with its interval per model and baseline, known and new shops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.report.chapters.attributes.record import AttributeRun, Attributes, AttributeSystem, PagePart
from recollect.report.page.evenly import evenly
from recollect.report.page.svg import COLOURS, bare, draw, panel
from recollect.report.page.text import short
from recollect.report.scores.groups import Averaged, averaged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MACRO = "macro"
PARTS: Mapping[PagePart, str] = {"test": "In-domain: known shops", "ood": "Out-of-domain: new shops"}
MOST_ROWS = 20
MOST_BARS = 7
_BAR, _GAP = 9, 13  # pixels


@dataclass(frozen=True)
class SystemRow:
    """One model or baseline with its estimates on one part, macro first, then by attribute."""

    system: AttributeSystem
    runs: tuple[AttributeRun, ...]
    scores: Mapping[str, Averaged | None]
    f1: Mapping[str, Averaged | None]
    invalid: Averaged | None


def part_rows(found: Attributes, part: PagePart) -> list[SystemRow]:
    """Every system that was asked on a part, averaged over its runs (intervals as in `scores.groups`)."""
    systems = [system for system in found.systems if _of(system, part)]
    runs = [_of(system, part) for system in systems]
    names = (MACRO, *found.names)

    def over(pick: Callable[[AttributeRun], Estimate | None]) -> list[Averaged | None]:
        """Trained models share one seed spread; what was not trained has none."""
        shared = averaged([[pick(run) for run in one] for one in runs])
        alone = [averaged([[pick(run) for run in one]])[0] for one in runs]
        return [shared[at] if system.kind == "tuned" else alone[at] for at, system in enumerate(systems)]

    scores = {name: over(lambda run, name=name: _score(run, name)) for name in names}  # type: ignore[misc]
    f1 = {name: over(lambda run, name=name: _f1(run, name)) for name in found.names}  # type: ignore[misc]
    invalid = over(lambda run: run.invalid)
    return [
        SystemRow(
            system,
            tuple(runs[at]),
            {name: scores[name][at] for name in names},
            {name: f1[name][at] for name in found.names},
            invalid[at],
        )
        for at, system in enumerate(systems)
    ]


def attribute_rows(found: Attributes) -> list[tuple[str, list[SystemRow]]]:
    """The rows of every part that was asked, with its title."""
    return [(title, rows) for part, title in PARTS.items() if (rows := part_rows(found, part))]


def _score(run: AttributeRun, name: str) -> Estimate | None:
    if name == MACRO:
        return run.macro
    entry = run.by_attribute.get(name)
    return entry.accuracy if entry else None


def _f1(run: AttributeRun, name: str) -> Estimate | None:
    entry = run.by_attribute.get(name)
    return entry.f1 if entry else None


def _of(system: AttributeSystem, part: PagePart) -> list[AttributeRun]:
    return system.test if part == "test" else system.ood


def shown_systems(systems: Sequence[AttributeSystem]) -> list[AttributeSystem]:
    """At most `MOST_BARS` of them: all but trained models, and of these the first, the last, and some between."""
    tuned = [system for system in systems if system.kind == "tuned"]
    others = [system for system in systems if system.kind != "tuned"][: MOST_BARS - min(2, len(tuned))]
    tuned = [tuned[at] for at in evenly(len(tuned), MOST_BARS - len(others))]
    return [system for system in systems if system in others or system in tuned]


def colours(systems: Sequence[AttributeSystem]) -> dict[str, str]:
    """A colour by name: grey and teal without training, light to dark with more of it."""
    learnt = [system.name for system in systems if system.kind in ("tuned", "model")]
    scale = ("l1", "l2", "l3", "l4")
    ends = max(1, len(learnt) - 1)
    found = {name: COLOURS[scale[round(at * 3 / ends)] if len(learnt) > 1 else "l4"] for at, name in enumerate(learnt)}
    baselines = [system.name for system in systems if system.kind == "baseline"]
    found |= {name: COLOURS["mixed" if at % 2 == 0 else "random"] for at, name in enumerate(baselines)}
    return found | {system.name: COLOURS["base"] for system in systems if system.kind == "base"}


def attributes_chart(found: Attributes) -> Markup:
    """One panel per part; rows are macro and the attributes, bars the models and baselines."""
    systems = shown_systems(found.systems)
    kept = {system.name for system in systems}
    parts = {part: [row for row in part_rows(found, part) if row.system.name in kept] for part in PARTS}
    shown = {part: rows for part, rows in parts.items() if rows}
    names = (MACRO, *found.names)[: MOST_ROWS + 1]
    row = _BAR * len(systems) + _GAP
    tall, width = row * len(names), 400 if len(shown) > 1 else 860
    palette = colours(systems)

    def paint(figure: Figure) -> None:
        for index, (part, rows) in enumerate(shown.items()):
            axes = panel(figure, 120 + index * 545, 40, width, tall)
            axes.set_title(PARTS[part])
            _paint(axes, names, rows, [system.name for system in systems], palette, labels=index == 0)
        handles = [_patch(palette[system.name], short(system.name, 34)) for system in systems]
        figure.legend(
            handles=handles, loc="lower center", ncols=min(6, len(handles)), frameon=False, fontsize=12,
            bbox_to_anchor=(0.5, 0.0),
        )  # fmt: skip

    legend = 24 * -(-len(systems) // 6)
    return draw(1100, 40 + tall + 46 + legend, "Share of right values by attribute, model and baseline", paint)


def _patch(colour: str, label: str) -> object:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, label=label)


def _paint(
    axes: Axes,
    names: Sequence[str],
    rows: Sequence[SystemRow],
    order: Sequence[str],
    palette: Mapping[str, str],
    *,
    labels: bool,
) -> None:
    row = _BAR * len(order) + _GAP
    bare(axes)
    axes.set_xlim(0, 1)
    axes.set_ylim(row * len(names), 0)
    axes.grid(axis="x")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    middles = [row * at + row / 2 for at in range(len(names))]
    axes.set_yticks(middles, [short(name, 15) if labels else "" for name in names])
    axes.tick_params(axis="y", colors=COLOURS["ink"], pad=8)
    for label in axes.get_yticklabels()[:1]:
        label.set_fontweight("bold")
    last = rows[-1].system.name
    for at, name in enumerate(names):
        if at:
            axes.axhline(row * at, color=COLOURS["grid"], lw=1)
        for one in rows:
            score = one.scores[name]
            if score is None:
                continue
            y = row * at + _GAP / 2 + _BAR * (order.index(one.system.name) + 0.5)
            colour = palette[one.system.name]
            axes.barh(y, score.value, _BAR - 1.5, color=colour, lw=0)
            axes.plot((score.low, score.high), (y, y), color=COLOURS["ink"], lw=1.1, alpha=0.75, clip_on=False)
            if one.system.name == last:
                axes.annotate(
                    f"{100 * score.value:.0f}", (max(score.value, score.high), y), xytext=(6, 0),
                    textcoords="offset points", va="center_baseline", size=11.5, annotation_clip=False,
                )  # fmt: skip
