"""Chapter: what training changed and broke, and what restoring brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from recollect.core.estimates import Estimate
from recollect.report.chapters.drift.charts import (
    MOST_LAYERS,
    MOST_MODULES,
    Concentration,
    ModuleRow,
    concentration,
    concentration_chart,
    kl_chart,
    module_rows,
    modules_chart,
)
from recollect.report.chapters.drift.claims import drift_claims
from recollect.report.chapters.drift.collect import collect
from recollect.report.chapters.drift.groups import DriftGroup, drift_groups, floor
from recollect.report.chapters.drift.ladder import (
    ladder_chart,
    ladder_lines,
    ladder_orders,
    length_line,
    rivals,
    signed_interval,
)
from recollect.report.chapters.drift.older import older
from recollect.report.chapters.drift.record import REPAIR_KINDS, Drift, Ladder, RepairExample
from recollect.report.page.chapter import Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.scores.findings import Findings
from recollect.report.scores.papers import Paper, Published, Told, published, told
from recollect.restore import Rung

MOST_LADDERS = 6
MOST_EXAMPLES = 6  # of a kind, in each ladder


@dataclass(frozen=True)
class RungRow:
    """One rung of the table, with its accuracies as estimates."""

    rung: Rung
    test: Estimate | None
    ood: Estimate | None
    chosen: bool


@dataclass(frozen=True)
class LadderView:
    """One ladder as the page shows it."""

    ladder: Ladder
    name: str
    svg: Markup | None
    lines: list[str]
    length: str | None
    rows: list[RungRow]
    ends: list[tuple[str, RungRow]]
    """Base, tuned and repaired, in words."""
    repaired: bool
    """Whether a repaired one is among them."""
    examples: list[RepairExample]


@dataclass(frozen=True)
class DriftView:
    """Charts, tables and words of what was measured; each part may be missing."""

    d: Drift
    groups: tuple[DriftGroup, ...]
    one_size: bool
    any_loss: bool
    """Whether a model read general text."""
    kl_svg: Markup | None
    floor: float | None
    paper_n: int
    full_n: int
    concentration: list[Concentration]
    concentration_svg: Markup | None
    unchanged: str | None
    one_ulp: str | None
    most_modules: int
    modules: list[ModuleRow]
    modules_svg: Markup | None
    modules_name: str
    layers_left_out: int
    ladders: list[LadderView]
    published: Published
    paper: Paper
    repair_kinds: tuple[str, ...]
    claims: list[Told]


def context(results: Results) -> DriftView | None:
    """Shown where drift was measured or weights were set back."""
    drift = results.of(Drift)
    if drift is None:
        return None
    groups, rows = drift_groups(drift.cells), concentration(drift.cells)
    layers = {one.layer for one in drift.modules if one.layer is not None}
    return DriftView(
        d=drift,
        groups=groups,
        one_size=len({group.size for group in groups}) == 1,
        any_loss=any(group.base_loss is not None for group in groups),
        kl_svg=kl_chart(groups, floor(drift.cells)),
        floor=floor(drift.cells),
        paper_n=max((group.kl_paper.n for group in groups if group.kl_paper), default=0),
        full_n=max((group.kl_full.n for group in groups if group.kl_full), default=0),
        concentration=rows,
        concentration_svg=concentration_chart(rows),
        unchanged=_range([cell.unchanged for cell in drift.cells]),
        one_ulp=_range([cell.one_ulp for cell in drift.cells]),
        most_modules=MOST_MODULES,
        modules=module_rows(drift.modules),
        modules_svg=modules_chart(drift.modules),
        modules_name=drift.modules_of.name if drift.modules_of else "",
        layers_left_out=max(0, len(layers) - MOST_LAYERS),
        ladders=[_view(ladder) for ladder in drift.ladders[:MOST_LADDERS]],
        published=published(),
        paper=published().papers.token_and_parameter_levels,
        repair_kinds=REPAIR_KINDS,
        claims=told(drift_claims(results), results.of(Findings)),
    )


def in_short(results: Results) -> InShort:
    """One sentence about each of the first ladders."""
    drift = results.of(Drift)
    ladders = drift.ladders[:2] if drift else []
    return InShort(sentences=[line for ladder in ladders for line in _sentence(ladder)])


def _sentence(ladder: Ladder) -> list[str]:
    best = ladder.best
    if best is None:
        return []
    if not best.beats_tuned:
        return [
            f"Setting weights back ({best.order}) brings no in-domain gain beyond noise to the model trained on "
            f"{ladder.name}."
        ]
    others = rivals(ladder)
    end = f", no clear lead over {', '.join(others)}" if others else ", ahead of every control"
    end = end if ladder.controls else ""
    return [
        f"Setting back {best.percent:g} % of the weights ({best.order}) repairs the model of {ladder.name}: "
        f"{signed_interval(best.gain)}{end}."
    ]


def _range(shares: Sequence[float | None]) -> str | None:
    """The lowest and the highest share in percent."""
    found = [100 * share for share in shares if share is not None]
    if not found:
        return None
    low, high = f"{min(found):.1f}", f"{max(found):.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _view(ladder: Ladder) -> LadderView:
    rows = [_row(ladder, rung) for rung in _in_order(ladder)]
    ends = [(name, _row(ladder, rung)) for name in ("base", "tuned") if (rung := ladder.end(name))]
    chosen = next((row for row in rows if row.chosen), None)
    if chosen:
        ends.append((f"repaired ({chosen.rung.order}, {chosen.rung.percent:g} %)", chosen))
    examples = [e for kind in REPAIR_KINDS for e in [e for e in ladder.examples if e.kind == kind][:MOST_EXAMPLES]]
    return LadderView(
        ladder,
        ladder.name,
        ladder_chart(ladder),
        ladder_lines(ladder),
        length_line(ladder),
        rows,
        ends,
        chosen is not None,
        examples,
    )


def _in_order(ladder: Ladder) -> list[Rung]:
    orders = ["base", "tuned", *ladder_orders(ladder)]
    return sorted(ladder.rungs, key=lambda rung: (orders.index(rung.order), rung.percent))


def _row(ladder: Ladder, rung: Rung) -> RungRow:
    best = ladder.best
    chosen = best is not None and (rung.order, rung.percent) == (best.order, best.percent)
    return RungRow(rung, ladder.score(rung), ladder.score(rung, "ood"), chosen)


CHAPTER = Chapter(
    __name__,
    "What training changed and broke",
    context,
    in_short,
    record=Drift,
    collect=collect,
    older=older,
)
