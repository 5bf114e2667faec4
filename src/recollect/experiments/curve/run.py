"""Run a data curve: select, train and evaluate at every size and seed, then judge; or judge a file of scores.

Notable choices
- The curve is a step directory, and so is each selection, training and evaluation in it: a killed curve goes on at
  the batch (or training) it was at when the same command is given again.
- One model is loaded once; every training starts from a copy of it.
- With one seed a smaller training set is part of every larger one, so sizes differ by what was added.
- `until="decided"` adds the sizes the verdict asks for, round by round. Which ones follows from the scores alone, so a
  resumed run adds the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.machine import Machine
from recollect.core.settings import source_of
from recollect.core.tables import BadRows
from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, is_finished, open_step, write_json
from recollect.errors import InputError
from recollect.evaluate import EvaluateResult, EvaluateSettings, run_evaluate
from recollect.evaluate.pages import page_task
from recollect.experiments.curve.decide import half_of
from recollect.experiments.curve.items import item_table
from recollect.experiments.curve.observations import Observations, from_items, read_scores
from recollect.experiments.curve.settings import CurveSettings
from recollect.experiments.curve.verdict import Verdict, judge_curve
from recollect.experiments.curve.words import verdict_json
from recollect.facts import FactSet, load_facts
from recollect.models import LoadedModel, ModelSettings, load, machine_of
from recollect.select import LEVELS, SelectSettings, available, levels_fingerprint, read_levels, run_select
from recollect.shipped import preset_of
from recollect.train import TrainSettings, run_train, training_machine

Progress = Callable[[int, int], None]
Stage = Callable[[str, str], AbstractContextManager[Progress | None]]
Place = tuple[int, int]
"""Size and seed."""
FIRST_SIZES, FACTOR = (15, 60, 250), 4  # and on by the factor: 1,000, 4,000, ...; and half of the largest

VERDICT_FROM = "measured means"
"""Part of the fingerprint: a curve that was judged by fits, as earlier versions did, is not taken for one of today."""


@dataclass(frozen=True)
class CurveResult:
    """A finished curve: `path` holds report.html, results.json, curve.parquet; `path/steps` the trainings."""

    path: Path
    metrics: dict[str, Any]

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    def runs(self) -> pl.DataFrame:
        """One row per run and part: part, size, seed, score, examples (items asked)."""
        return pl.read_parquet(self.path / "curve.parquet", glob=False)

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        hidden = ("seconds", "lines", "sources")
        shown = {key: value for key, value in self.metrics.items() if key not in hidden}
        return {**shown, "report": str(self.report), "out": str(self.path)}


def run_curve(
    settings: CurveSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    stage: Stage | None = None,
    facts: FactSet | None = None,
) -> CurveResult:
    """Run the curve, or go on with it, or find it done; `facts` saves reading them again.

    Raises InputError for sizes that are not there, and what the steps raise; nothing finished is lost.
    """
    if settings.scores is not None:
        return _judge_file(settings.scores, settings, out, root)
    stage = stage or (lambda what, unit: nullcontext(None))
    train, evaluate = _sections(settings)
    sources = {
        "model": settings.model,
        "facts": source_of(settings, "facts", facts),
        "levels": str(settings.levels or ""),
    }
    facts = facts if facts is not None else load_facts(settings.facts)
    levels = read_levels(settings.levels) if settings.levels is not None else None
    _check_score(settings, evaluate, facts, levels)
    most = available(facts, levels, settings.level)
    sizes = _sizes(settings, most)
    with stage("loading the model", ""):
        loaded = load(evaluate)
    inputs = {
        "model": loaded.fingerprint,
        "facts": facts.fingerprint(),
        "levels": None if levels is None else levels_fingerprint(levels),
    }
    values = settings.model_dump(mode="json", exclude={"model", "facts", "levels", "scores", "lower_is_better", "unit"})
    values |= {"sizes": list(sizes), "verdict_from": VERDICT_FROM, "least_per_level": evaluate.least_per_level}
    with open_step("curve", values, inputs, out, root) as step:
        if not step.done:
            _Curve(step, settings, train, evaluate, facts, levels, loaded, most, stage, sources).work(sizes)
        return CurveResult(step.path, step.metrics)


def machines(settings: CurveSettings) -> tuple[tuple[str, Machine], ...]:
    """What is done on which device and in which number format, for people to read."""
    train, evaluate = _sections(settings)
    return ("training", training_machine(train)), ("asking", machine_of(evaluate))


class _Curve:
    """One curve at work: what every run needs, and the item tables of the runs so far."""

    def __init__(
        self,
        step: Step,
        settings: CurveSettings,
        train: TrainSettings,
        evaluate: EvaluateSettings,
        facts: FactSet,
        levels: pl.DataFrame | None,
        loaded: LoadedModel,
        most: int,
        stage: Stage,
        sources: dict[str, str],
    ) -> None:
        self.sources = sources
        self.step, self.settings, self.train, self.evaluate = step, settings, train, evaluate
        self.facts, self.levels, self.loaded, self.most, self.stage = facts, levels, loaded, most, stage
        self.tables: dict[Place, pl.DataFrame] = {}
        self.steps = step.folder / "steps"

    def work(self, sizes: Iterable[int]) -> None:
        """Run the grid, then the rounds the verdict asks for; judge, write, finish."""
        started, notes = time.monotonic(), []
        self.steps.mkdir(exist_ok=True)
        repeats = range(self.settings.seed, self.settings.seed + self.settings.repeats)
        places = [(size, seed) for size in sorted(sizes) for seed in (repeats if size else repeats[:1])]
        while True:
            with self.stage("training and asking", "models") as progress:
                for done, place in enumerate(places):
                    self._note(progress, done, len(places))
                    self.tables[place] = self._one(place)
                self._note(progress, len(places), len(places))
            runs = self._runs()
            verdicts = {name: self._judged(one) for name, one in runs.items()}
            places = self._wanted(verdicts["test"])
            if not places:
                break
            if self._trainings() + len(places) > self.settings.most_trainings:
                notes.append(
                    f"Stopped undecided: the next round would make more than {self.settings.most_trainings} trainings."
                )
                break
        finish(
            self.step,
            self.settings,
            runs,
            verdicts,
            notes,
            started,
            self._trainings(),
            self.loaded,
            self.facts,
            self.sources,
        )

    def _note(self, progress: Progress | None, done: int, total: int) -> None:
        if progress is not None:
            progress(done, total)

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

    def _one(self, place: Place) -> pl.DataFrame:
        """The items of one run; size 0 is the base as it is."""
        size, seed = place
        if size == 0:
            return self._items(self._asked(self.loaded, "base", self.settings.model).path)
        name = f"{size}-seed{seed}"
        out = self.steps / f"evaluate-{name}"
        folder = self.steps / f"train-{name}"
        if not is_finished(out):  # its model's weights may be gone by now; the fingerprint covers it
            known = {"facts": self.sources["facts"], "levels": self.settings.levels}
            choice = SelectSettings.make(level=self.settings.level, size=size, seed=seed, **known)
            selection = run_select(choice, self.facts, self.levels, out=self.steps / f"select-{name}")
            seeded = self.train.model_copy(update={"seed": seed})
            run_train(seeded, selection.path, out=folder, base=self.loaded)
            tuned = load(self.evaluate.model_copy(update={"model": str(folder)}))
            self._asked(tuned, f"evaluate-{name}", str(folder))
        if not self.settings.keep_models:
            for file in (folder / "model").glob("*.safetensors"):
                file.unlink()
        return self._items(out)

    def _items(self, evaluation: Path) -> pl.DataFrame:
        return item_table(evaluation, self.settings.metric)

    def _asked(self, loaded: LoadedModel, name: str, model: str) -> EvaluateResult:
        known = {"model": model, "facts": self.sources["facts"], "levels": self.settings.levels}
        settings = self.evaluate.model_copy(update=known)
        return run_evaluate(settings, self.facts, self.levels, out=self.steps / name, loaded=loaded)


def _judge_file(file: Path, settings: CurveSettings, out: Path | None, root: Path) -> CurveResult:
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
            finish(step, settings, runs, verdicts, bad.lines(file.name), started, 0, None, None, {"scores": str(file)})
        return CurveResult(step.path, step.metrics)


def finish(
    step: Step,
    settings: CurveSettings,
    runs: dict[str, Observations],
    verdicts: dict[str, Verdict],
    notes: list[str],
    started: float,
    trainings: int,
    loaded: LoadedModel | None,
    facts: FactSet | None,
    sources: dict[str, str],
) -> None:
    """Write the table and the results, draw the report, then write the manifest."""
    from recollect.experiments.curve.collect import collect, scored_by
    from recollect.report import RESULTS_FILE, write_report

    step.write_table("curve.parquet", _table(runs, settings.lower_is_better))
    results, lines = collect(step, settings, runs, verdicts, notes, loaded, facts)
    write_json(step.folder / RESULTS_FILE, results.model_dump(mode="json"))  # before anything is drawn
    write_report(results, step.folder)
    first, *others = verdicts
    metrics = {**verdict_json(verdicts[first]), "part": first}
    metrics |= {"ood": None, **{part: verdict_json(verdicts[part]) for part in others}}
    metrics |= {"scored": scored_by(settings), "notes": list(results.notes)}
    metrics |= {"trainings": trainings, "lines": lines, "seconds": round(time.monotonic() - started, 3)}
    step.finish({**metrics, "sources": sources})


def _table(runs: dict[str, Observations], negated: bool) -> pl.DataFrame:
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


def _sections(settings: CurveSettings) -> tuple[TrainSettings, EvaluateSettings]:
    preset = {} if "preset" in settings.train else {"preset": preset_of(settings.model)}
    # asked where and in the form that was trained; the number format is each section's own
    both = {*ModelSettings.model_fields, "prompt_template"} - {"dtype"}
    shared = {name: value for name, value in settings.train.items() if name in both} | {"facts": settings.facts}
    try:
        train = TrainSettings.make(**{**preset, **settings.train, "model": settings.model})
        evaluate = EvaluateSettings.make(**{**shared, **settings.evaluate, "model": settings.model})
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


def _sizes(settings: CurveSettings, most: int) -> tuple[int, ...]:
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
