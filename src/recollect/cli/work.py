"""The command `work`."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from recollect.cli.options import answer, command, console, note
from recollect.cli.printing import stage
from recollect.experiments.study import WorkSettings

if TYPE_CHECKING:
    from recollect.experiments.study import GridResult, StudyResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "work", WorkSettings, work)


def work(settings: WorkSettings, out: Path | None, as_json: bool) -> None:
    """Work on a study until it is finished, or nothing is free for a while."""
    from recollect.experiments.study import run_work

    signal.signal(signal.SIGTERM, _stopped)
    result = run_work(settings, out, stage=stage, say=note)
    if result is not None:
        console.print(f"finished: {result.report}", soft_wrap=True)
    answer(work_answer(result), as_json)


def work_answer(result: StudyResult | GridResult | None) -> dict[str, object]:
    """The JSON answer."""
    if result is None:
        return {"finished": False, "report": None, "out": None}
    return {"finished": True, "report": str(result.report), "out": str(result.path)}


def _stopped(number: int, frame: FrameType | None) -> None:
    """A cluster ends a job by this signal; like Ctrl-C, it gives back what is held."""
    pressed = signal.getsignal(signal.SIGINT)
    if callable(pressed):
        pressed(signal.SIGINT, frame)
    raise KeyboardInterrupt  # where Ctrl-C is ignored, as in the background of a script
