"""Cells whose adapters are trained in one pass over their base, and asked together; see `train.stack`, `together`.

Notable choices
- What pays is measured: a few updates of a few of the trainings, in one pass and of one alone, in a folder that goes
  again. What is found is said, and where a pass brings nothing the cells run one after the other.
- As many adapters pass as half of the free memory holds, with their gradients and AdamW's two moments beside them.
- Each training and evaluation is the step that it is alone, so whoever runs a cell afterwards finds both finished, and
  measures what is left of it.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from recollect.core.machine import free_memory
from recollect.core.numbers import many
from recollect.core.workspace import is_finished
from recollect.errors import RecollectError
from recollect.evaluate.together import EvaluateJob, run_evaluates
from recollect.experiments.attempts import ends_all, reason_of
from recollect.experiments.cell import Cell, Context, drop_of_others, is_done, make_room
from recollect.experiments.remaining import ASKING, TRAINING
from recollect.models import LoadedModel
from recollect.select import run_select
from recollect.train import TrainResult, TrainSettings, run_train
from recollect.train.stack import TrainJob, run_trains, why_not_together

Errors = dict[str, BaseException]
"""What went wrong with a cell, by its name."""
_FEW, _UPDATES = 4, 3
"""Trainings and updates of the measurement."""
_LEAST = 1.1
"""Times as fast as one after the other, from which a pass is taken."""
_MOST = 64
_NUMBERS = 4
"""Of each number of an adapter: itself, its gradient, two moments; in float32."""


@dataclass(frozen=True)
class Gain:
    """What a pass was measured to bring."""

    trainings: int
    together: float
    """Seconds."""
    alone: float
    """Seconds of as many, one after the other."""

    @property
    def ratio(self) -> float:
        """How many times as fast."""
        return self.alone / self.together

    @property
    def line(self) -> str:
        """In words."""
        return (
            f"{self.trainings} of the adapters took {self.together:.1f} s for {_UPDATES} updates in one pass, "
            f"{self.alone:.1f} s one after the other: {self.ratio:.1f} times as fast"
        )


class Together:
    """Cells of one context that pass together, where that can be and pays."""

    def __init__(self, context: Context, say: Callable[[str], None]) -> None:
        self._context, self._say = context, say
        self._pays: bool | None = None
        self.slots = 1
        """Cells of one pass."""

    def expect(self, cells: Sequence[Cell]) -> None:
        """Know what is to come."""
        left = [cell for cell in cells if not is_done(self._context.folder, cell)]
        reasons = {cell.name: why_not_together(cell.train) for cell in left}
        able = [cell for cell in left if not reasons[cell.name]]
        apart = {why for cell in left if cell.train.method == "lora" and (why := reasons[cell.name])}
        for why in sorted(apart):
            self._say(f"adapters are trained one after the other: {why}")
        self.slots = 1
        if len(able) > 1 and self._pays is not False:
            widest = max((cell.train for cell in able), key=lambda train: train.lora_r)
            most = min(adapters_that_fit(self._context.base.load(), widest), _MOST)
            self.slots = max(1, min(len(cells), most))  # what is done takes a place, and no time

    def run(self, cells: Sequence[Cell]) -> Errors:
        """Train and ask those that can pass together; what is left of any cell is left for `run_cell`."""
        folder = self._context.folder
        able = [cell for cell in cells if not is_done(folder, cell) and not why_not_together(cell.train)]
        if len(able) < 2 or self._pays is False:
            return {}
        anew = {cell.name for cell in able if make_room(folder, cell)}
        errors: Errors = {}
        jobs = self._jobs(able, errors)
        if self._pays is None and len(jobs) > 1:
            self._pays = pays(list(jobs.values()), self._context.base.load(), self._say)
        if not self._pays or len(jobs) < 2:
            self.slots = 1 if self._pays is False else self.slots
            return {}
        able = [cell for cell in able if cell.name in jobs]
        try:
            trained = self._train(able, jobs, errors)
            for cell in able:
                if cell.name in anew and cell.name in trained:
                    drop_of_others(folder, cell, trained[cell.name])
            self._ask([cell for cell in able if cell.name in trained], trained, errors)
        except Exception as error:  # of all of them: each resumes, and tells by itself what is its own
            if ends_all(error):
                raise
            self._pays, self.slots = False, 1
            self._say(f"cells run one after the other from here on: the pass ended with {reason_of(error)}")
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
        found: dict[str, TrainResult] = {}
        with ExitStack() as stack:
            told = [
                replace(jobs[cell.name], progress=stack.enter_context(self._telling(cell, TRAINING, "updates")))
                for cell in cells
            ]
            results = run_trains(told, base=self._context.base.load())
        for cell, result in zip(cells, results, strict=True):
            if isinstance(result, TrainResult):
                found[cell.name] = result
            elif isinstance(result, BaseException):
                errors[cell.name] = result
        return found

    def _telling(self, cell: Cell, part: str, unit: str) -> AbstractContextManager[Callable[[int, int], None]]:
        return self._context.telling(cell).part(part, unit)

    def _ask(self, cells: Sequence[Cell], trained: dict[str, TrainResult], errors: Errors) -> None:
        context, base = self._context, self._context.base
        left = [cell for cell in cells if not is_finished(cell.path(context.folder, cell.evaluate_as))]
        if len(left) < 2:
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


def pays(jobs: Sequence[TrainJob], base: LoadedModel, say: Callable[[str], None]) -> bool:
    """Whether these trainings are faster in one pass than one after the other, by a few updates; says what was found.
    Not where the measurement fails."""
    try:
        gain = measured(jobs[:_FEW], base)
    except Exception as error:
        say(f"adapters are trained one after the other: measuring a pass failed: {reason_of(error)}")
        return False
    if gain.ratio < _LEAST:
        say(f"adapters are trained one after the other: {gain.line}")
        return False
    say(f"{many(len(jobs), 'training')} in one pass: {gain.line} (--one-by-one: one after the other)")
    return True


def measured(jobs: Sequence[TrainJob], base: LoadedModel) -> Gain:
    """A few updates of trainings in one pass, beside as many of one of them alone."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is to be said of a few updates is nothing of the trainings
        few = [
            TrainJob(
                job.settings.model_copy(update={"max_steps": _UPDATES, "save_every": None}),
                job.selection,
                out=Path(name) / str(number),
            )
            for number, job in enumerate(jobs)
        ]
        first = few[0]
        run_train(
            first.settings.model_copy(update={"max_steps": 1}), first.selection, out=Path(name) / "warm", base=base
        )
        started = time.monotonic()
        run_train(first.settings, first.selection, out=Path(name) / "alone", base=base)
        alone = time.monotonic() - started
        started = time.monotonic()
        for result in run_trains(few, base=base):
            if isinstance(result, Exception):
                raise result
        together = time.monotonic() - started
    return Gain(len(few), together, len(few) * alone)


def adapters_that_fit(base: LoadedModel, settings: TrainSettings) -> int:
    """How many adapters of these settings half of the free memory holds while they are trained."""
    sides = sum(sum(weight.shape) for weight in base.model.parameters() if weight.dim() == 2)
    each = 4 * _NUMBERS * settings.lora_r * sides
    return int(free_memory(base.device) // 2 // max(1, each))
