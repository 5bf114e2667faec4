"""`--dry-run` of the commands that plan: its flags, its table, its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from recollect.cli.options import FAILED, answer, console_out, note, print_table, warn
from recollect.errors import InputError

if TYPE_CHECKING:
    from recollect.experiments.plan import Assume, Plan

_FLAGS: dict[str, tuple[Any, Any]] = {
    "parameters": (
        Annotated[
            float | None,
            typer.Option("--parameters", help="With --dry-run: parameters of a model that is not here, such as 8e9."),
        ],
        None,
    ),
    "facts_count": (
        Annotated[
            str | None,
            typer.Option(
                "--facts-count",
                help="With --dry-run: facts that are not here, 97112 or train=75944,test=9555,ood=11613.",
            ),
        ],
        None,
    ),
    "tokens_per_second": (
        Annotated[
            float | None,
            typer.Option(
                "--tokens-per-second",
                help="With --dry-run: tokens that the model reads or writes in a second where it will run; a trained "
                "one counts three. Nothing is then measured here.",
            ),
        ],
        None,
    ),
    "cores": (
        Annotated[
            int | None, typer.Option("--cores", help="With --dry-run: processor cores where it will run, if not here.")
        ],
        None,
    ),
    "price_per_hour": (
        Annotated[
            float | None,
            typer.Option("--price-per-hour", help="With --dry-run: what an hour of the machine costs; adds a price."),
        ],
        None,
    ),
    "calibrate": (
        Annotated[
            bool | None,
            typer.Option(
                "--calibrate/--no-calibrate",
                help="With --dry-run: measure this machine for some seconds; without, no time is told.",
                show_default=False,
            ),
        ],
        None,
    ),
}
DRY_RUN: dict[str, tuple[Any, Any]] = {
    "dry_run": (
        Annotated[
            bool,
            typer.Option(
                "--dry-run", help="Only say what would be done, and what it takes: steps, time, memory, disk, price."
            ),
        ],
        False,
    ),
    **_FLAGS,
}
"""The flags, for `options.command`."""


def with_plan(
    run: Callable[..., None], plan: Callable[..., Plan], script: Callable[[Any, Path | None], str] | None = None
) -> Callable[..., None]:
    """The function of a command with the flags of `DRY_RUN`: its plan where --dry-run is given, else what it does.

    plan: called with the settings, out, assume, and whatever else the command takes. script: what would be submitted to
    a cluster; printed after the plan unless it is empty.
    """

    def either(settings: Any, out: Path | None, as_json: bool, **others: Any) -> None:
        dry, given = others.pop("dry_run"), {name: others.pop(name) for name in _FLAGS}
        said = {name: value for name, value in given.items() if value is not None}
        if dry:
            text = script(settings, out) if script is not None else ""
            show(plan(settings, out=out, assume=_assume(said), **others), as_json)
            if text and not as_json:
                console_out.print(text, soft_wrap=True)
        elif said:
            flag = next(iter(said)).replace("_", "-")
            raise InputError(f"--{flag} goes with --dry-run; without it, leave it out.")
        else:
            run(settings, out, as_json, **others)

    return either


def _assume(said: Mapping[str, Any]) -> Assume:
    from recollect.experiments.plan import Assume

    return Assume.make(**said)


def show(plan: Plan, as_json: bool) -> None:
    """Print a plan."""
    from recollect.experiments.plan.words import lines, row_of

    for text in plan.missing:
        warn(text)
    if not as_json:
        table = Table(title="what would be done", title_justify="left", title_style="bold")
        for name in ("steps", "number", "there", "time"):
            table.add_column(name, justify="left" if name == "steps" else "right")
        table.add_column("work")
        for row in plan.rows:
            table.add_row(*row_of(row))
        print_table(table)
        for line in lines(plan):
            console_out.print(line, soft_wrap=True)
    for text in plan.notes:
        note(f"note: {text}")
    answer(plan.answer(), as_json)
    if plan.missing:
        raise typer.Exit(FAILED)
