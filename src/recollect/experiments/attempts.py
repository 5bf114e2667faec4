"""Cells that may fail: each is tried, what went wrong with one is told, and the others go on.

Notable choices
- The work itself catches what it raises, so every executor does alike, and a failure is an answer like any other.
- Some things are nobody's failure and end the run as ever: Ctrl-C, a full disk, another process at work in the folder.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from recollect.core.interrupt import interrupted
from recollect.core.machine import give_back_memory
from recollect.core.workspace.experiment import Failed
from recollect.errors import RecollectError, StepBusy, disk_is_full, input_fault
from recollect.experiments.cell import Cell, Context, ScoredCell, is_done, read_cell
from recollect.experiments.executors import Executor, run_all

_LONGEST = 600


@dataclass(frozen=True)
class FailedCell:
    """A cell that came to nothing, and why."""

    cell: Cell
    reason: str


Outcome = ScoredCell | FailedCell


@dataclass(frozen=True)
class Attempts:
    """The work of cells that may fail, for an executor."""

    context: Context

    def start(self) -> Callable[[Cell], Outcome]:
        """The function that tries cells."""
        return partial(_attempt, self.context.start(), self.failed)

    def failed(self, cell: Cell, error: BaseException) -> Outcome:
        """What comes of a cell that an error ended; raises what ends the whole run."""
        if ends_all(error):
            raise error
        return FailedCell(cell, reason_of(error))

    def name(self, cell: Cell) -> str:
        """For workers that share the cells."""
        return cell.label(self.context.folder)

    def word(self, cell: Cell, found: Outcome) -> str:
        """Why it failed, or what was lost, which no file tells."""
        if isinstance(found, FailedCell):
            return json.dumps({"failed": found.reason})
        return json.dumps({"lost": found.lost}) if found.lost else ""

    def found(self, cell: Cell, word: str) -> Outcome | None:
        """What came of a cell that another worker has tried."""
        said = json.loads(word) if word else {}
        if "failed" in said:
            return FailedCell(cell, said["failed"])
        if not said and not is_done(self.context.folder, cell):
            return None
        return replace(read_cell(self.context, cell), lost=tuple(said.get("lost", ())))


def _attempt(
    run: Callable[[Cell], ScoredCell], failed: Callable[[Cell, BaseException], Outcome], cell: Cell
) -> Outcome:
    try:
        return run(cell)
    except BaseException as error:  # the panic of a library written in Rust is no Exception
        return failed(cell, error)


def attempt_cells(
    executor: Executor[Cell, Outcome], cells: Sequence[Cell], progress: Callable[[int, int], None] | None = None
) -> list[Outcome]:
    """Try the cells of a context at work in `executor`; gives what came of each, in their own order.

    A cell whose workers all died is one that failed. Raises what ends the whole run, see `ends_all`.
    """
    progress = progress or (lambda done, total: None)
    found: dict[str, Outcome] = {}
    progress(0, len(cells))
    for done, ended in enumerate(run_all(executor, cells)):
        found[ended.job.name] = ended.found or FailedCell(ended.job, ended.failure)
        progress(done + 1, len(cells))
    return [found[cell.name] for cell in cells]


def ends_all(error: BaseException) -> bool:
    """Whether an error is no fault of the work that it came out of, and the next would meet it too."""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit) or interrupted():
        return True
    known = isinstance(error, Exception) or input_fault(error) is not None
    return not known or isinstance(error, StepBusy) or disk_is_full(error)


def reason_of(error: BaseException) -> str:
    """Why something failed, on one line; of a bug of ours also where. What it holds of memory is given back."""
    fault = error if isinstance(error, RecollectError) else input_fault(error)
    if fault is not None:
        said = str(fault)
    else:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({Path(one.filename).name}, line {one.lineno})" for one in last)
        said = f"{type(error).__name__}: {error}{where}"
    traceback.clear_frames(error.__traceback__)
    give_back_memory()
    line = " ".join(said.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def as_failed(one: FailedCell, folder: Path) -> Failed:
    """As it is stored."""
    return Failed(name=one.cell.label(folder), reason=one.reason)
