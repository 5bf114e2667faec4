"""Run a study: probe, base scores, then a cell for every choice, size and seed.

Notable choices
- The study is a step directory like any other; each step within it is one too, so a killed study resumes at the batch
  (or training) it was at when the same command is given again.
- The report is written from the finished step, see `write_page`.
- The base is loaded once for each number format that the sections ask for; every training starts from it as stored.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.chat.asking import chat_input
from recollect.core.settings import source_of
from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, is_finished, open_step
from recollect.core.workspace.experiment import StudyFound
from recollect.drift import read_texts
from recollect.engines import find_engine
from recollect.errors import InputError, RecollectWarning
from recollect.evaluate import EvaluateResult, asked_facts, run_evaluate
from recollect.experiments.cell import Base, Cell, Context, ScoredCell, run_cells, watch_cells
from recollect.experiments.executors import executor_class, make_executor
from recollect.experiments.found import Stage, known, no_stage, unheard, write_page
from recollect.experiments.probed import check_asked_are_probed
from recollect.experiments.study.reuse import Shelf, steps_of
from recollect.experiments.study.settings import Choice, StudyParts, StudySettings
from recollect.experiments.under_way import UNDER_WAY
from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import held_for
from recollect.probe import ProbeResult, choice_inputs, forms_input, run_probe
from recollect.select import SelectSettings, available
from recollect.train.auto import auto_input

if TYPE_CHECKING:
    from recollect.report import Results


@dataclass(frozen=True)
class StudyResult:
    """A finished study: `path` holds report.html, results.json and the tables; `path/steps` the steps."""

    path: Path
    found: StudyFound

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    @cached_property
    def results(self) -> Results:
        """All that the report shows: scores of the base and of every cell, the best choice, drift and more."""
        from recollect.report import read_results

        return read_results(self.path)


def run_study(
    settings: StudySettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    stage: Stage | None = None,
    facts: FactSet | None = None,
    say: Callable[[str], None] = unheard,
) -> StudyResult:
    """Run the study, or resume it, or find it done; `facts` saves reading them again.

    stage: shows what the study is at. say: is told what is to come, in sentences. Raises what its steps raise; nothing
    finished is lost.

    Examples:
        `few` is the folder of a `run_facts` with 40 facts.

        >>> from recollect import StudySettings, run_study
        >>> settings = StudySettings.make(
        ...     facts=str(few), sizes=(4,), choices=("random",), repeats=1, measure_drift=False, repair=(),
        ...     probe={"templates": 1}, train={"preset": "pocket", "max_steps": 1})
        >>> run_study(settings).found.cells
        1
    """
    parts = StudyParts.of(settings)
    stage = stage or no_stage
    executor_class(settings.executor, place := settings.place(Path())).check(place)
    sources = {"model": settings.model, "facts": source_of(settings, "facts", facts)}
    facts = facts if facts is not None else load_facts(settings.facts)
    counts = facts.counts()
    if not counts["train"] or not counts["test"]:
        raise InputError(f"a study needs facts in train and test, but the fact set {facts.name!r} has {counts}.")
    without = "A training and its accuracy without levels: recollect train, then recollect evaluate."
    check_asked_are_probed(asked_facts(parts.evaluate, facts), facts, parts.probe, without)
    relations = read_relations(Path(parts.probe.template_file) if parts.probe.template_file else None)
    templates = fingerprint({name: list(relations[name].templates) for name in facts.relations if name in relations})
    base = Base(parts.probe)
    with stage("loading the model", ""):
        asked = find_engine(parts.probe, base.load())
        parts = parts.in_prompt_of(asked.ref)
        inputs = {
            **asked.inputs,
            **chat_input(parts.train.prompt),
            "facts": facts.fingerprint(),
            "templates": templates,
        }
    inputs |= forms_input(parts.probe) | choice_inputs(facts, parts.probe) | _texts(parts) | auto_input(parts.train)
    with open_step("study", settings, inputs, out, root) as step:
        if not step.done:
            _Study(step, settings, parts, facts, base, stage, say).work(sources)
    write_page(step.path, stage)
    result = StudyResult(step.path, StudyFound.read(step.path))
    if "title" in settings.model_fields_set and (before := result.results.title) != settings.title:
        warnings.warn(f"{step.path} was finished as {before!r}, and keeps that title.", RecollectWarning, stacklevel=2)
    return result


def _texts(parts: StudyParts) -> dict[str, str]:
    """Fingerprints of the general texts that the sections drift and ladder name, whatever their files are called."""
    named = {"drift_text": parts.drift.text, "ladder_text": parts.ladder.text}
    return {name: fingerprint(read_texts(text)) for name, text in named.items() if text}


@dataclass(frozen=True)
class _Study:
    """A study at work."""

    step: Step
    settings: StudySettings
    parts: StudyParts
    facts: FactSet
    base: Base
    stage: Stage
    say: Callable[[str], None]

    def work(self, sources: dict[str, str]) -> None:
        """Probe, ask the base, run the cells, finish."""
        started, steps = time.monotonic(), self.step.folder / "steps"
        steps.mkdir(exist_ok=True)
        shelf = Shelf.beside(self.step, self.step.inputs)
        probed = shelf.take(steps, {"probe": self.parts.probe})
        with self.stage("probing the base", "prompts") as progress:
            probe = run_probe(self.parts.probe, self.facts, steps / "probe", progress=progress, loaded=self.base.load())
        if probe.found.choice is not None:
            self.say(f"the probe chose: {probe.found.choice.words}")
        parts = self.parts.about(sources["facts"], probe.path)
        if probed:
            shelf.take(steps, {"base": parts.evaluate})
        known_before = is_finished(steps / "base")
        with self.stage("asking the base", "questions") as progress:
            asked, asking = held_for(parts.evaluate, self.base.load()), time.monotonic()
            run_evaluate(parts.evaluate, self.facts, probe.levels, out=steps / "base", progress=progress, loaded=asked)
            del asked
        asking_seconds = None if known_before else time.monotonic() - asking
        not_shown = self._ask_with_examples(steps, parts, probe)
        ground = known(self.settings, self.base, self.facts)
        cells, skipped = self._cells(parts, probe)
        keep = self.settings.keep_models
        context = Context(steps, self.base, self.facts, probe.levels, keep_models=keep, told=steps / UNDER_WAY)
        taken = sum(shelf.take(steps, steps_of(cell)) for cell in cells) if probed else 0
        if probed:
            self.say(f"found again in a study beside this one: the probe, and {taken} of {len(cells)} trained models")
        scored = self._run(cells, context, asking_seconds)
        lost = [line for one in scored for line in one.lost]
        self.step.finish(
            StudyFound(
                **ground.model_dump(exclude={"title", "notes", "sources", "seconds"}),
                title=self.settings.title,
                notes=(*(_left_out(*one, probe, self.facts) for one in skipped.items()), *not_shown, *lost),
                sources=sources,
                cells=len(cells),
                preset=parts.train.preset,
                seconds=round(time.monotonic() - started, 3),
            )
        )

    def _ask_with_examples(self, steps: Path, parts: StudyParts, probe: ProbeResult) -> tuple[str, ...]:
        """Ask the base with training facts in its prompt; why not, where they do not fit. Pages go without."""
        shots = self.settings.few_shot
        if not shots or parts.evaluate.shots or EvaluateResult(steps / "base").found.pages is not None:
            return ()
        asked = parts.evaluate.model_copy(update={"shots": shots})
        try:
            with self.stage("asking the base with examples", "questions") as progress:
                held = held_for(asked, self.base.load())
                out = steps / "base-few-shot"
                run_evaluate(asked, self.facts, probe.levels, out=out, progress=progress, loaded=held)
        except InputError as error:
            return (f"The base was not asked with {shots} examples in its prompt: {error}",)
        return ()

    def _cells(self, parts: StudyParts, probe: ProbeResult) -> tuple[list[Cell], dict[Choice, list[int]]]:
        """The cells in the order of work, and the sizes that a choice has too few facts for."""
        settings, cells, skipped = self.settings, [], dict[Choice, list[int]]()
        for seed in settings.seeds:
            for size in sorted(settings.sizes):
                for choice in settings.trained_choices:
                    if settings.too_few == "error" or available(self.facts, probe.levels, choice) >= size:
                        cells.append(self._cell(parts, choice, size, seed))
                    elif size not in (left := skipped.setdefault(choice, [])):
                        left.append(size)
        return cells, skipped

    def _cell(self, parts: StudyParts, choice: Choice, size: int, seed: int) -> Cell:
        settings, where = self.settings, {"facts": parts.evaluate.facts, "levels": parts.evaluate.levels}
        repaired = choice in settings.repair and size == max(settings.sizes)
        return Cell(
            name=f"{{step}}-{choice}-{size}-seed{seed}",
            select=SelectSettings.make(level=choice, size=size, seed=seed, **where),
            train=parts.train.model_copy(update={"seed": seed}),
            evaluate=parts.evaluate,
            drift=parts.drift if settings.measure_drift else None,
            ladder=parts.ladder if repaired else None,
        )

    def _run(self, cells: list[Cell], context: Context, asking_seconds: float | None) -> list[ScoredCell]:
        place = self.settings.place(self.step.folder)
        with make_executor(self.settings.executor, context, place) as executor:
            if not executor.in_process:
                self.base.release()
            with watch_cells(context, cells, executor.slots, asking_seconds) as remaining:
                self.say(remaining.plan())
                with self.stage("training and asking", "models", remaining.detail) as progress:
                    return run_cells(executor, cells, progress)


def _left_out(choice: Choice, sizes: list[int], probe: ProbeResult, facts: FactSet) -> str:
    named = f"level {choice}" if choice.isdigit() else choice
    there = available(facts, probe.levels, choice)
    return (
        f"{named[0].upper()}{named[1:]} was left out at {', '.join(f'{size:,}' for size in sorted(sizes))} examples: "
        f"there are only {there:,} such training facts. Choose sizes that fit (--sizes)."
    )
