"""The stages of a fit before its test, one function each: baselines, search, seeds, repair.

Notable choices
- Everything is made of the steps and cells of the other experiments, in folders of their own under `steps/`: so each is
  found again after a kill, and is read like any other step.
- A stage is asked for only when the budget has room for it; what the end needs is kept back from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from recollect.core.workspace import Step, is_finished
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings, asked_facts, check_asking, run_evaluate
from recollect.experiments.base import Base
from recollect.experiments.cell import Cell, Context, ScoredCell, Watch, is_done, read_cell, run_cell
from recollect.experiments.fit.answers import Answers, what_it_expects, what_it_knew
from recollect.experiments.fit.clock import FINISHING, FitClock
from recollect.experiments.fit.settings import FitParts, FitSettings, Goal
from recollect.experiments.fit.split import Parts
from recollect.experiments.found import Stage
from recollect.experiments.many.measure import Pays
from recollect.experiments.search.validation import Knowledge
from recollect.experiments.under_way import UNDER_WAY
from recollect.facts import FactSet, read_relations
from recollect.models import held_for
from recollect.probe import run_probe
from recollect.select import SelectSettings, read_levels
from recollect.train.auto import plan

STEPS = "steps"
PLAIN, RANDOM = "plain", "random"
RANDOM_SEED = 1000
"""Beside the fit's own seed: of the random selection that competes."""
CONTENDERS = 5
BEST = (3, 5, 8)
"""Of how many of the best trainings the weights are averaged."""
KEPT_CHANGE = (0.6, 0.8)
"""Shares of its change that the best keeps on the way back to the base."""
REPAIRS = 1 + len(BEST) + len(KEPT_CHANGE) + 1
"""Means and repairs that are tried, where there is room: of the seeds and of the best; moved back, and set back."""
EARLY, SHORT = 0.2, 80
"""Share of its training at which a trial is judged, where the plain fine-tuning has so many updates."""
OWN_WORDS, FEW_KNOWN = 60, 10
"""Texts with which the base goes on by itself; by those words forgetting is counted where it knows the answers to fewer
questions."""
EARLY_PLAIN = "early-plain"
"""What the plain fine-tuning answered at that share."""
ASKING_BASE, PLAIN_TUNING = "asking the base", "plain fine-tuning"


@dataclass
class Ground:
    """A fit at work: what all stages share."""

    step: Step
    settings: FitSettings
    parts: FitParts
    goal: Goal
    data: Parts
    base: Base
    stage: Stage
    say: Callable[[str], None]
    clock: FitClock
    pays: Pays | None = None
    """Whether adapters are faster in one pass, asked of the first who could; None where nobody asks."""
    levels: pl.DataFrame | None = None
    knowledge: Knowledge = field(default_factory=Knowledge)
    by_words: bool = False
    """Whether what the base knew is told by its own words, since it answers next to nothing."""
    asking: float = 0.0
    """Seconds of asking one model the validation questions."""
    training: float = 0.0
    """Seconds of the plain fine-tuning."""
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What the budget had no room for."""

    def leave_out(self, what: str) -> None:
        """Remember, and say at once, what the budget has no room for."""
        self.left_out.append(what)
        self.say(f"no room in the budget of {self.settings.budget}, so left out: {what}")

    @property
    def steps(self) -> Path:
        """The folder of its steps."""
        return self.step.folder / STEPS

    @property
    def asked(self) -> str:
        """Parts that are asked."""
        return "test,ood" if self.data.counts.kept_validation else "test"

    @property
    def most(self) -> int:
        """Training examples there are."""
        return self.data.counts.train

    @cached_property
    def choosing(self) -> FactSet:
        """What is trained on and what everything is chosen by."""
        return self.data.choosing

    def evaluation(self, model: str | None = None, shots: int = 0) -> EvaluateSettings:
        """How a model is asked."""
        named = {} if model is None else {"model": model}
        return self.parts.evaluate.model_copy(update={"parts": self.asked, "shots": shots, **named})

    def context(self, keep: bool = True) -> Context:
        """Of the cells that are chosen by validation."""
        told = self.step.folder / UNDER_WAY
        return Context(self.steps, self.base, self.choosing, self.levels, keep_models=keep, told=told)

    def cell(self, name: str, select: SelectSettings, **train: object) -> Cell:
        """One training with all its steps; `name` ends their names."""
        settings = self.parts.train.model_copy(update=train)
        return Cell(f"{{step}}-{name}", select, settings, self.evaluation())

    def run(self, what: str, cell: Cell) -> ScoredCell:
        """Run a cell, or find it done."""
        context = self.context()
        if is_done(context.folder, cell):
            return read_cell(context, cell)
        with self.stage(what, "updates") as progress:
            return run_cell(context, cell, Watch(progress))

    def answers(self, cell: Cell) -> Answers:
        """What its model answered."""
        return Answers(cell.path(self.steps, cell.evaluate_as))

    def ask(
        self,
        out: Path,
        facts: FactSet,
        settings: EvaluateSettings,
        what: str,
        *,
        base: bool = False,
    ) -> Answers:
        """Ask a model, or find it asked."""
        if is_finished(out):
            return Answers(out)
        with ExitStack() as stack:
            progress = stack.enter_context(self.stage(what, "questions"))
            loaded = held_for(settings, self.base.load()) if base else stack.enter_context(self.base.holding(settings))
            run_evaluate(settings, facts, self.levels, out=out, loaded=loaded, progress=progress)
        return Answers(out)

    @property
    def final_asking(self) -> float:
        """Seconds that the test of one model is taken to need, by what asking it for validation took."""
        counts = self.data.counts
        here = counts.validation + counts.kept_validation
        return self.asking * (counts.test + counts.kept_test) / max(1, here)

    @property
    def reserve(self) -> float:
        """Seconds that are kept back for the end: the random draw of equal size, the test of all, the page."""
        return CONTENDERS * self.final_asking + FINISHING + self.training + self.asking


def probes(settings: FitSettings, goal: Goal, facts: FactSet) -> tuple[bool, str]:
    """Whether the base is probed, and what is to be said where it is not."""
    if goal != "facts" or not settings.use_levels:
        return False, ""
    file = settings.probe.template_file
    known = read_relations(Path(file) if file else None)
    if missing := [name for name in facts.relations if name not in known]:
        which = f"{missing[0]!r}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        return False, (
            f"Not probed: no mapping templates fit the {'relation' if len(missing) == 1 else 'relations'} {which}. So "
            "examples are chosen by amount alone and not by memory level, nothing is foretold of what will be "
            "forgotten, and it is not told which facts the base does not have (--probe.template-file gives yours)."
        )
    return True, ""


def probe_base(ground: Ground) -> None:
    """The base's memory levels, where the facts have any."""
    wanted, said = probes(ground.settings, ground.goal, ground.choosing)
    ground.notes.extend([said] if said else [])
    if not wanted:
        return
    out = ground.steps / "probe"
    if not is_finished(out):
        with ground.stage("probing what the base knows", "prompts") as progress:
            held = held_for(ground.parts.probe, ground.base.load())
            run_probe(ground.parts.probe, _everything(ground.data), out, progress=progress, loaded=held)
    ground.levels = read_levels(out)
    ground.parts = ground.parts.about(out)


def _everything(data: Parts) -> FactSet:
    """All facts, each once."""
    known = {fact.id: fact for fact in (*data.choosing, *data.final)}
    return FactSet(tuple(known.values()), data.choosing.name)


def check_lengths(ground: Ground) -> None:
    """InputError where a question of any part does not fit in the model's context: now, not when the test is asked."""
    for facts in (ground.choosing, ground.data.final):
        _check_lengths(ground, facts, 0)


def _check_lengths(ground: Ground, facts: FactSet, shots: int) -> None:
    settings = ground.evaluation(shots=shots)
    check_asking(settings, facts, asked_facts(settings, facts), ground.base.load())


def ask_base(ground: Ground) -> dict[str, Answers]:
    """The untouched base, and the base with examples in its prompt, on the validation questions."""
    with ground.clock.stage(ASKING_BASE):
        base = ground.ask(
            ground.steps / "validate-base",
            ground.choosing,
            speaking(ground.evaluation(), ground.levels is None),
            "asking the base",
            base=True,
        )
        found = {"base": base}
        if ground.settings.few_shot:
            shown = ground.evaluation(shots=ground.settings.few_shot)
            try:
                _check_lengths(ground, ground.data.final, ground.settings.few_shot)
                found["few-shot"] = ground.ask(
                    ground.steps / "validate-few-shot", ground.choosing, shown, "asking it with examples", base=True
                )
            except InputError as error:
                ground.notes.append(f"The base was not asked with examples in its prompt: {error}")
    ground.asking = ground.clock.stages[ASKING_BASE] / len(found)
    ground.knowledge = known_before(ground, found)
    return found


def speaking(settings: EvaluateSettings, wanted: bool = True) -> EvaluateSettings:
    """The same with words of the model's own."""
    return settings.model_copy(
        update={"own_words": settings.own_words or OWN_WORDS, "words_of": None} if wanted else {}
    )


def hearing(settings: EvaluateSettings, base: Path) -> EvaluateSettings:
    """The same, with the model asked about the words of the base, which its evaluation holds."""
    return settings.model_copy(update={"words_of": base.resolve()})


def known_before(ground: Ground, found: Mapping[str, Answers]) -> Knowledge:
    """What the base knew of the questions; where that is next to nothing, what of its own words it expects, about which
    every other model is asked from now on."""
    charge, base = ground.settings.forgetting, found["base"]
    knew, expects = what_it_knew(list(found.values()), ground.levels, charge), what_it_expects(base, charge)
    ground.by_words = len(knew.items) < FEW_KNOWN <= len(expects.items)
    if ground.by_words:
        ground.parts = replace(ground.parts, evaluate=hearing(ground.parts.evaluate, base.path))
    return expects if ground.by_words else knew


def train_plain(ground: Ground, early: bool) -> Answers:
    """Plain fine-tuning on all training data with sound defaults. early: ask it on its way, too."""
    cell, asked = plain_cell(ground), 1
    with ground.clock.stage(PLAIN_TUNING):
        if early:  # what its answers tell by then, those of trials will tell
            ground.run(PLAIN_TUNING, replace(cell, evaluate_as="early", share=EARLY))
            asked += 1
        ground.run(PLAIN_TUNING, cell)
    ground.training = max(0.0, ground.clock.stages[PLAIN_TUNING] - asked * ground.asking)
    return ground.answers(cell)


def plain_cell(ground: Ground) -> Cell:
    """Its cell."""
    return ground.cell(PLAIN, SelectSettings.make(size="all", level="random", seed=ground.settings.seed))


def plain_rate(ground: Ground) -> float:
    """The rate of the plain fine-tuning, as it is for the model's width."""
    width = int(getattr(ground.base.load().model.config, "hidden_size", 0) or 1024)
    return plan(ground.parts.train, ground.most, width).learning_rate
