"""The plan of a study: its probe, what the base is asked, and every cell with its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from recollect.core.settings import Settings
from recollect.core.workspace import DEFAULT_ROOT
from recollect.drift.compare import KNOWN
from recollect.drift.tokens import general_text
from recollect.evaluate import EvaluateSettings
from recollect.experiments.plan.calibrate import Rates, Trial
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import Ground, Item, Sizes, made, side_by_side, with_lengths
from recollect.experiments.plan.known import KnownFacts, know_facts, know_model
from recollect.experiments.plan.memory import Asked, Stored, asking_bytes, cell_bytes, held_now, stored_bytes
from recollect.experiments.plan.there import There, around, there_for
from recollect.experiments.plan.work import (
    Draws,
    Lengths,
    Work,
    asking_work,
    assumed_draws,
    drift_work,
    hidden_work,
    ladder_work,
    probe_work,
    train_work,
)
from recollect.experiments.study.settings import Choice, StudyParts, StudySettings
from recollect.hidden import HiddenSettings
from recollect.models import machine_of
from recollect.probe import ProbeSettings, chosen_facts
from recollect.select import SelectSettings, available, read_levels

_KNOWN_SHARE = 1 / 3
"""Of the facts asked, those that a base is assumed to know where no probe says it."""
_CHARACTERS = 4
"""Of a token, in general text."""


@dataclass(frozen=True)
class _Cell:
    name: str
    steps: Mapping[str, Settings]
    size: int
    ladder: bool


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
    assume, parts = assume or Assume(), StudyParts.of(settings)
    model, facts = know_model(parts.probe, assume.parameters), know_facts(settings.facts, assume.facts_count)
    if model.ref is not None:
        parts = parts.in_prompt_of(model.ref)
    ground = Ground(model, facts, machine_of(parts.probe), assume, notes=(model.said, facts.said))
    ground = with_lengths(ground, parts.probe, parts.evaluate)
    inputs = None
    if model.ref is not None and facts.facts is not None:
        inputs = {"model": model.ref.fingerprint, "facts": facts.facts.fingerprint()}
    there = There() if inputs is None else there_for(around(out, root), "study", inputs)
    return _Planning(settings, parts, ground, there).plan()


@dataclass(frozen=True)
class _Planning:
    settings: StudySettings
    parts: StudyParts
    ground: Ground
    there: There

    def plan(self) -> Plan:
        """Count, measure, and put together."""
        memory = self._memory()
        rates, notes = self.ground.rates(self._trial(), memory, self.parts.probe.max_new_tokens)
        items = self._items(rates)
        settings = self.settings
        slots, said = side_by_side(
            settings.executor, settings.workers, self.ground.machine, self.ground.assume, settings.address is not None
        )
        notes = [*notes, self.draws.said if not self._probed else "", self._of_levels(), said]
        return made(self.ground, items, Sizes(memory, self._disk(items)), rates, notes, slots)

    @property
    def facts(self) -> KnownFacts:
        """The facts, or how many."""
        return self.ground.facts

    @cached_property
    def probed(self) -> int:
        """How many facts are probed."""
        return probed_facts(self.parts.probe, self.facts)

    @cached_property
    def draws(self) -> Draws:
        """How the probe draws, as far as can be told."""
        return assumed_draws(self.parts.probe, self.probed)

    @cached_property
    def _probe_folder(self) -> Path | None:
        return self.there.find({"probe": self.parts.probe})

    @property
    def _probed(self) -> bool:
        return self._probe_folder is not None

    @cached_property
    def levels(self) -> pl.DataFrame | None:
        """Of the probe, where it is there."""
        return None if self._probe_folder is None else read_levels(self._probe_folder / "probe")

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
        items = [
            Item("probe", probe_work(parts.probe, self.probed, lengths, self.draws), self._probed),
            Item("base asked", base, self._there("base", evaluate)),
        ]
        if self.settings.measure_hidden:
            items.append(self._ranked())
        if (shots := self.settings.few_shot) and not evaluate.shots:
            known = self._there("base-few-shot", evaluate.model_copy(update={"shots": shots}))
            items.append(Item("base asked with examples", asking_work(asked, lengths, longest, shots), known))
        first = True
        for cell in self._cells():
            there = self._cell_there(cell)
            for name in cell.steps:
                kind = name.partition("-")[0]
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
        return Item("level 0 split", hidden_work(settings, zero, self.ground.lengths), self._there("hidden", settings))

    def _there(self, name: str, settings: Settings) -> bool:
        return self._probed and self.there.find({name: settings}) is not None

    def _cell_there(self, cell: _Cell) -> set[str]:
        """A cell is taken whole from beside, and step by step where it is the study's own."""
        return set(self.there.count(cell.steps)) if self._probed else set()

    def _work(self, kind: str, cell: _Cell, asked: int) -> Work:
        parts, lengths = self.parts, self.ground.lengths
        if kind == "train":
            return train_work(parts.train, cell.size, lengths)
        if kind == "evaluate":
            return asking_work(asked, lengths) + Work(loads=1)
        weights = float(self.ground.model.parameters or 0)
        if kind == "drift":
            count, text = self._drift_counts()
            tokens = drift_work(count, self._known(count), text, weights, lengths)
            return tokens if parts.drift.tokens else Work(weights=weights)
        if kind == "ladder":
            count = asked_count(None, self.facts, parts.ladder.limit)
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

    def _cells(self) -> list[_Cell]:
        settings, found = self.settings, []
        for seed in settings.seeds:
            for size in sorted(settings.sizes):
                for choice in settings.trained_choices:
                    if settings.too_few == "error" or self._enough(choice, size):
                        found.append(self._cell(choice, size, seed))
        return found

    def _enough(self, choice: Choice, size: int) -> bool:
        facts = self.facts.facts
        if facts is not None and (self.levels is not None or choice == "random"):
            return available(facts, self.levels, choice) >= size
        return self.facts.counts["train"] >= size

    def _cell(self, choice: Choice, size: int, seed: int) -> _Cell:
        settings, parts = self.settings, self.parts
        climbs = choice in settings.repair and size == max(settings.sizes)
        wanted: dict[str, Settings | None] = {
            "select": SelectSettings.make(level=choice, size=size, seed=seed),
            "train": parts.train.model_copy(update={"seed": seed}),
            "evaluate": parts.evaluate,
            "drift": parts.drift if settings.measure_drift else None,
            "ladder": parts.ladder if climbs else None,
        }
        name = f"{choice}-{size}-seed{seed}"
        steps = {f"{step}-{name}": one for step, one in wanted.items() if one is not None}
        return _Cell(name, steps, size, climbs)

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
        drawn = Asked(probe_rows(parts.probe, model.vocabulary), lengths.prompt + parts.probe.max_new_tokens)
        probing = asking_bytes(model, machine, drawn)
        cell = cell_bytes(model, parts.train, parts.evaluate, lengths.question + lengths.answer)
        return None if probing is None or cell is None else max(held_now(machine) + probing, cell)

    def _disk(self, items: Sequence[Item]) -> int | None:
        left = [item for item in items if not item.there]
        weights = stored_bytes(self.ground.model, self.parts.train)
        if weights is None:
            return None
        work = Work.total([item.work for item in left])
        trainings = round(work.trainings)
        kept = trainings if self.settings.keep_models else min(1, trainings)
        probing = 0 if self._probed else self.probed
        texts = work.completions if self.parts.probe.keep_text else 0.0
        one = Stored(texts, probing, work.questions, work.compared, len(left), min(1, len(left)), kept * weights)
        return one.bytes


_NAMES = {
    "select": "selections",
    "train": "trainings",
    "evaluate": "models asked",
    "drift": "compared with the base",
    "ladder": "ladders",
}


def longest_answer(settings: EvaluateSettings, lengths: Lengths) -> float:
    """Tokens that an answer may have."""
    return lengths.answer + 8 if settings.max_new_tokens == "auto" else float(settings.max_new_tokens)


def base_tokens(settings: EvaluateSettings, rates: Rates | None, lengths: Lengths) -> float:
    """Tokens of the untouched base's answers: as measured, else as long as they may be, since it was taught no end."""
    known = None if rates is None else rates.base_answer
    return longest_answer(settings, lengths) if known is None else known


def probed_facts(settings: ProbeSettings, facts: KnownFacts) -> int:
    """How many facts a probe grades."""
    if facts.facts is not None:
        return len(chosen_facts(facts.facts, settings))
    wanted = [part.strip() for part in settings.parts.split(",")]
    count = sum(facts.counts.get(part, 0) for part in wanted)
    return count if settings.limit is None else min(count, settings.limit)


def asked_count(settings: EvaluateSettings | None, facts: KnownFacts, limit: int | None) -> int:
    """How many questions are asked of the parts of the settings, or of test and ood."""
    parts = ["test", "ood"] if settings is None else settings.parts.split(",")
    return sum(facts.counts[part] if limit is None else min(limit, facts.counts[part]) for part in parts)


def probe_rows(settings: ProbeSettings, vocabulary: int | None) -> int:
    """Texts that a probe draws side by side, on a processor (`TransformersEngine.batch_size`)."""
    draws = {"sampled": settings.samples, "hybrid": settings.residual_samples, "closed-form": 1}.get(settings.method, 5)
    most = max(1, min(256, (1 << 26) // ((vocabulary or 1 << 15) * draws)))
    return draws * (settings.batch_size or most)
