"""The chart of flips: what each training lost to the left, what it gained to the right, and a prompt's bar on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.facts import Part
from recollect.report.chapters.flips.record import FlipRow
from recollect.report.page.evenly import evenly
from recollect.report.page.svg import COLOURS, bare, draw, panel
from recollect.report.page.text import choice
from recollect.report.scores.record import CHOICES, Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOST, GAINED = COLOURS["l2"], COLOURS["mixed"]
MOST_ROWS = 24
PARTS: dict[Part, str] = {"test": "In-domain", "ood": "Out-of-domain"}


@dataclass(frozen=True)
class FlipGroup:
    """All trainings of one choice and size on one part, or a prompt."""

    levels: Choice | None
    size: int
    rows: tuple[FlipRow, ...]
    """One for each seed."""

    @property
    def name(self) -> str:
        """The label of its bar."""
        return f"no training, {self.size} in the prompt" if self.levels is None else choice(self.levels)

    def lost(self, *, less_chance: bool) -> list[float]:
        """Share of the questions that flipped to wrong, by seed: all that flipped, or less what two guesses give."""
        found = [(row.flips, row.flips.right_to_wrong) for row in self.rows]
        return [flip.share.value if less_chance else flip.count / flips.n for flips, flip in found]

    def gained(self, *, less_chance: bool) -> list[float]:
        """Likewise those that flipped to right."""
        found = [(row.flips, row.flips.wrong_to_right) for row in self.rows]
        return [flip.share.value if less_chance else flip.count / flips.n for flips, flip in found]


def flip_groups(rows: Sequence[FlipRow], part: Part) -> list[FlipGroup]:
    """The rows of a part by size and training choice, a prompt first."""
    of_part = [row for row in rows if row.part == part]
    prompts = [FlipGroup(None, row.size, (row,)) for row in of_part if row.levels is None]
    trained = [row for row in of_part if row.levels is not None]
    keys = sorted({(row.size, CHOICES.index(row.levels)) for row in trained if row.levels is not None})
    return prompts + [
        FlipGroup(CHOICES[at], size, tuple(row for row in trained if (row.size, row.levels) == (size, CHOICES[at])))
        for size, at in keys
    ]


def flips_chart(rows: Sequence[FlipRow]) -> Markup | None:
    """A pair of bars for each choice of examples, in- and out-of-domain side by side; None without a row."""
    shown = {part: found for part in PARTS if (found := flip_groups(rows, part))}
    if not shown:
        return None
    shown = {part: [found[at] for at in evenly(len(found), MOST_ROWS)] for part, found in shown.items()}
    limits = _limits([group for found in shown.values() for group in found])
    places = {part: _places(found) for part, found in shown.items()}
    height = 26 * max(place[-1] + 1 for place in places.values())
    width = 400 if len(shown) > 1 else 760

    def paint(figure: Figure) -> None:
        for index, (part, found) in enumerate(shown.items()):
            axes = panel(figure, 205 + index * 455, 52, width, height)
            _bars(axes, found, places[part], named=index == 0)
            axes.set_xlim(*limits)
            axes.set_ylim(height / 26 - 0.4, -0.6)
            axes.text(limits[0], -1.35, PARTS[part], weight="bold", size=14)

    return draw(1100, int(height) + 92, "Share of answers that flipped, to wrong and to right, by training", paint)


def _places(groups: Sequence[FlipGroup]) -> list[float]:
    """The height of each bar in rows: a title and some room stand above each size."""
    places, at = [], 0.0
    for before, group in zip([None, *groups], groups, strict=False):
        new_size = before is None or (before.levels is None, before.size) != (group.levels is None, group.size)
        at += 1.3 if new_size and group.levels is not None else 0.0
        places.append(at)
        at += 1
    return places


def _limits(groups: Sequence[FlipGroup]) -> tuple[float, float]:
    """Left and right end of the axis: one scale for both directions, with room for the numbers beside the bars."""
    lost, gained = (
        max(value for group in groups for value in (group.gained if right else group.lost)(less_chance=False))
        for right in (False, True)
    )
    whole = max(0.02, lost + gained)
    return -max(lost, 0.04 * whole) - 0.14 * whole, max(gained, 0.04 * whole) + 0.14 * whole


def _bars(axes: Axes, groups: Sequence[FlipGroup], places: Sequence[float], *, named: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    bare(axes)
    axes.set_yticks(places, [group.name for group in groups] if named else [])
    axes.tick_params(axis="y", colors=COLOURS["ink"], pad=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(100 * value):g} %")
    axes.axvline(0, color=COLOURS["base"], lw=1)
    size = None
    for group, y in zip(groups, places, strict=True):
        if named and group.levels is not None and group.size != size:
            size = group.size
            words = f"{size:,} {'example' if size == 1 else 'examples'}"
            axes.annotate(
                words, (0, y - 0.95), xycoords=("axes fraction", "data"), xytext=(-8, 0), textcoords="offset points",
                ha="right", va="center", color=COLOURS["muted"], size=12,
            )  # fmt: skip
        for values, sign, colour in ((group.lost, -1, LOST), (group.gained, 1, GAINED)):
            _bar(axes, y, sign, colour, values(less_chance=False), values(less_chance=True), group.levels is None)


def _bar(
    axes: Axes, y: float, sign: int, colour: str, seen: Sequence[float], left: Sequence[float], prompt: bool
) -> None:
    """All that flipped, pale; on it what is more than chance; a line over the seeds; the number beside it."""
    mean, edge = fmean(seen), COLOURS["card"]
    axes.barh(y, sign * mean, 0.68, color=colour, alpha=0.35, edgecolor=edge, linewidth=0)
    hatch = "////" if prompt else None
    axes.barh(y, sign * fmean(left), 0.68, color=colour, alpha=0.95, edgecolor=edge, linewidth=0, hatch=hatch)
    if len(seen) > 1:
        axes.plot((sign * min(seen), sign * max(seen)), (y, y), color=COLOURS["ink"], lw=1.6)
    axes.annotate(
        f"{100 * mean:.1f}", (sign * max(seen), y), xytext=(6 * sign, 0), textcoords="offset points", size=12,
        ha="left" if sign > 0 else "right", va="center_baseline",
    )  # fmt: skip
