"""Run a study: probe, base scores, then select, train and evaluate for every cell.

Notable choices
- The study is a step directory like any other; each step within it is one too, so a killed study goes on at the batch
  (or training) it was at when the same command is given again.
- The report is written from the finished step, and again whenever it is missing: a study killed while it is drawn has
  all its numbers.
- The base is loaded once for each number format that the sections ask for; every training starts from it as stored.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from recollect.core.estimates import Estimate
from recollect.core.machine import Machine
from recollect.core.settings import Settings, source_of
from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, is_finished, open_step
from recollect.drift import BaseSide, DriftSettings, read_texts
from recollect.errors import InputError
from recollect.evaluate import EvaluateResult, EvaluateSettings, run_evaluate
from recollect.experiments.study.cells import StudyParts, TrainedCell
from recollect.experiments.study.damage import climbed, measured_drift
from recollect.experiments.study.settings import Choice, StudySettings
from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import LoadedModel, held_for, load, machine_of
from recollect.probe import ProbeResult, ProbeSettings, run_probe
from recollect.restore import LadderSettings
from recollect.select import SelectSettings, run_select
from recollect.shipped import preset_of
from recollect.train import TrainSettings, run_train, training_machine

if TYPE_CHECKING:
    from recollect.report import Results

Section = TypeVar("Section", bound=Settings)
Progress = Callable[[int, int], None]
Stage = Callable[[str, str], AbstractContextManager[Progress | None]]
"""Called with what begins and its unit; gives the progress callback for it."""


@dataclass(frozen=True)
class StudyResult:
    """A finished study: `path` holds report.html, results.json and the tables; `path/steps` the steps."""

    path: Path
    results: Results
    seconds: float

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        from recollect.report import Trained

        trained = self.results.of(Trained) or Trained()
        base = trained.base
        return {
            "report": str(self.report),
            "seconds": self.seconds,
            "base": {
                "macro": _percent(base.test.macro) if base else None,
                "ood_macro": _percent(base.ood.macro) if base and base.ood else None,
            },
            "cells": [
                {
                    "levels": cell.levels,
                    "size": cell.size,
                    "seed": cell.seed,
                    "macro": _percent(cell.test.macro),
                    "macro_low": cell.test.macro.percent[1] if cell.test.macro else None,
                    "macro_high": cell.test.macro.percent[2] if cell.test.macro else None,
                    "ood_macro": _percent(cell.ood.macro) if cell.ood else None,
                }
                for cell in trained.cells
            ],
            "best": trained.best.model_dump(mode="json") if trained.best else None,
            "out": str(self.path),
        }


def _percent(found: Estimate | None) -> float | None:
    return None if found is None else found.percent[0]


def step_settings(settings: StudySettings) -> StudyParts:
    """The settings of each step, with the study's model; a bad value raises InputError before any work."""
    preset = {} if "preset" in settings.train else {"preset": preset_of(settings.model)}
    probe = _section("probe", ProbeSettings, {**settings.probe, "model": settings.model})
    # which model, and where; the number format is each section's own, or a probe in bfloat16 would train in it
    shared = {name: getattr(probe, name) for name in ("revision", "trust_remote_code", "device")}
    evaluate = _section("evaluate", EvaluateSettings, {**shared, **settings.evaluate, "model": settings.model})
    asked = shared | {
        name: getattr(evaluate, name) for name in ("dtype", "max_new_tokens", "prompt_template", "batch_size")
    }
    return StudyParts(
        probe,
        _section("train", TrainSettings, {**shared, **preset, **settings.train, "model": settings.model}),
        evaluate,
        _section("drift", DriftSettings, {"template_file": probe.template_file, **asked, **settings.drift}),
        _section("ladder", LadderSettings, {**asked, "export": "none", **settings.ladder}),
    )


def machines(settings: StudySettings) -> tuple[tuple[str, Machine], ...]:
    """What is done on which device and in which number format, for people to read."""
    parts = step_settings(settings)
    return (
        ("probing", machine_of(parts.probe)),
        ("training", training_machine(parts.train)),
        ("asking", machine_of(parts.evaluate)),
    )


def _section(name: str, kind: type[Section], values: dict[str, Any]) -> Section:
    try:
        return kind.make(**values)
    except InputError as error:
        raise InputError(f"in the study's section {name}: {error}") from None


def _check_parts(parts: StudyParts, facts: FactSet) -> None:
    """Refuse before any work what would leave a study without a training set or a score."""
    counts = facts.counts()
    for name, part, chosen in (("probe", "train", parts.probe.parts), ("evaluate", "test", parts.evaluate.parts)):
        if part not in (entry.strip() for entry in chosen.split(",")):
            raise InputError(f"in the study's section {name}: parts must contain {part}, but got {chosen!r}.")
        if not counts[part]:
            raise InputError(f"a study needs facts in train and test, but the fact set {facts.name!r} has {counts}.")


def run_study(
    settings: StudySettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    stage: Stage | None = None,
    facts: FactSet | None = None,
) -> StudyResult:
    """Run the study, or go on with it, or find it done; `facts` saves reading them again.

    Raises what its steps raise; nothing finished is lost.
    """
    parts = step_settings(settings)
    stage = stage or (lambda what, unit: nullcontext(None))
    sources = {"model": settings.model, "facts": source_of(settings, "facts", facts)}
    facts = facts if facts is not None else load_facts(settings.facts)
    _check_parts(parts, facts)
    relations = read_relations(Path(parts.probe.template_file) if parts.probe.template_file else None)
    templates = fingerprint({name: list(relations[name].templates) for name in facts.relations if name in relations})
    with stage("loading the model", "") as _:
        loaded = load(parts.probe)
    values = settings.model_dump(mode="json", exclude={"model", "facts"})
    inputs = {"model": loaded.fingerprint, "facts": facts.fingerprint(), "templates": templates, **_texts(parts)}
    with open_step("study", values, inputs, out, root) as step:
        if not step.done:
            _work(step, settings, parts, facts, loaded, stage, sources)
    return _with_report(step, stage)


def _with_report(step: Step, stage: Stage) -> StudyResult:
    """The finished study with its page, which is made where it is missing.

    The report is above the experiments and reads their folders; this import, made late, is the only one back.
    """
    from recollect.report import read_results, write_report

    if not (step.path / "report.html").is_file():
        with stage("writing the report", ""):
            write_report(step.path)
    return StudyResult(step.path, read_results(step.path), float(step.metrics["seconds"]))


def _texts(parts: StudyParts) -> dict[str, str]:
    """Fingerprints of the general texts that the sections drift and ladder name, whatever their files are called."""
    named = {"drift_text": parts.drift.text, "ladder_text": parts.ladder.text}
    return {name: fingerprint(read_texts(text)) for name, text in named.items() if text}


def _work(
    step: Step,
    settings: StudySettings,
    parts: StudyParts,
    facts: FactSet,
    loaded: LoadedModel,
    stage: Stage,
    sources: dict[str, str],
) -> None:
    started = time.monotonic()
    steps = step.folder / "steps"
    steps.mkdir(exist_ok=True)
    with stage("probing the base", "prompts") as progress:
        probe = run_probe(parts.probe, facts, steps / "probe", progress=progress, loaded=loaded)
    parts = _with_sources(parts, sources["facts"], probe)
    with stage("asking the base", "questions") as progress:
        asked = held_for(parts.evaluate, loaded)
        run_evaluate(parts.evaluate, facts, probe.levels, out=steps / "base", progress=progress, loaded=asked)
        del asked
    skipped: dict[Choice, set[int]] = {}
    cells: list[TrainedCell] = []
    base_side = BaseSide()
    wanted = list(_cells(settings))
    with stage("training and asking", "models") as progress:
        for done, (choice, size, seed) in enumerate(wanted):
            if progress is not None:
                progress(done, len(wanted))
            cell = _cell(settings, parts, facts, probe, loaded, steps, (choice, size, seed), base_side)
            if cell is None:
                skipped.setdefault(choice, set()).add(size)
            else:
                cells.append(cell)
        if progress is not None:
            progress(len(wanted), len(wanted))
    notes = [_left_out(choice, sizes, probe) for choice, sizes in skipped.items()]
    step.finish(
        {
            "seconds": round(time.monotonic() - started, 3),
            "cells": len(cells),
            "notes": notes,
            "sources": sources,
            "given": sorted(settings.model_fields_set),
            "preset": parts.train.preset,
            "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
            "facts": {"name": facts.name, **facts.counts()},
            "machine": loaded.machine.line(),
        }
    )


def _left_out(choice: Choice, sizes: set[int], probe: ProbeResult) -> str:
    train = probe.levels.filter(part="train")
    count = int((train["level"] == int(choice)).sum()) if choice.isdigit() else len(train)
    named = _named(choice)
    return (
        f"{named[0].upper()}{named[1:]} was left out at {', '.join(f'{size:,}' for size in sorted(sizes))} examples: "
        f"there are only {count:,} such training facts. Choose sizes that fit (--sizes)."
    )


def _cells(settings: StudySettings) -> Iterator[tuple[Choice, int, int]]:
    for seed in settings.seeds:
        for size in sorted(settings.sizes):
            for choice in settings.trained_choices:
                yield choice, size, seed


def _cell(
    settings: StudySettings,
    parts: StudyParts,
    facts: FactSet,
    probe: ProbeResult,
    loaded: LoadedModel,
    steps: Path,
    place: tuple[Choice, int, int],
    base_side: BaseSide,
) -> TrainedCell | None:
    choice, size, seed = place
    name = f"{choice}-{size}-seed{seed}"
    try:
        selection = run_select(
            SelectSettings.make(
                level=choice, size=size, seed=seed, facts=parts.evaluate.facts, levels=parts.evaluate.levels
            ),
            facts,
            probe.levels,
            out=steps / f"select-{name}",
        )
    except InputError:
        shutil.rmtree(steps / f"select-{name}.partial", ignore_errors=True)
        if settings.too_few == "error":
            raise
        return None
    folder = steps / f"train-{name}"
    trained = run_train(_with_seed(parts.train, seed), selection.path, out=folder, base=loaded)
    evaluation = _evaluated(parts, facts, probe, folder, steps / f"evaluate-{name}")
    drift, ladder = None, None
    if settings.measure_drift:
        drift = measured_drift(parts.drift, settings.model, folder, facts, steps / f"drift-{name}", base_side)
    if choice in settings.repair and size == max(settings.sizes):
        ladder = climbed(parts.ladder, settings.model, folder, facts, steps / f"ladder-{name}")
    if not settings.keep_models:
        for file in (folder / "model").glob("*.safetensors"):
            file.unlink()
    return TrainedCell(choice, size, seed, folder, evaluation, trained.found.seconds, drift, ladder)


def _evaluated(parts: StudyParts, facts: FactSet, probe: ProbeResult, folder: Path, out: Path) -> EvaluateResult:
    if is_finished(out):  # its model's weights may be gone by now; the study's fingerprint covers it
        return EvaluateResult(out)
    settings = parts.evaluate.model_copy(update={"model": str(folder)})
    return run_evaluate(settings, facts, probe.levels, out=out, loaded=load(settings))


def _with_sources(parts: StudyParts, facts: str, probe: ProbeResult) -> StudyParts:
    """The parts with the study's facts, and with the probe's levels, which lie in the study's own folder."""
    known = {"facts": facts, "levels": probe.path}
    return replace(
        parts,
        evaluate=parts.evaluate.model_copy(update=known),
        drift=parts.drift.model_copy(update=known),
        ladder=parts.ladder.model_copy(update=known),
    )


def _with_seed(settings: TrainSettings, seed: int) -> TrainSettings:
    return settings.model_copy(update={"seed": seed})


def _named(choice: Choice) -> str:
    return f"level {choice}" if choice.isdigit() else choice


__all__ = ["StudyResult", "machines", "run_study", "step_settings"]
