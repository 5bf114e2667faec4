"""A cell: one choice of data that becomes a scored model. Study, curve and search are ways to choose cells.

    select -> train (maybe only to a share) -> evaluate -> drift and ladder, where asked for -> drop the weights

Notable choices
- Each part is a step directory, so a killed cell resumes at the batch, or the checkpoint, it was at.
- The weights of a finished cell are usually gone. Its steps then stand for it: what is finished is read and not run
  again, and no training is. The fingerprint of the experiment around the cells covers their settings.
- Where something of it is gone that needs the weights, it is trained again; what was measured of other weights than
  that gives, as on a GPU it may be, goes too.
- A context and its cells can be sent to another process, which loads the base itself: `Context` is an executor's work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from recollect.core.settings import Settings
from recollect.core.workspace import discard, is_finished, read_manifest
from recollect.core.workspace.lease import refuse_lost
from recollect.drift import DriftFound, DriftResult, DriftSettings, run_drift
from recollect.drift.sides import tuned_settings
from recollect.errors import RecollectError
from recollect.evaluate import EvaluateResult, EvaluateSettings, run_evaluate
from recollect.experiments.base import Base
from recollect.experiments.executors import Executor, run_all
from recollect.experiments.remaining import ASKING, CLIMBING, COMPARING, TRAINING, Planned, Remaining
from recollect.experiments.under_way import Telling, watched
from recollect.facts import FactSet
from recollect.models import resolve_name
from recollect.restore import LadderFound, LadderResult, LadderSettings, run_ladder
from recollect.restore.ladder import rungs_of
from recollect.select import SelectSettings, run_select
from recollect.train import PausedTraining, TrainFound, TrainResult, TrainSettings, run_train_until
from recollect.train.auto import WIDTH, plan


@dataclass(frozen=True)
class Cell:
    """One choice of data, one training on it, and what the model is then asked."""

    name: str
    """Where its steps are, in the context's folder, with {step} in it: "{step}-random-60-seed0"."""
    select: SelectSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    """How the model is asked; which model follows from the training."""
    evaluate_as: str = "evaluate"
    """What the evaluation is called among the steps."""
    share: float = 1.0
    """Until which share of the training; below 1 it pauses, and a larger share resumes it."""
    drift: DriftSettings | None = None
    """Compare the model with the base."""
    ladder: LadderSettings | None = None
    """Climb the restoration ladder with it."""

    @property
    def measures(self) -> dict[str, Settings]:
        """What is asked of the trained model: the steps, and their settings."""
        wanted = {self.evaluate_as: self.evaluate, "drift": self.drift, "ladder": self.ladder}
        return {step: one for step, one in wanted.items() if one is not None}

    @property
    def steps(self) -> dict[str, Settings]:
        """All that it leaves, in the order of work."""
        return {"select": self.select, "train": self.train, **self.measures}

    @property
    def wanted(self) -> dict[str, Settings]:
        """What must be there for it to be done: of a cell that pauses, only what was measured."""
        return self.steps if self.share == 1 else self.measures

    def path(self, folder: Path, step: str) -> Path:
        """The directory of one of its steps."""
        return folder / self.name.format(step=step)

    def label(self, folder: Path) -> str:
        """Its name for people, and of its file while it is under way."""
        return self.name.format(step="").strip("-") or folder.name

    def planned(self, folder: Path, examples: int) -> Planned:
        """Its work in the parts' units; `examples` is how many it trains on."""
        train = self.train
        epochs = plan(train, examples, WIDTH).epochs  # which do not depend on the width
        read = examples * epochs if train.max_steps is None else train.max_steps * train.batch_size
        units = {TRAINING: max(1.0, float(read)), ASKING: 1.0}
        units |= {COMPARING: 1.0} if self.drift else {}
        units |= {CLIMBING: float(len(rungs_of(self.ladder)))} if self.ladder else {}
        return Planned(self.label(folder), units)


@dataclass(frozen=True)
class Context:
    """What the cells of an experiment have in common. It is their work for an executor, see `start`."""

    folder: Path
    """Where the cells' steps are, on a path that all workers see."""
    base: Base
    facts: FactSet
    levels: pl.DataFrame | None = None
    """Memory levels of the facts."""
    asked: FactSet | None = None
    """The facts to ask, where those are not all."""
    keep_models: bool = False
    """Keep the weights of a cell that is scored."""
    told: Path | None = None
    """Where the cells tell how far they are, see `under_way`; None where nobody asks."""

    def telling(self, cell: Cell) -> Telling:
        """What a cell tells through."""
        return Telling(self.told, cell.label(self.folder))

    def start(self) -> Callable[[Cell], ScoredCell]:
        """The function that runs cells."""
        return partial(run_cell, self)

    @property
    def context(self) -> Context:
        """Itself: it is its own work."""
        return self

    def failed(self, cell: Cell, error: BaseException) -> ScoredCell:
        """Raise what ended a cell that ran beside others."""
        raise error


@dataclass(frozen=True)
class Watch:
    """Who watches a training."""

    progress: Callable[[int, int], None] | None = None
    judge: Callable[[Sequence[tuple[int, float]]], str] | None = None
    """Given the losses so far as (update, loss): why to stop, or nothing; see `run_train_until`."""


@dataclass(frozen=True)
class ScoredCell:
    """A cell's model and its results; the weights may be gone."""

    cell: Cell
    train: Path
    trained: TrainFound | None
    """None while the training is paused."""
    evaluation: EvaluateResult
    drift: DriftResult | None
    ladder: LadderResult | None
    lost: tuple[str, ...] = ()
    """What of its measurements could not be stored, and why; the rest stands."""


def run_cell(context: Context, cell: Cell, watch: Watch | None = None) -> ScoredCell:
    """Select, train, evaluate and drop the weights; what is finished is found again.

    Raises what the steps raise: InputError for more examples than there are, ModelError for a training that diverges.
    """
    telling = context.telling(cell)
    lost: tuple[str, ...] = ()
    if not is_done(context.folder, cell):
        make_room(context.folder, cell)
        trained = train_cell(context, cell, watch, telling)
        if isinstance(trained, TrainResult):
            drop_of_others(context.folder, cell, trained)
        lost = measure_cell(context, cell, trained, telling)
    telling.end()
    train = cell.path(context.folder, "train")
    if cell.share == 1 and not context.keep_models and not lost:
        drop_weights(train)
    return replace(read_cell(context, cell), lost=lost)


def there(folder: Path, cell: Cell) -> list[str]:
    """Those of the wanted steps that are finished and of use: a training without its weights is none where these are
    needed, and nothing is that may have been measured of other weights."""
    found = [step for step in cell.wanted if is_finished(cell.path(folder, step))]
    if _doubt(folder, cell).is_file():
        found = [step for step in found if step not in cell.measures]
    measured = all(step in found for step in cell.measures)
    if "train" in found and not measured and not has_weights(cell.path(folder, "train")):
        found.remove("train")
    return found


def is_done(folder: Path, cell: Cell) -> bool:
    """Whether nothing of a cell is to be done."""
    return len(there(folder, cell)) == len(cell.wanted)


def has_weights(train: Path) -> bool:
    """Whether a finished training has the weights that it wrote."""
    files = read_manifest(train).files
    if files is None:
        return any((train / "model").glob("*.safetensors"))
    return all((train / name).is_file() for name in files if name.endswith(".safetensors"))


def make_room(folder: Path, cell: Cell) -> None:
    """Before a cell is trained: remove a training whose weights are needed and gone. What was measured is in doubt from
    then on, until `drop_of_others` has seen the new weights, whatever is killed meanwhile."""
    train = cell.path(folder, "train")
    if cell.share < 1 or "train" in there(folder, cell):
        return
    if _finished_measures(folder, cell):
        _doubt(folder, cell).touch()
    if is_finished(train):
        discard(train)


def drop_of_others(folder: Path, cell: Cell, trained: TrainResult) -> None:
    """Remove what was measured of other weights than this training has."""
    if not _doubt(folder, cell).is_file():
        return
    inputs = {path: read_manifest(path).inputs for path in _finished_measures(folder, cell)}
    if inputs:
        mine = resolve_name(trained.model_folder).fingerprint
        for path, known in inputs.items():
            if known.get("tuned", known.get("model")) != mine:
                discard(path)
    _doubt(folder, cell).unlink()


def _finished_measures(folder: Path, cell: Cell) -> list[Path]:
    return [path for step in cell.measures if is_finished(path := cell.path(folder, step))]


def _doubt(folder: Path, cell: Cell) -> Path:
    """A file that is there while a cell is trained anew beside what was measured before."""
    train = cell.path(folder, "train")
    return train.with_name(f".{train.name}.anew")


def drop_weights(train: Path) -> None:
    """Delete the weights of a training; its log, and what was asked of the model, stay."""
    for file in (train / "model").glob("*.safetensors"):
        file.unlink()


def run_cells(
    executor: Executor[Cell, ScoredCell], cells: Sequence[Cell], progress: Callable[[int, int], None] | None = None
) -> list[ScoredCell]:
    """Run the cells of a context at work in `executor`; gives them in their own order, whoever is faster.

    Raises what `run_cell` raises, and RecollectError where all workers of a cell died; finished cells stay.
    """
    progress = progress or (lambda done, total: None)
    found: dict[str, ScoredCell] = {}
    progress(0, len(cells))
    for done, ended in enumerate(run_all(executor, cells)):
        if ended.found is None:
            raise RecollectError(
                f"the training {ended.job.name.format(step='train')} failed: {ended.failure}. What is finished is "
                "kept: run the same command again, with fewer workers where memory ran out."
            )
        found[ended.job.name] = ended.found
        progress(done + 1, len(cells))
    return [found[cell.name] for cell in cells]


@contextmanager
def watch_cells(
    context: Context, cells: Sequence[Cell], slots: int | Callable[[], int], asking_seconds: float | None = None
) -> Iterator[Remaining]:
    """Watch cells from outside while the block is open; gives who knows what is at work and how long the rest takes.

    asking_seconds: what asking the base took, where that is known.
    """
    assert context.told is not None
    most = sum(fact.part == "train" for fact in context.facts)
    left = [cell for cell in cells if not is_done(context.folder, cell)]
    sizes = [most if cell.select.size == "all" else cell.select.size for cell in left]
    planned = [cell.planned(context.folder, size) for cell, size in zip(left, sizes, strict=True)]
    with watched(context.told):
        yield Remaining(planned, context.told, slots, asking_seconds)


def train_cell(
    context: Context, cell: Cell, watch: Watch | None = None, telling: Telling | None = None
) -> TrainResult | PausedTraining:
    """Select, and train to the cell's share."""
    watch, telling = watch or Watch(), telling or context.telling(cell)
    select = run_select(cell.select, context.facts, context.levels, out=cell.path(context.folder, "select"))
    out = cell.path(context.folder, "train")
    with telling.part(TRAINING, "updates") as told:

        def progress(done: int, total: int) -> None:
            refuse_lost()  # before a checkpoint is written
            told(done, total)
            if watch.progress:
                watch.progress(done, total)

        alone = cell.train.processes == 1
        if not alone:  # each of them reads the base itself, and needs the memory
            context.base.release()
        base = context.base.load() if alone else None
        return run_train_until(
            cell.train, select.path, cell.share, out=out, base=base, progress=progress, judge=watch.judge
        )


def measure_cell(
    context: Context, cell: Cell, trained: TrainResult | PausedTraining, telling: Telling | None = None
) -> tuple[str, ...]:
    """Evaluate the model, and where the cell asks for it compare it with the base and climb the ladder.

    Gives what was lost, in sentences: a comparison or ladder whose numbers its own record refuses costs no more than
    itself. Whatever else goes wrong is raised.
    """
    folder, base, telling = context.folder, context.base, telling or context.telling(cell)
    model = str(trained.path if isinstance(trained, TrainResult) else trained.model_folder)
    if not is_finished(out := cell.path(folder, cell.evaluate_as)):
        settings = cell.evaluate.model_copy(update={"model": model})
        asked = context.asked or context.facts
        with telling.part(ASKING, "questions") as told, base.holding(settings) as loaded:
            run_evaluate(settings, asked, context.levels, out=out, loaded=loaded, progress=told)
    lost: list[str] = []
    if cell.drift and not is_finished(out := cell.path(folder, "drift")):
        with telling.part(COMPARING, "weights") as told, _apart(lost, cell.label(folder), COMPARING):
            run_drift(cell.drift, base.name, model, context.facts, out=out, base_side=base.side, progress=told)
    if cell.ladder and not is_finished(out := cell.path(folder, "ladder")):
        with telling.part(CLIMBING, "rungs") as told, _apart(lost, cell.label(folder), CLIMBING):
            resident = base.resident(tuned_settings(cell.ladder, model)) if base.in_memory else None
            run_ladder(cell.ladder, base.name, model, context.facts, out=out, progress=told, resident=resident)
    return tuple(lost)


@contextmanager
def _apart(lost: list[str], name: str, what: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        reason = " ".join(str(error).split())[:300]
        lost.append(f"{name}: {what} is left out, its record refuses a number: {reason}")


def read_cell(context: Context, cell: Cell) -> ScoredCell:
    """A cell that was run, from its folders."""
    train, drift, ladder = (cell.path(context.folder, step) for step in ("train", "drift", "ladder"))
    return ScoredCell(
        cell,
        train,
        TrainFound.read(train) if is_finished(train) else None,
        EvaluateResult(cell.path(context.folder, cell.evaluate_as)),
        DriftResult(drift, DriftFound.read(drift)) if cell.drift and is_finished(drift) else None,
        LadderResult(ladder, LadderFound.read(ladder)) if cell.ladder and is_finished(ladder) else None,
    )
