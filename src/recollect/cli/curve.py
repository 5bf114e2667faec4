"""The command `curve`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from recollect.cli.options import answer, command, console, console_out, machine_line, note
from recollect.cli.plan import DRY_RUN, with_plan
from recollect.cli.printing import print_attributes, print_notes, stage
from recollect.core.estimates import Estimate
from recollect.core.numbers import with_interval
from recollect.experiments.curve import CurveFound, CurveResult, CurveSettings, Gain, Verdict

if TYPE_CHECKING:
    from recollect.experiments.plan import Plan

PARTS = {"test": "in-domain", "ood": "out-of-domain"}


def register(app: typer.Typer) -> None:
    """Add `curve`."""
    command(app, "curve", CurveSettings, with_plan(run_and_print, _plan), DRY_RUN)


def _plan(settings: CurveSettings, **given: Any) -> Plan:
    from recollect.experiments.plan import plan_curve

    return plan_curve(settings, **given)


def run_and_print(settings: CurveSettings, out: Path | None, as_json: bool) -> None:
    """Run a curve, and print its table and verdict."""
    from recollect.experiments.curve import check_curve, machines, run_curve

    check_curve(settings)
    if settings.scores is None:
        machine_line(*machines(settings))
    result = run_curve(settings, out, stage=stage, say=note)
    if not as_json:
        _print(result)
    print_notes(result.found.notes)
    console.print(f"report: {result.report}", soft_wrap=True)
    answer(_answer(result), as_json)


def _print(result: CurveResult) -> None:
    console_out.print(_table(result.found))
    print_attributes(result.path)
    for part, found in result.found.parts.items():
        console_out.print(PARTS.get(part, part), style="bold")
        for line in found.lines:
            console_out.print(f"  {line}", soft_wrap=True)


def _table(found: CurveFound) -> Table:
    """Sizes down, parts across: mean score with its interval."""
    curves = {part: one.verdict for part, one in found.parts.items()}
    percent = f"{100 * found.verdict.confidence:.0f} % interval"
    title = f"{found.scored or 'score'} by training size ({percent})"
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("examples", "runs", *(PARTS.get(part, part) for part in curves)):
        table.add_column(name, justify="right")
    for size in sorted({size for one in curves.values() for size in one.sizes}):
        runs = max(one.repeats[one.sizes.index(size)] for one in curves.values() if size in one.sizes)
        table.add_row(f"{size:,}", str(runs), *(_cell(one, size) for one in curves.values()))
    return table


def _cell(curve: Verdict, size: int) -> str:
    if size not in curve.sizes:
        return "–"
    score = curve.scores[curve.sizes.index(size)]
    return with_interval(score.value, score.low, score.high)


def _answer(result: CurveResult) -> dict[str, object]:
    """The JSON answer: the main part's verdict at the top, the others by name (docs/curve.md)."""
    found = result.found
    others = {part: _flat(one.verdict) for part, one in found.parts.items() if part != found.main}
    known = {"part": found.main, "scored": found.scored, "notes": list(found.notes), "trainings": found.trainings}
    places = {"report": str(result.report), "out": str(result.path)}
    return {**_flat(found.verdict), "ood": None, **others, **known, **places}


def _flat(verdict: Verdict) -> dict[str, object]:
    """Sizes are whole numbers, rounded up."""
    same = {"sizes", "repeats", "family", "run_spread", "margin", "confidence", "notes"}
    values = verdict.model_dump(mode="json", include=same)
    hurts, last = verdict.n_hurts, verdict.last_doubling
    low, value, high = (math.ceil(n) for n in (verdict.n_sat.low, verdict.n_sat.value, verdict.n_sat.high))
    return {
        "verdict": verdict.name,
        "n_sat": value,
        "low": low,
        "high": high,
        **values,
        "scores": [score.value for score in verdict.scores],
        "scores_low": [score.low for score in verdict.scores],
        "scores_high": [score.high for score in verdict.scores],
        "next": [one.size for one in verdict.next],
        "why_next": [one.why for one in verdict.next],
        "doubts": [
            {"kind": one.kind, "first": one.first, "last": one.last, "change": one.change and _three(one.change)}
            for one in verdict.doubts
        ],
        "n_best": [math.ceil(n) for n in _three(verdict.n_best)],
        "n_hurts": hurts and [math.ceil(n) for n in _three(hurts)],
        "last_doubling": last and _gain(last),
        "loss": _three(verdict.loss),
        "gains": [_gain(gain) for gain in verdict.gains],
        "families": [
            {
                "name": one.name,
                "left_out_error": one.error,
                "weight": one.weight,
                "misses": one.misses,
                "shape": list(one.shape.parameters),
                "coefficients": list(one.coefficients),
            }
            for one in verdict.families
        ],
    }


def _gain(gain: Gain) -> dict[str, float]:
    points = gain.points
    values = {"points": points.value, "low": points.low, "high": points.high}
    return {"start": gain.start, "end": gain.end, **values, "per_label": gain.per_label, "measured": gain.measured}


def _three(value: Estimate) -> list[float]:
    return [value.value, value.low, value.high]
