"""The command `fit`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psutil
import typer
from rich.table import Table

from recollect.cli.options import (
    answer,
    command,
    console,
    console_out,
    heartbeat,
    machine_line,
    note,
    print_table,
    warn,
)
from recollect.cli.plan import DRY_RUN, with_plan
from recollect.cli.printing import stage
from recollect.core.numbers import estimate
from recollect.core.phases import waiting
from recollect.core.progress import duration
from recollect.core.workspace.fit import CALLED, COMMONEST
from recollect.experiments.fit import FitSettings

if TYPE_CHECKING:
    from recollect.experiments.fit import FitFound, FitResult
    from recollect.experiments.plan import Plan

_YES: dict[str, tuple[Any, Any]] = {
    "yes": (Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking.")], False),
}


_OWN = ("price_per_hour",)
"""Flags of a dry run that are settings of a fit."""
_FIRST = (
    *("--model", "--data", "--out", "--budget", "--goal"),
    *("--method", "--config", "--dry-run", "--yes", "--json"),
)


def register(app: typer.Typer) -> None:
    """Add `fit`."""

    def run(settings: FitSettings, out: Path | None, as_json: bool, yes: bool) -> None:
        _fit(settings, out, as_json, yes)

    def plan(settings: FitSettings, out: Path | None, assume: Any, yes: bool) -> Plan:
        return _plan(settings, out=out, assume=assume)

    planned = with_plan(run, plan)

    def body(settings: FitSettings, out: Path | None, as_json: bool, **others: Any) -> None:
        planned(settings, out, as_json, **{**dict.fromkeys(_OWN), **others})

    flags = {name: flag for name, flag in DRY_RUN.items() if name not in _OWN}
    command(app, "fit", FitSettings, body, {**flags, **_YES}, takes_file=True, first=_FIRST)


def _plan(settings: FitSettings, **given: Any) -> Plan:
    from recollect.experiments.plan import plan_fit

    return plan_fit(settings, **given)


def _fit(settings: FitSettings, out: Path | None, as_json: bool, yes: bool) -> None:
    from recollect.experiments.fit import fit_begun, machines

    begun = fit_begun(out)
    if not begun:
        _check(settings, out)
    from recollect.experiments.fit import run_fit

    machine_line(*machines(settings))
    foretold = None if begun else _first_screen(settings)
    spent = time.time() - psutil.Process().create_time()  # what came before counts, the waiting for an answer does not
    asks = foretold is not None and not yes and sys.stdin.isatty() and console.is_terminal
    if asks and not _confirmed():
        raise typer.Exit(0)
    result = run_fit(settings, out, stage=stage, say=warn, foretold=foretold, spent=spent)
    if not as_json:
        _print(result.found)
    if result.found.budget != settings.budget and not result.found.stopped:
        note(
            f"note: this fit was finished with its budget of {result.found.budget}; for {settings.budget} give --out "
            "another name"
        )
    _end(result)
    answer(result.answer, as_json)


def _confirmed() -> bool:
    with heartbeat.resting(), waiting():
        return typer.confirm("begin?", default=True, err=True)


def _check(settings: FitSettings, out: Path | None) -> None:
    """Read the data, cut it, find the model, and reach where trials are to run, before anything is measured; what is
    wrong is told now, and what is wrong with data or model before the search's libraries and torch are loaded."""
    from recollect.experiments.fit.elsewhere import check_place
    from recollect.experiments.fit.prepare import prepare_fit
    from recollect.experiments.fit.stages import probes

    check_place(settings, out)
    wanted = prepare_fit(settings)
    note(f"data: {wanted.data.counts.line}")
    _, unprobed = probes(settings, wanted.goal, wanted.facts)
    for text in (*wanted.data.notes, unprobed):
        if text:
            note(f"note: {text}")


def _first_screen(settings: FitSettings) -> float | None:
    """What will run, and what it takes. Gives the seconds foretold."""
    from recollect.experiments.plan.words import lines, row_of

    with stage("measuring this machine", ""):
        plan = _plan(settings)
    table = Table(title="what will be done", title_justify="left", title_style="bold")
    for name in ("stage", "steps", "time"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    table.add_column("work")
    for row in plan.rows:
        what, steps, _, time, work = row_of(row)
        table.add_row(what, steps, time, work)
    console.print(table)
    for line in lines(plan)[1:]:
        note(line)
    budget = settings.seconds
    if budget is not None:
        note(f"budget: {settings.budget}; it is held, stages give way where the machine is slower")
    for text in plan.notes:
        note(f"note: {text}")
    return plan.seconds if budget is None else min(budget, plan.seconds or budget)


def _counting(found: FitFound) -> str:
    """What else the intervals of differences hold."""
    luck = any(one.over_questions is not None for one in found.contenders)
    return "; of differences corrected, also over the luck of a training" if luck else ""


def _print(found: FitFound) -> None:
    table = Table(
        title=f"{found.scored} on {found.sets.test:,} test questions, % (95 % interval{_counting(found)})",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("")
    for name in ("examples", "test", "the taken one has more", "forgotten"):
        table.add_column(name, justify="right")
    for one in found.contenders:
        taken = one.name == found.chosen
        table.add_row(
            f"{'→ ' if taken else '  '}{CALLED[one.name]}",
            f"{one.examples:,}" if one.examples else "–",
            estimate(one.test),
            "–" if taken else estimate(one.gap, sign=True),
            estimate(one.forgot),
            style="bold" if taken else None,
        )
    if found.rule is not None:
        more = estimate(found.rule.over, sign=True)
        table.add_row(f"  {COMMONEST}", "–", estimate(found.rule.test), more, "–", style="dim")
    print_table(table)
    for line in found.advice:
        console_out.print(f"• {line}", soft_wrap=not console_out.is_terminal)
    for text in found.notes:
        note(f"note: {text}")


def _end(result: FitResult) -> None:
    foretold = result.found.foretold_seconds
    shown = f"; {duration(foretold)} foretold" if foretold else ""
    console.print(f"model: {_seen(result.model)}", soft_wrap=True)
    console.print(f"report: {_seen(result.report)}  ({duration(result.found.seconds)}{shown})", soft_wrap=True)
    console.print(f"next: recollect ask {_seen(result.path)}", soft_wrap=True)


def _seen(path: Path) -> Path:
    """As seen from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
