"""Cells whose adapters are trained in one pass over their base, and asked together; see `train.stack`, `together`.

Notable choices
- What pays is measured, see `measure`; where a pass brings nothing the cells run one after the other.
- As many adapters pass as half of the free memory holds, with their gradients and AdamW's two moments beside them.
- Each training and evaluation is the step that it is alone, so whoever runs a cell afterwards finds both finished, and
  measures what is left of it. On a processor, where adapters are asked in turn anyway, each cell asks its own and ends
  when that is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace

from recollect.core.machine import free_memory
from recollect.core.workspace import is_finished
from recollect.errors import InputError, RecollectError
from recollect.evaluate.together import EvaluateJob, run_evaluates
from recollect.experiments.attempts import ends_all, reason_of
from recollect.experiments.cell import Cell, Context, drop_of_others, is_done, make_room
from recollect.experiments.many.measure import ALONE, Pays
from recollect.experiments.remaining import ASKING, TRAINING
from recollect.models import LoadedModel
from recollect.select import run_select
from recollect.train import TrainResult, TrainSettings
from recollect.train.stack import TrainJob, run_trains, why_not_together

Errors = dict[str, BaseException]
"""What went wrong with a cell, by its name."""
_MOST = 64


class Together:
    """Cells of one context that pass together, where that can be and pays."""

    def __init__(self, context: Context, say: Callable[[str], None], pays: Pays | None = None) -> None:
        """pays: who knows already whether a pass pays, or is to know it for others too."""
        self._context, self._say = context, say
        self._pays = pays or Pays(say)
        self._expected = 0
        self.slots = 1
        """Cells of one pass."""

    def expect(self, cells: Sequence[Cell]) -> None:
        """Know what is to come."""
        left = [cell for cell in cells if not is_done(self._context.folder, cell)]
        reasons = {cell.name: why_not_together(cell.train) for cell in left}
        able = [cell for cell in left if not reasons[cell.name]]
        apart = {why for cell in left if cell.train.method == "lora" and (why := reasons[cell.name])}
        for why in sorted(apart):
            self._say(f"{ALONE}: {why}")
        self.slots, self._expected = 1, len(able)
        if len(able) > 1 and self._pays.found is not False:
            most = min(adapters_that_fit(self._context.base.load(), [cell.train for cell in able]), _MOST)
            self.slots = max(1, min(len(cells), most))  # what is done takes a place, and no time

    def run(self, cells: Sequence[Cell]) -> Errors:
        """Train and ask those that can pass together; what is left of any cell is left for `run_cell`."""
        folder = self._context.folder
        able = [cell for cell in cells if not is_done(folder, cell) and not why_not_together(cell.train)]
        if len(able) < 2 or self._pays.found is False:
            return {}
        errors: Errors = {}
        jobs = self._jobs(able, errors)
        if len(jobs) < 2:
            return {}
        if not self._pays.ask(list(jobs.values()), self._context.base.load(), self._expected):
            self.slots = 1
            return {}
        able = [cell for cell in able if cell.name in jobs]
        try:
            trained = self._train(able, jobs, errors)
            self._ask([cell for cell in able if cell.name in trained], trained, errors)
        except Exception as error:  # of all of them: each resumes, and tells by itself what is its own
            if ends_all(error):
                raise
            self.slots = 1
            self._pays.no(f"cells run one after the other from here on: the pass ended with {reason_of(error)}")
        return errors

    def _jobs(self, cells: Sequence[Cell], errors: Errors) -> dict[str, TrainJob]:
        """The trainings, with their examples selected."""
        context, jobs = self._context, dict[str, TrainJob]()
        for cell in cells:
            try:
                out = cell.path(context.folder, "select")
                select = run_select(cell.select, context.facts, context.levels, out=out)
            except RecollectError as error:
                errors[cell.name] = error
                continue
            jobs[cell.name] = TrainJob(cell.train, select.path, out=cell.path(context.folder, "train"))
        return jobs

    def _train(self, cells: Sequence[Cell], jobs: dict[str, TrainJob], errors: Errors) -> dict[str, TrainResult]:
        folder, found = self._context.folder, dict[str, TrainResult]()
        for cell in cells:
            make_room(folder, cell)
        with ExitStack() as stack:
            told = [
                replace(jobs[cell.name], progress=stack.enter_context(self._telling(cell, TRAINING, "updates")))
                for cell in cells
            ]
            results = run_trains(told, base=self._context.base.load())
        for cell, result in zip(cells, results, strict=True):
            if isinstance(result, TrainResult):
                found[cell.name] = result
                drop_of_others(folder, cell, result)
            elif isinstance(result, BaseException):
                errors[cell.name] = result
        return found

    def _telling(self, cell: Cell, part: str, unit: str) -> AbstractContextManager[Callable[[int, int], None]]:
        return self._context.telling(cell).part(part, unit)

    def _ask(self, cells: Sequence[Cell], trained: dict[str, TrainResult], errors: Errors) -> None:
        context, base = self._context, self._context.base
        left = [cell for cell in cells if not is_finished(cell.path(context.folder, cell.evaluate_as))]
        if len(left) < 2 or base.load().device == "cpu":
            return
        with ExitStack() as stack:
            jobs = [
                EvaluateJob(
                    cell.evaluate.model_copy(update={"model": str(trained[cell.name].path)}),
                    cell.path(context.folder, cell.evaluate_as),
                    context.asked or context.facts,
                    context.levels,
                    progress=stack.enter_context(self._telling(cell, ASKING, "questions")),
                )
                for cell in left
            ]
            results = run_evaluates(jobs, base.resident(jobs[0].settings).base, self._say)
        errors |= {cell.name: one for cell, one in zip(left, results, strict=True) if isinstance(one, Exception)}


def adapters_that_fit(base: LoadedModel, trainings: Sequence[TrainSettings]) -> int:
    """How many adapters half of the free memory holds while they are trained, if each is as large as the largest.

    Where ranks are padded beyond an adapter's own next power of two, on a GPU, all take a tenth of it at most.
    """
    from recollect.models.stacked import trained_bytes
    from recollect.train.lora import ranks_of

    kinds = {
        (one.lora_r, one.lora_targets, one.lora_layers, one.freeze, *one.lora_rank_pattern.items()): one
        for one in trainings
    }
    largest = 1
    for one in kinds.values():
        with suppress(InputError):  # which its own training tells
            largest = max(largest, trained_bytes(base.model, ranks_of(base.model, one)))
    return int(free_memory(base.device) // 2 // largest)
