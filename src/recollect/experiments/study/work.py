"""A study at work, phase by phase: probe the base, ask it, ask it with examples, run the cells, curve, search, finish.

Notable choices
- Each phase finds what is finished, in this study or one around it, and does the rest: so a killed study resumes, and
  one that was finished before but for something is repaired, by the same command.
- What fails in a cell is stored and the others go on; what fails before the cells ends the study.
- The base is loaded once for each number format that the sections ask for; every training starts from it as stored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from recollect.core.numbers import many
from recollect.core.workspace import Step, is_finished, lending
from recollect.core.workspace.experiment import ExperimentFound, Failed, StudyFound, by_reason
from recollect.errors import InputError
from recollect.evaluate import EvaluateResult, run_evaluate
from recollect.experiments.attempts import Attempts, FailedCell, Outcome, as_failed, attempt_cells
from recollect.experiments.base import Base
from recollect.experiments.cell import Cell, Context, there, watch_cells
from recollect.experiments.found import Stage, known
from recollect.experiments.many import CellExecutor, cell_executor
from recollect.experiments.probed import Probed
from recollect.experiments.study.extras import OWN, run_extras
from recollect.experiments.study.missing import STEPS, drop_damaged
from recollect.experiments.study.pages import NOTE
from recollect.experiments.study.reuse import Known, Shelf
from recollect.experiments.study.settings import Choice, StudyParts, StudySettings
from recollect.experiments.under_way import UNDER_WAY
from recollect.facts import FactSet
from recollect.hidden import HiddenSettings, run_hidden
from recollect.models import held_for
from recollect.probe import run_probe
from recollect.select import SelectSettings, available

_ONCE = {
    "probe": "the probe",
    "base": "the base's answers",
    "base-few-shot": "its answers with examples",
    "hidden": "level 0 split",
}
_FOR_EACH = {
    "select": "selection",
    "train": "training",
    "evaluate": "evaluation",
    "drift": "comparison",
    "ladder": "ladder",
}


@dataclass
class Counted:
    """How many step folders a study wants, and how many of them were there before its work, here or elsewhere."""

    wanted: int = 0
    reused: int = 0

    def add(self, wanted: int, reused: int) -> None:
        """Count some more."""
        self.wanted, self.reused = self.wanted + wanted, self.reused + reused


@dataclass(frozen=True)
class Study:
    """A study at work."""

    step: Step
    settings: StudySettings
    parts: StudyParts
    """Its sections; of the steps that need the levels only after the probe."""
    facts: FactSet
    base: Base
    sources: dict[str, str]
    """Where model and facts came from."""
    stage: Stage
    say: Callable[[str], None]
    counted: Counted = field(default_factory=Counted)
    pages: bool = False
    """Whether the facts are product pages, which have no memory levels."""

    @property
    def steps(self) -> Path:
        """The folder of its steps."""
        return self.step.folder / STEPS

    @cached_property
    def shelf(self) -> Shelf:
        """The studies around it."""
        return Shelf.around(self.step)

    def work(self) -> None:
        """All phases."""
        started = time.monotonic()
        with self.stage("loading the model", ""):
            self.base.load()
        self.steps.mkdir(exist_ok=True)
        drop_damaged(self.steps, self.say)
        with lending(self.shelf.lend):
            probe = self.probe_base()
            parts = self.parts.about(self.sources["facts"], probe.path)
            seconds = self.ask_base(parts, probe)
            not_shown = (*self.split_level_0(probe), *self.ask_with_examples(parts, probe))
        cells, skipped = self.cells(parts, probe)
        self.take(cells)
        left_out = [note_left_out(*one, probe, self.facts) for one in skipped.items()]
        ground = known(self.settings, self.base, self.facts)
        outcomes = self.run(cells, probe, seconds)
        failed = [as_failed(one, self.steps) for one in outcomes if isinstance(one, FailedCell)]
        lost = [line for one in outcomes if not isinstance(one, FailedCell) for line in one.lost]
        failed += run_extras(self, probe)
        self.finish(ground, failed, (*left_out, *not_shown, *failure_notes(failed), *lost), len(outcomes), started)

    def probe_base(self) -> Probed:
        """The base's memory levels; of pages there are none."""
        if self.pages:
            return Probed()
        out = self.steps / "probe"
        before = is_finished(out)
        with self.stage("probing the base", "prompts") as progress:
            loaded = self.base.load()
            probe = run_probe(self.parts.probe, self.facts, out, progress=progress, loaded=loaded)
        self.count(out, before)
        if probe.found.choice is not None:
            self.say(f"the probe chose: {probe.found.choice.words}")
        return Probed(probe.path, probe.levels)

    def ask_base(self, parts: StudyParts, probe: Probed) -> float | None:
        """The base's answers, and how long they took; None where they were there."""
        out, started = self.steps / "base", time.monotonic()
        before = is_finished(out)
        with self.stage("asking the base", "questions") as progress:
            loaded = held_for(parts.evaluate, self.base.load())
            run_evaluate(parts.evaluate, self.facts, probe.levels, out=out, progress=progress, loaded=loaded)
            del loaded
        return None if self.count(out, before) else time.monotonic() - started

    def ask_with_examples(self, parts: StudyParts, probe: Probed) -> tuple[str, ...]:
        """Ask the base with training facts in its prompt; why not, where they do not fit. Pages go without."""
        shots = self.settings.few_shot
        if not shots or parts.evaluate.shots or EvaluateResult(self.steps / "base").found.pages is not None:
            return ()
        asked, out = parts.evaluate.model_copy(update={"shots": shots}), self.steps / "base-few-shot"
        before = is_finished(out)
        try:
            with self.stage("asking the base with examples", "questions") as progress:
                held = held_for(asked, self.base.load())
                run_evaluate(asked, self.facts, probe.levels, out=out, progress=progress, loaded=held)
        except InputError as error:
            return (f"The base was not asked with {shots} examples in its prompt: {error}",)
        self.count(out, before)
        return ()

    def split_level_0(self, probe: Probed) -> tuple[str, ...]:
        """Which facts of level 0 are hidden, where that is asked for; why not, where it cannot be told."""
        if not self.settings.measure_hidden or probe.path is None:
            return ()
        out = self.steps / "hidden"
        before = is_finished(out)
        try:
            with self.stage("ranking the answers of level 0", "answers") as progress:
                asked, loaded = HiddenSettings.of_probe(self.parts.probe, probe.path), self.base.load()
                run_hidden(asked, self.facts, probe.levels, out, progress=progress, loaded=loaded)
        except InputError as error:
            return (f"Level 0 was not split into hidden and absent: {error}",)
        self.count(out, before)
        return ()

    def count(self, out: Path, before: bool) -> bool:
        """Count one step that is finished now; whether it was there, or was lent."""
        reused = before or out.name in self.shelf.lent
        self.counted.add(1, int(reused))
        return reused

    def cells(self, parts: StudyParts, probe: Probed) -> tuple[list[Cell], dict[Choice, list[int]]]:
        """The cells in the order of work, and the sizes that a choice has too few facts for."""
        return cells_of(self.settings, parts, lambda choice: available(self.facts, probe.levels, choice))

    def take(self, cells: list[Cell]) -> None:
        """Copy what the studies around this one have of the cells; count what is there."""
        steps, shelf = self.steps, self.shelf if self.pages else self.shelf.with_probe(self.steps / "probe")
        if cells and shelf.folders:
            for cell in cells:  # the ladder is not in all of them
                known = Known.of(cell, steps / "base", self.step.inputs["model"])
                shelf.take(cell, steps, known, self.settings.keep_models)
        found = [there(steps, cell) for cell in cells]
        self.counted.add(sum(len(cell.steps) for cell in cells), sum(map(len, found)))
        if lent := self.shelf.lent:
            whole = sum(len(one) == len(cell.steps) for one, cell in zip(found, cells, strict=True))
            ours = f"{len(lent)} of {self.counted.wanted:,} steps ({in_words(lent)})"
            models = f"{whole} of {len(cells)} trained models with all that is asked of them"
            self.say(f"found again in a study beside this one: {ours}; {models}")

    def run(self, cells: list[Cell], probe: Probed, asking_seconds: float | None) -> list[Outcome]:
        """Train and measure what is not there."""
        steps, keep = self.steps, self.settings.keep_models
        context = Context(steps, self.base, self.facts, probe.levels, keep_models=keep, told=steps / UNDER_WAY)
        place = self.settings.place(self.step.folder)
        alone, name = self.settings.one_by_one, self.settings.executor
        with cell_executor(name, Attempts(context), place, alone, self.say) as executor:
            if not executor.in_process:
                self.base.release()
            with watch_cells(context, cells, lambda: executor.slots, asking_seconds) as remaining:
                if isinstance(executor, CellExecutor):
                    executor.expect(cells, remaining)
                if to_come := remaining.plan():
                    self.say(to_come)
                with self.stage("training and asking", "models", remaining.detail) as progress:
                    return attempt_cells(executor, cells, progress)

    def finish(
        self, ground: ExperimentFound, failed: list[Failed], notes: tuple[str, ...], cells: int, started: float
    ) -> None:
        """Store what was found; `cells` are those that were tried."""
        for one in failed:
            self.say(f"failed: {one.name}: {one.reason}")
        self.step.finish(
            StudyFound(
                **ground.model_dump(exclude={"title", "notes", "sources", "seconds"}),
                title=self.settings.title,
                notes=(NOTE, *notes) if self.pages else notes,
                sources=self.sources,
                cells=cells - sum(one.name not in OWN for one in failed),
                preset=self.parts.train.preset,
                seconds=round(time.monotonic() - started, 3),
                steps=self.counted.wanted,
                reused=self.counted.reused,
                failed=tuple(failed),
            )
        )


def cells_of(
    settings: StudySettings, parts: StudyParts, there_are: Callable[[Choice], int]
) -> tuple[list[Cell], dict[Choice, list[int]]]:
    """The cells of a study in the order of work, and the sizes that a choice has too few facts for.

    there_are: how many training facts a choice has.
    """
    cells, skipped = [], dict[Choice, list[int]]()
    for seed in settings.seeds:
        for size in sorted(settings.sizes):
            for choice in settings.trained_choices:
                if settings.too_few == "error" or there_are(choice) >= size:
                    cells.append(_cell(settings, parts, choice, size, seed))
                elif size not in (left := skipped.setdefault(choice, [])):
                    left.append(size)
    return cells, skipped


def _cell(settings: StudySettings, parts: StudyParts, choice: Choice, size: int, seed: int) -> Cell:
    where = {"facts": parts.evaluate.facts, "levels": parts.evaluate.levels}
    repaired = choice in settings.repair and size == max(settings.sizes)
    return Cell(
        name=f"{{step}}-{choice}-{size}-seed{seed}",
        select=SelectSettings.make(level=choice, size=size, seed=seed, **where),
        train=parts.train.model_copy(update={"seed": seed}),
        evaluate=parts.evaluate,
        drift=parts.drift if settings.measure_drift else None,
        ladder=parts.ladder if repaired else None,
    )


def in_words(steps: Iterable[str]) -> str:
    """Step folders by their kinds: "the probe, the base's answers, 16 selections"."""
    names = list(steps)
    kinds = Counter(name.partition("-")[0] for name in names if name not in _ONCE)
    of_each = [many(count, _FOR_EACH.get(kind, kind)) for kind, count in kinds.items()]
    return ", ".join([*(said for name, said in _ONCE.items() if name in names), *of_each])


def failure_notes(failed: Iterable[Failed]) -> list[str]:
    """What failed, once for each reason."""
    return [
        f"{', '.join(names)} failed, and what they found is not among the results: {reason}"
        if len(names) > 1
        else f"{names[0]} failed and is not among the results: {reason}"
        for reason, names in by_reason(failed).items()
    ]


def note_left_out(choice: Choice, sizes: list[int], probe: Probed, facts: FactSet) -> str:
    named = f"level {choice}" if choice.isdigit() else choice
    there_are = available(facts, probe.levels, choice)
    return (
        f"{named[0].upper()}{named[1:]} was left out at {', '.join(f'{size:,}' for size in sorted(sizes))} examples: "
        f"there are only {there_are:,} such training facts. Choose sizes that fit (--sizes)."
    )
