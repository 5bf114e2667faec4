"""The command `train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recollect.cli.options import ProgressLine, answer, command, console, machine_line
from recollect.cli.plan import DRY_RUN, with_plan
from recollect.cli.printing import print_notes, print_pairs
from recollect.train import TrainSettings

if TYPE_CHECKING:
    from recollect.experiments.plan import Plan

SelectionOption = Annotated[
    Path | None, typer.Option("--selection", help="A select step directory: the facts to train on.")
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Conversations to train on instead: a file, a folder, or a data step."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    inputs = {"selection": (SelectionOption, None), "data": (DataOption, None)}
    command(app, "train", TrainSettings, with_plan(_train, _plan), {**inputs, **DRY_RUN})


def _plan(settings: TrainSettings, **given: Any) -> Plan:
    from recollect.experiments.plan import plan_train

    return plan_train(settings, **given)


def _train(settings: TrainSettings, out: Path | None, as_json: bool, selection: Path | None, data: Path | None) -> None:
    from recollect.train import check_train, run_train, training_machine
    from recollect.train.processes import first

    check_train(settings, selection, data)
    machine_line(("training", training_machine(settings)))
    with ProgressLine("training", "steps") as progress:
        result = run_train(settings, selection, data=data, out=out, progress=progress)
    if not first():  # of several processes, which answers for all
        return
    found = {**result.found.plain(), "out": str(result.path)}
    if not as_json:
        print_notes(result.found.notes)
        print_pairs("training", {key: value for key, value in found.items() if not isinstance(value, dict | list)})
    for text in result.found.warnings:
        console.print(f"warning: {text}", soft_wrap=True)
    answer(found, as_json)
