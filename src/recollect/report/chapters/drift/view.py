"""Chapter: what training changed and broke, and what restoring brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recollect.report.chapters.drift.chart_change import (
    MOST_LAYERS,
    MOST_MODULES,
    concentration,
    concentration_chart,
    module_rows,
    modules_chart,
)
from recollect.report.chapters.drift.chart_kl import kl_chart
from recollect.report.chapters.drift.chart_ladder import Score, end, ladder_chart, ladder_orders, score
from recollect.report.chapters.drift.groups import drift_groups, floor
from recollect.report.chapters.drift.ladder_words import ladder_lines, length_line, signed_interval
from recollect.report.chapters.drift.papers import LADDER, drift_claims
from recollect.report.chapters.drift.record import REPAIR_KINDS, CellName, Ladder, RepairExample
from recollect.report.page.chapter import Chapter
from recollect.report.results.groups import Estimate, choice_name
from recollect.report.results.results import Results
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
    examples: list[RepairExample]


def context(results: Results) -> dict[str, Any] | None:
    """Charts, tables and words of what was measured; each part may be missing."""
    drift = results.drift
    if drift is None:
        return None
    groups, rows = drift_groups(drift.cells), concentration(drift.cells)
    layers = {one.layer for one in drift.modules if one.layer is not None}
    return {
        "d": drift,
        "groups": groups,
        "one_size": len({group.size for group in groups}) == 1,
        "kl_svg": kl_chart(groups, floor(drift.cells)),
        "floor": floor(drift.cells),
        "paper_n": max((group.kl_paper_n for group in groups), default=0),
        "full_n": max((group.kl_full_n for group in groups), default=0),
        "concentration": rows,
        "concentration_svg": concentration_chart(rows),
        "unchanged": _range([cell.unchanged for cell in drift.cells]),
        "one_ulp": _range([cell.one_ulp for cell in drift.cells]),
        "most_modules": MOST_MODULES,
        "modules": module_rows(drift.modules),
        "modules_svg": modules_chart(drift.modules),
        "modules_name": cell_name(drift.modules_of) if drift.modules_of else "",
        "layers_left_out": max(0, len(layers) - MOST_LAYERS),
        "ladders": [_view(ladder) for ladder in drift.ladders[:MOST_LADDERS]],
        "published_ladder": LADDER,
        "repair_kinds": REPAIR_KINDS,
        "claims": drift_claims(results),
    }


def sentences(results: Results) -> list[str]:
    """One sentence for "In short" about the first ladders."""
    found = []
    for ladder in results.drift.ladders[:2] if results.drift else []:
        best, name = ladder.best, cell_name(ladder)
        if best is None:
            continue
        if not best.beats_tuned:
            found.append(
                f"Setting weights back ({best.order}) brings no in-domain gain beyond noise to the model trained on "
                f"{name}."
            )
            continue
        rivals = [control.order for control in ladder.controls if control.rivals_best]
        end_text = f"no clear lead over {', '.join(rivals)}" if rivals else "ahead of every control"
        gain = signed_interval(best.gain)
        found.append(
            f"Setting back {best.percent:g} % of the weights ({best.order}) repairs the model of {name}: {gain}, "
            f"{end_text}."
        )
    return found


def cell_name(cell: CellName) -> str:
    """For sentences: "60 examples of level 2, seed 0"."""
    return f"{cell.size:,} {'example' if cell.size == 1 else 'examples'} {choice_name(cell.levels)}, seed {cell.seed}"


def _range(shares: Sequence[float | None]) -> str | None:
    """The lowest and the highest share in percent."""
    found = [100 * share for share in shares if share is not None]
    if not found:
        return None
    low, high = f"{min(found):.1f}", f"{max(found):.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _view(ladder: Ladder) -> LadderView:
    rows = [_row(ladder, rung) for rung in _in_order(ladder)]
    ends = [(name, _row(ladder, rung)) for name in ("base", "tuned") if (rung := end(ladder, name))]
    chosen = next((row for row in rows if row.chosen), None)
    if chosen:
        ends.append((f"repaired ({chosen.rung.order}, {chosen.rung.percent:g} %)", chosen))
    examples = [e for kind in REPAIR_KINDS for e in [e for e in ladder.examples if e.kind == kind][:MOST_EXAMPLES]]
    return LadderView(
        ladder,
        cell_name(ladder),
        ladder_chart(ladder),
        ladder_lines(ladder),
        length_line(ladder),
        rows,
        ends,
        examples,
    )


def _in_order(ladder: Ladder) -> list[Rung]:
    orders = ["base", "tuned", *ladder_orders(ladder)]
    return sorted(ladder.rungs, key=lambda rung: (orders.index(rung.order), rung.percent))


def _row(ladder: Ladder, rung: Rung) -> RungRow:
    best = ladder.best
    chosen = best is not None and (rung.order, rung.percent) == (best.order, best.percent)
    return RungRow(
        rung, _estimate(score(rung, ladder.mean, "test")), _estimate(score(rung, ladder.mean, "ood")), chosen
    )


def _estimate(found: Score | None) -> Estimate | None:
    return Estimate(*found, found[0], found[0]) if found else None


CHAPTER = Chapter("drift", "What training changed and broke", context, sentences=sentences)
