"""The command `search`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from recollect.cli.options import answer, command, console, console_out, machine_line, note
from recollect.cli.plan import DRY_RUN, with_plan
from recollect.cli.printing import stage
from recollect.experiments.search.settings import SearchSettings

if TYPE_CHECKING:
    from recollect.experiments.plan import Plan
    from recollect.experiments.search import Event, SearchFound

_STATES = {"scored": "", "degenerate": "broken", "failed": "failed", "memory": "out of memory"}


def register(app: typer.Typer) -> None:
    """Add `search`."""
    command(app, "search", SearchSettings, with_plan(_search, _plan), DRY_RUN)


def _plan(settings: SearchSettings, **given: Any) -> Plan:
    from recollect.experiments.plan import plan_search

    return plan_search(settings, **given)


def _search(settings: SearchSettings, out: Path | None, as_json: bool) -> None:
    from recollect.experiments.search import check_search, machines

    check_search(settings)
    from recollect.experiments.search import run_search

    machine_line(*machines(settings))
    started = time.monotonic()
    result = run_search(
        settings,
        out,
        stage=stage,
        watch=lambda event: note(f"  {rung_line(event, started)}"),
        say=lambda text: console.print(f"note: {text}", soft_wrap=True),
    )
    if not as_json:
        _print(result.found)
    for text in result.found.warnings:
        console.print(f"warning: {text}", soft_wrap=True)
    console.print(f"best settings: {result.best}", soft_wrap=True)
    console.print(f"report: {result.report}", soft_wrap=True)
    answer(result.answer(), as_json)


def rung_line(event: Event, started: float) -> str:
    """One finished rung on one line: which trial, how far, its validation score or what went wrong, and the best so
    far. The forecast is the policy's, which begins with a prior; so it has no interval here."""
    job, outcome, trial = event.told.job, event.told.outcome, event.trial
    if outcome.kind == "scored":
        what = f"{outcome.score:5.1f}"
        if trial.state == "paused" and trial.forecast is not None:
            what += f", forecast {min(max(trial.forecast.mean, 0.0), 100.0):.1f}"
    else:
        what = f"{_STATES[outcome.kind]}: {outcome.reason}"
    best = "" if event.incumbent is None else f"; best {event.incumbent:.1f}"
    running = f"; {event.told.running} under way" if event.told.running else ""
    place = f"trial {job.trial:>2} at {100 * job.share:3.0f} %"
    spent = "" if event.spent is None else f"; {100 * event.spent:.0f} % of the budget"
    begun = str(event.trials) if event.of is None else f"{event.trials}/{event.of}"
    standing = f"{begun} begun{spent}{best}{running}"
    return f"{time.monotonic() - started:6.0f} s  {place}: {what}  [{standing}]"


def _print(found: SearchFound) -> None:
    from recollect.experiments.search.results import lines

    console_out.print(_finalists(found))
    for line in lines(found):
        console_out.print(f"• {line}", soft_wrap=True)


def _finalists(found: SearchFound) -> Table:
    from recollect.experiments.search.results import with_interval

    table = Table(
        title="finalists, score in points (95 % interval)", title_justify="left", title_style="bold", show_lines=False
    )
    for name in ("trial", "validation", "unseen test", "over the baseline", "out-of-domain"):
        table.add_column(name, justify="right")
    for one in found.finalists:
        baseline = " (baseline)" if one.trial == 0 and found.baseline_test is not None else ""
        scores = (with_interval(one.validation), with_interval(one.test), with_interval(one.gain, sign=True))
        table.add_row(f"{one.trial}{baseline}", *scores, with_interval(one.ood))
    return table
