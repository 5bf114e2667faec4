"""Charts of what the base knows: memory levels per part, per relation, and how much the wording matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.facts import Domain, Part
from recollect.report.chapters.knows.record import Known
from recollect.report.page.svg import COLOURS, ON_DARK, ON_LIGHT, bare, draw, panel
from recollect.report.page.text import short
from recollect.report.scores.record import LEVELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PART_NAMES: dict[Part, str] = {
    "train": "Training facts",
    "test": "In-domain test",
    "ood": "Out-of-domain test",
}
DOMAINS: tuple[Domain, ...] = ("in-domain", "out-of-domain")
MOST_RELATIONS = 30  # per domain; a longer chart is not read, and the tables beside the report hold them all


@dataclass(frozen=True)
class RelationRow:
    """One relation's facts over all parts."""

    relation: str
    name: str
    domain: Domain
    counts: tuple[int, ...]
    mean_score: float | None
    rates: tuple[float, ...]
    """Share of right completions of each mapping template."""

    @property
    def n(self) -> int:
        """Facts in all."""
        return sum(self.counts)


def part_counts(known: Known) -> dict[Part, list[int]]:
    """Facts of level 0 to 4 of each part that has any."""
    table = {part: [0] * len(LEVELS) for part in PART_NAMES}
    for row in known.levels:
        table[row.part][row.level] += row.n
    return {part: counts for part, counts in table.items() if sum(counts)}


def relation_rows(known: Known) -> list[RelationRow]:
    """Relations with their parts summed, best known first (by mean score, then by name)."""
    found = []
    for key in dict.fromkeys((row.relation, row.name, row.domain) for row in known.levels_by_relation):
        rows = [row for row in known.levels_by_relation if (row.relation, row.name, row.domain) == key]
        weighted = [(row.mean_score, sum(row.counts)) for row in rows if row.mean_score is not None]
        weight = sum(n for _, n in weighted)
        found.append(
            RelationRow(
                *key,
                counts=tuple(sum(column) for column in zip(*(row.counts for row in rows), strict=True)),
                mean_score=sum(score * n for score, n in weighted) / weight if weight else None,
                rates=tuple(r.rate for r in known.template_rates if r.relation == key[0]),
            )
        )
    return sorted(found, key=lambda row: (-(row.mean_score if row.mean_score is not None else -1), row.name))


def levels_chart(counts: Mapping[Part, Sequence[int]]) -> Markup:
    """One bar per part, split by memory level."""
    height = 44 * len(counts) + 34

    def paint(figure: Figure) -> None:
        axes = panel(figure, 160, 4, 820, 44 * len(counts))
        names = [PART_NAMES[part] for part in counts]
        _bars(axes, names, list(counts.values()), thickness=0.66, words=True)
        for y, row in enumerate(counts.values()):
            axes.text(1.012, y, f"{sum(row):,} facts", va="center", color=COLOURS["muted"])

    return draw(1100, height, "Share of facts of each memory level, per part", paint)


def relations_chart(rows: Sequence[RelationRow]) -> Markup | None:
    """One bar per relation, in-domain on the left, out-of-domain on the right."""
    split = {domain: [r for r in rows if r.domain == domain][:MOST_RELATIONS] for domain in DOMAINS}
    tallest = max(len(part) for part in split.values())
    if not tallest:
        return None

    def paint(figure: Figure) -> None:
        for left, (domain, part) in zip((160, 725), split.items(), strict=True):
            if not part:
                continue
            axes = panel(figure, left, 34, 320, 26 * len(part))
            _bars(axes, [short(r.name, 22) for r in part], [r.counts for r in part], thickness=0.72, words=False)
            axes.text(0, -0.95, domain.capitalize(), weight="bold", size=14)
            axes.text(1.13, -0.95, "mean R", ha="right", color=COLOURS["muted"], size=12)
            for y, row in enumerate(part):
                if row.mean_score is not None:
                    axes.text(1.13, y, f"{row.mean_score:.2f}", va="center", ha="right", color=COLOURS["muted"])

    return draw(1100, 26 * tallest + 66, "Share of facts of each memory level, per relation", paint)


def wording_chart(rows: Sequence[RelationRow]) -> Markup | None:
    """One dot per mapping template: how often it draws the right answer out of the base."""
    split = {domain: [r for r in rows if r.domain == domain and r.rates][:MOST_RELATIONS] for domain in DOMAINS}
    tallest = max(len(part) for part in split.values())
    if not tallest:
        return None
    highest = max(rate for part in split.values() for row in part for rate in row.rates)
    limit = min(1.0, max(0.1, highest * 1.05))

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        for left, (domain, part) in zip((160, 725), split.items(), strict=True):
            if not part:
                continue
            axes = panel(figure, left, 34, 360, 24 * len(part))
            bare(axes)
            axes.set_xlim(0, limit)
            axes.set_ylim(len(part) - 0.5, -0.5)
            axes.set_yticks(range(len(part)), [short(r.name, 22) for r in part])
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
            axes.grid(axis="x")
            axes.tick_params(axis="y", colors=COLOURS["ink"], pad=8)
            axes.text(0, -0.95, domain.capitalize(), weight="bold", size=14)
            for y, row in enumerate(part):
                axes.plot(
                    (min(row.rates), max(row.rates)),
                    (y, y),
                    color=COLOURS["grid"],
                    lw=5,
                    solid_capstyle="round",
                )
                axes.plot(row.rates, [y] * len(row.rates), "o", color=COLOURS["l3"], alpha=0.55, ms=6, mew=0)

    return draw(1100, 24 * tallest + 70, "Share of right completions of each mapping template, per relation", paint)


def _bars(axes: Axes, names: Sequence[str], rows: Sequence[Sequence[int]], *, thickness: float, words: bool) -> None:
    bare(axes)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), list(names))
    axes.tick_params(axis="y", colors=COLOURS["ink"], pad=8)
    axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100 %"))
    room = 0.045 if words else 0.11
    for y, row in enumerate(rows):
        left, total = 0.0, max(sum(row), 1)
        for level in LEVELS:
            share = row[level] / total
            axes.barh(
                y,
                share,
                thickness,
                left,
                color=COLOURS[f"l{level}"],
                edgecolor=COLOURS["card"],
                linewidth=1.2,
            )
            if share >= room:
                text = f"{100 * share:.0f} %" if words else f"{100 * share:.0f}"
                colour = ON_DARK if level >= 3 else ON_LIGHT
                size = 13 if words else 11
                axes.text(left + share / 2, y, text, ha="center", va="center_baseline", color=colour, size=size)
            left += share
