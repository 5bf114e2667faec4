"""The plan of a study: its probe, what the base is asked, and every cell with its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from recollect.core.settings import Settings
from recollect.core.workspace import DEFAULT_ROOT
from recollect.core.workspace.experiment import STUDIES
from recollect.drift.compare import KNOWN
from recollect.drift.tokens import general_text
from recollect.errors import ModelError
from recollect.experiments.cell import Cell
from recollect.experiments.plan.calibrate import Rates, Trial
from recollect.experiments.plan.counts import asked_count, base_tokens, longest_answer, probe_rows, probed_facts
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import (
    Ground,
    Item,
    Shared,
    Sizes,
    Within,
    made,
    side_by_side,
    summed,
    with_lengths,
)
from recollect.experiments.plan.known import KnownFacts, know_facts, know_model
from recollect.experiments.plan.memory import (
    Asked,
    Stored,
    asking_bytes,
    cell_bytes,
    held_now,
    stored_bytes,
    weights_kept,
)
from recollect.experiments.plan.sections import with_sections
from recollect.experiments.plan.there import There, earlier_choice, there_for
from recollect.experiments.plan.work import (
    Draws,
    Work,
    asking_work,
    assumed_draws,
    drift_work,
    hidden_work,
    ladder_work,
    probe_work,
    train_work,
)
from recollect.experiments.study.grid import cannot_be_done, grid_parts
from recollect.experiments.study.pages import are_pages, for_pages
from recollect.experiments.study.settings import Choice, StudyParts, StudySettings
from recollect.experiments.study.work import cells_of
from recollect.hidden import HiddenSettings
from recollect.models import machine_of
from recollect.select import available, read_levels

_KNOWN_SHARE = 1 / 3
"""Of the facts asked, those that a base is assumed to know where no probe says it."""
_CHARACTERS = 4
"""Of a token, in general text."""


def plan_study(
    settings: StudySettings, out: Path | None = None, root: Path = DEFAULT_ROOT, assume: Assume | None = None
) -> Plan:
    """What the study would do. Nothing is written but a training of a few updates in a temporary folder.

    Raises InputError for facts that are not here and not counted, ModelError for a broken model.

    Examples:
        >>> from recollect import StudySettings
        >>> from recollect.experiments.plan import Assume, plan_study
        >>> settings = StudySettings.make(sizes=(15,), choices=("random",), repeats=1, train={"preset": "pocket"})
        >>> plan = plan_study(settings, assume=Assume(calibrate=False))
        >>> plan.steps, plan.training_steps
        (8, 2)
    """
    assume = assume or Assume()
    if settings.is_grid:
        return _plan_grid(settings, out, root, assume)
    return _plan_part(settings, out, root, assume, Shared())


def _plan_grid(settings: StudySettings, out: Path | None, root: Path, assume: Assume) -> Plan:
    """The sum over the parts; what one part makes, the next ones take."""
    shared = Shared()
    plans: dict[str, Plan] = {}
    lost: dict[str, ModelError] = {}
    parts = grid_parts(settings)
    for part in parts:
        place = None if out is None else out / STUDIES / part.name
        try:
            plans[part.name] = _plan_part(part.settings, place, root, assume, shared)
        except ModelError as error:
            lost[part.name] = error
    if not plans:
        raise next(iter(lost.values()))
    found = summed(plans)
    return found.model_copy(update={"missing": (*cannot_be_done(lost, len(parts)), *found.missing)})


def _plan_part(settings: StudySettings, out: Path | None, root: Path, assume: Assume, shared: Shared) -> Plan:
    facts = know_facts(settings.facts, assume.facts_count)
    pages = facts.facts is not None and are_pages(settings, facts.facts)
    settings = for_pages(settings) if pages else settings
    parts = StudyParts.of(settings)
    parts = parts.for_pages() if pages else parts
    model = know_model(parts.probe, assume.parameters)
    if model.ref is not None:
        parts = parts.in_prompt_of(model.ref)
    ground = Ground(model, facts, machine_of(parts.probe), assume, notes=(model.said, facts.said))
    ground = with_lengths(ground, None if pages else parts.probe, parts.evaluate)
    inputs = None
    if model.ref is not None and facts.facts is not None:
        inputs = {"model": model.ref.fingerprint, "facts": facts.facts.fingerprint()}
    there = There() if inputs is None else there_for(out, root, "study", inputs)
    planning = _Planning(settings, parts, ground, there, shared, pages)
    plan = planning.plan()
    folders = there.folders[: there.own]
    within = Within(ground, shared, planning.levels, pages, folders, begun=plan.there < plan.steps)
    return with_sections(plan, settings, within)


@dataclass(frozen=True)
class _Planning:
    settings: StudySettings
    parts: StudyParts
    ground: Ground
    there: There
    shared: Shared
    pages: bool = False
    """Nothing is probed."""

    def plan(self) -> Plan:
        """Count, measure, and put together."""
        memory = self._memory()
        rates, notes = self._rates(memory)
        items = self._items(rates)
        settings = self.settings
        slots, said = side_by_side(
            settings.executor, settings.workers, self.ground.machine, self.ground.assume, settings.address is not None
        )
        notes = [*notes, self.draws.said if not self._probed else "", self._of_levels(), said]
        return made(self.ground, items, self._sizes(memory, items), rates, notes, slots)

    def _rates(self, memory: int | None) -> tuple[Rates | None, list[str]]:
        """Measured once for all parts with the same model, probe and training."""
        if self._done():
            return Rates(), []
        return self.shared.measured(self.ground, self._trial(), memory, self.parts.probe.max_new_tokens)

    def _done(self) -> bool:
        """Whether nothing is left that would have to be measured."""
        shots, evaluate = self.settings.few_shot, self.parts.evaluate
        asked = evaluate.model_copy(update={"shots": shots})
        if not self._there("base", evaluate) or (
            shots and not evaluate.shots and not self._there("base-few-shot", asked)
        ):
            return False
        split = HiddenSettings.of_probe(self.parts.probe, Path())
        if self.settings.measure_hidden and not self._there("hidden", split):
            return False
        return all(len(self._of_probe.cell(_named(cell))) == len(cell.steps) for cell in self.cells)

    @property
    def facts(self) -> KnownFacts:
        """The facts, or how many."""
        return self.ground.facts

    @cached_property
    def probed(self) -> int:
        """How many facts are probed."""
        if self.pages:
            return 0
        return probed_facts(self.parts.probe, self.facts)

    @cached_property
    def draws(self) -> Draws:
        """How the probe draws, as far as can be told."""
        probes = [folder / "probe" for folder in self.there.folders]
        return assumed_draws(self.parts.probe, self.probed, earlier_choice(probes, self.there.base))

    @cached_property
    def _probe_folder(self) -> Path | None:
        return self.there.find("probe", self.parts.probe)

    @property
    def _probed(self) -> bool:
        return self.pages or self._probe_folder is not None

    @cached_property
    def levels(self) -> pl.DataFrame | None:
        """Of the probe, where it is there."""
        return None if self.pages or self._probe_folder is None else read_levels(self._probe_folder / "probe")

    def _trial(self) -> Trial | None:
        facts = self.facts.facts
        if facts is None or self.ground.model.ref is None or not facts.part("train"):
            return None
        settings = self.settings
        return Trial(
            self.parts.probe,
            facts,
            probe=None if self._probed else self.parts.probe,
            train=self.parts.train,
            asking=self.parts.evaluate,
            compares=settings.measure_drift or bool(settings.repair),
        )

    def _items(self, rates: Rates | None) -> list[Item]:
        parts, lengths = self.parts, self.ground.lengths
        evaluate = parts.evaluate
        asked = asked_count(evaluate, self.facts, evaluate.limit)
        longest = longest_answer(evaluate, lengths)
        base = asking_work(asked, lengths, base_tokens(evaluate, rates, lengths)) + Work(loads=1)
        probe = probe_work(parts.probe, self.probed, lengths, self.draws)
        items = [] if self.pages else [self._once("probe", parts.probe, "probe", probe)]
        items.append(self._once("base", evaluate, "base asked", base))
        if self.settings.measure_hidden:
            items.append(self._ranked())
        if (shots := self.settings.few_shot) and not evaluate.shots:
            told, with_examples = asking_work(asked, lengths, longest, shots), "base asked with examples"
            items.append(self._once("base-few-shot", evaluate.model_copy(update={"shots": shots}), with_examples, told))
        first = True
        for cell in self.cells:
            there = self._of_probe.cell(_named(cell))
            for kind, name in zip(cell.steps, _named(cell), strict=True):
                work = self._work(kind, cell, asked)
                if kind == "drift" and first and name not in there:
                    first = False
                    work += self._base_read()
                items.append(Item(_NAMES.get(kind, kind), work, name in there, at_once=True))
        return items

    def _ranked(self) -> Item:
        """Level 0 split; where no probe says how many facts are there, as many as the base is assumed not to know."""
        settings = HiddenSettings.of_probe(self.parts.probe, Path())
        zero = (
            (1 - _KNOWN_SHARE) * self.probed if self.levels is None else self.levels.filter(pl.col("level") == 0).height
        )
        return self._once("hidden", settings, "level 0 split", hidden_work(settings, zero, self.ground.lengths))

    def _once(self, name: str, settings: Settings, what: str, work: Work) -> Item:
        """A step that all methods of a grid have in common: the first one does it."""
        whose = (self.ground.model.name, self.settings.facts, self.parts.probe.fingerprint_values())
        first = self.shared.first(name, whose, settings.fingerprint_values())
        return Item(what, work if first else Work(), self._there(name, settings))

    def _there(self, name: str, settings: Settings) -> bool:
        return self._of_probe.find(name, settings) is not None

    @cached_property
    def _of_probe(self) -> There:
        """The studies with our probe; what others have is of other levels."""
        return self.there if self.pages else self.there.with_step("probe", self.parts.probe)

    def _work(self, kind: str, cell: Cell, asked: int) -> Work:
        parts, lengths = self.parts, self.ground.lengths
        if kind == "train":
            assert isinstance(cell.select.size, int)
            return train_work(parts.train, cell.select.size, lengths)
        if kind == "evaluate":
            return asking_work(asked, lengths) + Work(loads=1)
        model = self.ground.model
        if kind == "drift":
            weights = model.weights(parts.drift.region)
            count, text = self._drift_counts()
            tokens = drift_work(count, self._known(count), text, weights, lengths)
            return tokens if parts.drift.tokens else Work(weights=weights)
        if kind == "ladder":
            count = asked_count(None, self.facts, parts.ladder.limit)
            weights = model.weights(parts.ladder.region)
            return ladder_work(parts.ladder, count, self._text(parts.ladder), weights, lengths)
        return Work()

    def _base_read(self) -> Work:
        if not self.parts.drift.tokens:
            return Work()
        count, text = self._drift_counts()
        lengths = self.ground.lengths
        return Work(read=2 * (count * (lengths.question + lengths.answer) + text), loads=1) + asking_work(
            self._known(count), lengths
        )

    def _drift_counts(self) -> tuple[int, int]:
        return asked_count(None, self.facts, self.parts.drift.limit), self._text(self.parts.drift)

    def _known(self, asked: int) -> int:
        if self.levels is None:
            return round(asked * _KNOWN_SHARE)
        parts = self.levels.filter(pl.col("level").is_in(KNOWN) & pl.col("part").is_in(["test", "ood"]))
        return min(parts.height, asked)

    def _text(self, settings: object) -> int:
        """Tokens of the general text that a drift or a rung reads."""
        from recollect.drift.settings import AskSettings

        assert isinstance(settings, AskSettings)
        if self.ground.model.ref is None:
            return settings.text_tokens if settings.text else 0
        characters = sum(map(len, general_text(settings, self.settings.model)))
        return min(settings.text_tokens, characters // _CHARACTERS)

    @cached_property
    def cells(self) -> list[Cell]:
        """Those that would be run."""
        return cells_of(self.settings, self.parts, self._there_are)[0]

    def _there_are(self, choice: Choice) -> int:
        facts = self.facts.facts
        if facts is not None and (self.levels is not None or choice == "random"):
            return available(facts, self.levels, choice)
        return self.facts.counts["train"]

    def _of_levels(self) -> str:
        chosen = [choice for choice in self.settings.trained_choices if choice != "random"]
        if self._probed or not chosen or self.settings.too_few == "error":
            return ""
        return (
            "which memory levels have enough facts is known after the probe: all choices are assumed to have them, so "
            "that this is the most there can be"
        )

    def _memory(self) -> int | None:
        """The most at one time: the base in memory, and beside it the training, or what it is asked."""
        model, parts, machine = self.ground.model, self.parts, self.ground.machine
        lengths = self.ground.lengths
        if self.pages:
            return cell_bytes(model, parts.train, parts.evaluate, lengths.question + lengths.answer)
        drawn = Asked(probe_rows(parts.probe, model.vocabulary), lengths.prompt + parts.probe.max_new_tokens)
        probing = asking_bytes(model, machine, drawn)
        cell = cell_bytes(model, parts.train, parts.evaluate, lengths.question + lengths.answer)
        return None if probing is None or cell is None else max(held_now(machine) + probing, cell)

    def _sizes(self, memory: int | None, items: Sequence[Item]) -> Sizes:
        left = [item for item in items if not item.there]
        weights = stored_bytes(self.ground.model, self.parts.train)
        if weights is None:
            return Sizes(memory, None)
        work = Work.total([item.work for item in left])
        kept = weights_kept(weights, round(work.trainings), self.settings.keep_models)
        probing = 0 if self._probed else self.probed
        texts = work.completions if self.parts.probe.keep_text else 0.0
        one = Stored(texts, probing, work.questions, work.compared, len(left), min(1, len(left)), kept)
        return Sizes(memory, one.bytes, 0 if self.settings.keep_models else kept)


def _named(cell: Cell) -> dict[str, Settings]:
    """The steps of a cell by the names of their folders."""
    return {cell.path(Path(), kind).name: settings for kind, settings in cell.steps.items()}


_NAMES = {
    "select": "selections",
    "train": "trainings",
    "evaluate": "models asked",
    "drift": "compared with the base",
    "ladder": "ladders",
}
