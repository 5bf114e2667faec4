"""Run a data curve: a cell for every size and seed, then judge; or judge a file of scores.

Notable choices
- The curve is a step directory, and so is each step of its cells: a killed curve resumes at the batch (or training) it
  was at when the same command is given again. Its page is written from the finished steps, see `write_page`.
- With one seed a smaller training set is part of every larger one, so sizes differ by what was added.
- `until="decided"` adds the sizes the verdict asks for, round by round. Which ones follows from the scores alone, so a
  resumed run adds the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from recollect.chat.asking import asked_for, chat_input, settled
from recollect.core.machine import Machine
from recollect.core.settings import source_of
from recollect.core.tables import BadRows
from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, open_step
from recollect.core.workspace.curve import CurveFound, PartFound, Verdict
from recollect.core.workspace.experiment import ExperimentFound
from recollect.engines import check_named, find_engine
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.evaluate.pages import page_task
from recollect.experiments.base import Base
from recollect.experiments.cell import Cell, Context, ScoredCell, run_cells, watch_cells
from recollect.experiments.curve.decide import half_of
from recollect.experiments.curve.observations import Observations, from_items, item_table
from recollect.experiments.curve.scores_file import read_scores
from recollect.experiments.curve.settings import CurveSettings
from recollect.experiments.curve.verdict import judge_curve
from recollect.experiments.curve.words import verdict_lines
from recollect.experiments.executors import Executor, executor_class
from recollect.experiments.found import Stage, known, no_stage, unheard, write_page
from recollect.experiments.many import CellExecutor, cell_executor
from recollect.experiments.under_way import UNDER_WAY
from recollect.facts import FactSet, load_facts
from recollect.models import ModelSettings, machine_of
from recollect.select import LEVELS, SelectSettings, available, levels_fingerprint, read_levels
from recollect.shipped import own_preset_of
from recollect.train import TrainSettings, training_machine
from recollect.train.auto import auto_input

Place = tuple[int, int]
"""Size and seed."""
FIRST_SIZES, FACTOR = (15, 60, 250), 4  # and on by the factor: 1,000, 4,000, ...; and half of the largest

VERDICT_FROM = "measured means"
"""Part of the fingerprint: a curve that was judged by fits, as earlier versions did, is not taken for one of today."""


@dataclass(frozen=True)
class CurveResult:
    """A finished curve: `path` holds report.html, results.json, curve.parquet; `path/steps` the trainings."""

    path: Path
    found: CurveFound

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    def runs(self) -> pl.DataFrame:
        """One row per run and part: part, size, seed, score, items (how many were asked)."""
        return pl.read_parquet(self.path / "curve.parquet", glob=False)


def run_curve(
    settings: CurveSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    stage: Stage | None = None,
    facts: FactSet | None = None,
    say: Callable[[str], None] = unheard,
) -> CurveResult:
    """Run the curve, or resume it, or find it done; `facts` saves reading them again, `say` is told what to know.

    Raises InputError for sizes that are not there, and what the steps raise; nothing finished is lost.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import CurveSettings, run_curve
        >>> means = {50: 40, 100: 54, 200: 60, 400: 61, 800: 61}
        >>> noise = {1: 0.0, 2: 0.4, 3: -0.4}
        >>> rows = [f"{size},{seed},{means[size] + noise[seed]}" for size in means for seed in noise]
        >>> written = Path("runs.csv").write_text("\\n".join(["size,seed,score", *rows]))
        >>> run_curve(CurveSettings.make(scores="runs.csv")).found.parts["test"].verdict.name
        'saturated'
    """
    if settings.scores is not None:
        return _judge_file(settings.scores, settings, out, root, stage or no_stage)
    stage = stage or no_stage
    train, evaluate = sections_of(settings)
    executor_class(settings.executor, place := settings.place(Path())).check(place)
    sources = {name: source_of(settings, name, given) for name, given in (("model", None), ("facts", facts))}
    sources["levels"] = str(settings.levels or "")
    facts = facts if facts is not None else load_facts(settings.facts)
    levels, most, sizes = _grid(settings, evaluate, facts)
    base = Base(evaluate)
    with stage("loading the model", ""):
        model = find_engine(evaluate, base.load())
        train = train.model_copy(update={"prompt": settled(train.asked_in(), model.ref)})
        if asked_for(evaluate) == "auto":
            evaluate = evaluate.model_copy(update={"prompt": train.prompt})
        inputs = {
            **model.inputs,
            **chat_input(train.prompt),
            "facts": facts.fingerprint(),
            "levels": None if levels is None else levels_fingerprint(levels),
            **auto_input(train),
        }
    values = settings.fingerprint_values()
    values |= {"sizes": list(sizes), "verdict_from": VERDICT_FROM, "least_per_level": evaluate.least_per_level}
    with open_step("curve", values, inputs, out, root) as step:
        if not step.done:
            asked = evaluate.model_copy(update={"facts": sources["facts"], "levels": settings.levels})
            steps, keep = step.folder / "steps", settings.keep_models
            context = Context(steps, base, facts, levels, keep_models=keep, told=steps / UNDER_WAY)
            ground = known(settings, base, facts).model_copy(update={"sources": sources})
            _Curve(settings, train, asked, context, most, stage, say).work(step, sizes, ground)
    return _with_page(step, stage)


def _with_page(step: Step, stage: Stage) -> CurveResult:
    write_page(step.path, stage)
    return CurveResult(step.path, CurveFound.read(step.path))


def _grid(
    settings: CurveSettings, evaluate: EvaluateSettings, facts: FactSet
) -> tuple[pl.DataFrame | None, int, tuple[int, ...]]:
    """The levels, how many training examples there are, and the sizes."""
    levels = read_levels(settings.levels) if settings.levels is not None else None
    _check_score(settings, evaluate, facts, levels)
    most = available(facts, levels, settings.level)
    return levels, most, sizes_of(settings, most)


def check_curve(settings: CurveSettings) -> None:
    """Read the facts and the model's folder, which `run_curve` does first, without torch, which takes seconds.

    Raises what that raises for them.
    """
    if settings.scores is None:
        evaluate = sections_of(settings)[1]
        _grid(settings, evaluate, load_facts(settings.facts))
        check_named(evaluate)


def machines(settings: CurveSettings) -> tuple[tuple[str, Machine], ...]:
    """What is done on which device and in which number format, for people to read."""
    train, evaluate = sections_of(settings)
    return ("training", training_machine(train)), ("asking", machine_of(evaluate))


@dataclass
class _Curve:
    """One curve at work: what every run needs, and the item tables of the runs so far."""

    settings: CurveSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    context: Context
    most: int
    """Training examples there are."""
    stage: Stage
    say: Callable[[str], None] = unheard
    tables: dict[Place, pl.DataFrame] = field(default_factory=dict)

    def work(self, step: Step, sizes: Iterable[int], ground: ExperimentFound) -> None:
        """Run the grid, then the rounds the verdict asks for; judge, write, finish."""
        started, notes = time.monotonic(), []
        self.context.folder.mkdir(exist_ok=True)
        repeats = range(self.settings.seed, self.settings.seed + self.settings.repeats)
        places = [(size, seed) for size in sorted(sizes) for seed in (repeats if size else repeats[:1])]
        place, alone = self.settings.place(step.folder), self.settings.one_by_one
        with cell_executor(self.settings.executor, self.context, place, alone, self.say) as executor:
            while True:
                self.tables |= self._measured(places, executor)
                runs = self._runs()
                verdicts = {name: self._judged(one) for name, one in runs.items()}
                places = self._wanted(verdicts["test"])
                if not places:
                    break
                if self._trainings() + len(places) > (most := self.settings.most_trainings):
                    notes.append(f"Stopped undecided: the next round would make more than {most} trainings.")
                    break
        judged = _Judged(self.settings, runs, verdicts, ground.model_copy(update={"notes": tuple(notes)}))
        judged.finish(step, started, self._trainings())

    def _measured(self, places: list[Place], executor: Executor[Cell, ScoredCell]) -> dict[Place, pl.DataFrame]:
        """The items of the runs at `places`; size 0 is the base as it is."""
        found = {}
        for place in places:
            if place[0] == 0:
                out, context = self.context.folder / "base", self.context
                settings = self.evaluate.model_copy(update={"model": self.settings.model})
                with self.stage("asking the base", "questions") as progress:
                    base = context.base.load()
                    run_evaluate(settings, context.facts, context.levels, out=out, progress=progress, loaded=base)
                found[place] = item_table(out, self.settings.metric)
        if not executor.in_process:
            self.context.base.release()
        cells = {place: self._cell(*place) for place in places if place[0]}
        work = list(cells.values())
        with (
            watch_cells(self.context, work, lambda: executor.slots) as remaining,
            self.stage("training and asking", "models", remaining.detail) as progress,
        ):
            if isinstance(executor, CellExecutor):
                executor.expect(work, remaining)
            scored = run_cells(executor, work, progress)
        for place, one in zip(cells, scored, strict=True):
            found[place] = item_table(one.evaluation.path, self.settings.metric)
        return found

    def _cell(self, size: int, seed: int) -> Cell:
        known = {"facts": self.evaluate.facts, "levels": self.evaluate.levels}
        return Cell(
            name=f"{{step}}-{size}-seed{seed}",
            select=SelectSettings.make(level=self.settings.level, size=size, seed=seed, **known),
            train=self.train.model_copy(update={"seed": seed}),
            evaluate=self.evaluate,
        )

    def _trainings(self) -> int:
        return sum(size > 0 for size, _ in self.tables)

    def _runs(self) -> dict[str, Observations]:
        group, least = self.settings.group, self.evaluate.least_per_level
        found = {part: from_items(self.tables, part, group, least) for part in ("test", "ood")}
        if found["test"] is None:
            alone = f" of group {self.settings.group!r}" if self.settings.group else ""
            raise InputError(f"a curve needs test items to score, but the evaluation has none{alone} in the part test.")
        return {part: runs for part, runs in found.items() if runs is not None}

    def _judged(self, runs: Observations) -> Verdict:
        return judge_curve(runs, self.settings.margin, self.settings.confidence, self.most)

    def _wanted(self, verdict: Verdict) -> list[Place]:
        """The runs of the next round; none when the verdict stands, or nobody asked."""
        if self.settings.until == "grid" or verdict.name != "undecided":
            return []
        places = []
        for one in verdict.next:
            have = sum(size == one.size for size, _ in self.tables)
            first = self.settings.seed + have
            places += [(one.size, seed) for seed in range(first, first + self.settings.repeats)]
        return places


def _judge_file(file: Path, settings: CurveSettings, out: Path | None, root: Path, stage: Stage) -> CurveResult:
    """Judge a user's own scores."""
    bad = BadRows(settings.bad_rows)
    runs = read_scores(file, lower_is_better=settings.lower_is_better, unit=settings.unit, bad=bad)
    content = {part: [one.size.tolist(), one.seed.tolist(), one.score.tolist()] for part, one in runs.items()}
    values = settings.model_dump(mode="json", include={"margin", "confidence", "lower_is_better", "bad_rows"})
    values["verdict_from"] = VERDICT_FROM
    started = time.monotonic()
    with open_step("curve", values, {"scores": fingerprint(content)}, out, root) as step:
        if not step.done:
            verdicts = {part: judge_curve(one, settings.margin, settings.confidence) for part, one in runs.items()}
            given, notes = tuple(sorted(settings.model_fields_set)), tuple(bad.lines(file.name))
            ground = ExperimentFound(notes=notes, sources={"scores": str(file)}, given=given)
            _Judged(settings, runs, verdicts, ground).finish(step, started, 0)
    return _with_page(step, stage)


@dataclass(frozen=True)
class _Judged:
    """All runs of a curve, by part, and what they say."""

    settings: CurveSettings
    runs: Mapping[str, Observations]
    verdicts: Mapping[str, Verdict]
    ground: ExperimentFound

    def finish(self, step: Step, started: float, trainings: int) -> None:
        """Write the table, then the manifest."""
        step.write_table("curve.parquet", _table(self.runs, self.settings.lower_is_better))
        notes = [*self.ground.notes, *(note for verdict in self.verdicts.values() for note in verdict.notes)]
        trained_on = _choice(self.settings.level) if trainings else ""
        what = f"trained on {trained_on}" if trained_on else "scores of a file"
        step.finish(
            CurveFound(
                **self.ground.model_dump(exclude={"title", "notes", "seconds"}),
                title=f"Data curve: how many examples are enough ({what})",
                notes=tuple(dict.fromkeys(notes)),
                parts={part: self._part(part) for part in self.verdicts},
                trained_on=trained_on,
                scored=scored_by(self.settings),
                trainings=trainings,
                seconds=round(time.monotonic() - started, 3),
            )
        )

    def _part(self, part: str) -> PartFound:
        items, verdict = self.runs[part].items, self.verdicts[part]
        unit = "score units" if self.settings.lower_is_better else "points"
        return PartFound(
            verdict=verdict,
            lines=tuple(verdict_lines(verdict, unit)),
            items=None if items is None else len(items.group),
            groups=None if items is None else len(set(items.group.tolist())),
        )


def _choice(level: str) -> str:
    return {"random": "a random draw", "mixed": "an even mix of levels"}.get(level, f"level {level}")


def scored_by(settings: CurveSettings) -> str:
    """The score in words; empty for a user's own."""
    if settings.scores is not None:
        return ""
    metric = {"accuracy": "accuracy", "word": "accuracy by whole words", "f1": "F1"}[settings.metric]
    return metric if settings.group is None else f"{metric} of group {settings.group} alone"


def _table(runs: Mapping[str, Observations], negated: bool) -> pl.DataFrame:
    rows = [
        (
            part,
            int(size),
            int(seed),
            -float(score) if negated else float(score),
            None if one.items is None else len(one.items.group),
        )
        for part, one in runs.items()
        for size, seed, score in zip(one.size, one.seed, one.score, strict=True)
    ]
    schema = {"part": pl.String, "size": pl.Int64, "seed": pl.Int64, "score": pl.Float64, "items": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def sections_of(settings: CurveSettings) -> tuple[TrainSettings, EvaluateSettings]:
    """The settings of the cells' steps. The model is asked where and in the form in which it was trained; the number
    format is each section's own."""
    both = {*ModelSettings.model_fields, "prompt", "prompt_template"} - {"dtype"}
    shared = settings.train.model_dump(include=both & settings.train.model_fields_set)
    try:
        train = settings.train.over(preset=own_preset_of(settings.model), model=settings.model)
        evaluate = settings.evaluate.over(**shared, facts=settings.facts, model=settings.model)
    except InputError as error:
        raise InputError(f"in the curve's sections train and evaluate: {error}") from None
    if "test" not in evaluate.parts.split(","):
        raise InputError(f"in the curve's section evaluate: parts must contain test, but got {evaluate.parts!r}.")
    return train, evaluate


def _check_score(
    settings: CurveSettings, evaluate: EvaluateSettings, facts: FactSet, levels: pl.DataFrame | None
) -> None:
    """Refuse a metric or group that these facts do not have."""
    task = page_task(evaluate, facts)
    if settings.metric == ("word" if task else "f1"):
        raise InputError(
            f"metric must be accuracy or {'f1' if task else 'word'} for {'pages' if task else 'facts'}, but got "
            f"{settings.metric}."
        )
    groups = task.schema.names if task else [str(level) for level in LEVELS] if levels is not None else ()
    if settings.group is not None and settings.group not in groups:
        known = f"one of {', '.join(groups)}" if groups else "left out where no memory levels are given (--levels)"
        raise InputError(f"group must be {known}, but got {settings.group!r}.")


def sizes_of(settings: CurveSettings, most: int) -> tuple[int, ...]:
    """The sizes of the grid, of `most` training examples. Raises InputError for those that are not there."""
    if settings.sizes is not None:
        over = [size for size in settings.sizes if size > most]
        if over:
            raise InputError(
                f"sizes must be at most {most:,}, the number of training examples of {settings.level!r}, but got "
                f"{', '.join(f'{size:,}' for size in over)}. Leave them out of --sizes."
            )
        return tuple(sorted(settings.sizes))
    sizes = [0, *(size for size in FIRST_SIZES if size <= most)]
    while sizes[-1] >= FIRST_SIZES[-1] and sizes[-1] * FACTOR <= most:
        sizes.append(sizes[-1] * FACTOR)
    if len(sizes) < 3:
        raise InputError(f"a curve needs more training examples than {most:,}: at least {FIRST_SIZES[1]}, or --sizes.")
    return tuple(sorted({*sizes, half_of(sizes[-1])}))
