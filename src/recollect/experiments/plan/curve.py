"""The plan of a data curve: the base asked, and a cell for every size and seed of its grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recollect.chat.asking import asked_for, settled
from recollect.core.settings import Settings
from recollect.core.workspace import DEFAULT_ROOT
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings
from recollect.experiments.curve.run import sections_of, sizes_of
from recollect.experiments.curve.settings import CurveSettings
from recollect.experiments.plan.calibrate import Rates, Trial
from recollect.experiments.plan.counts import asked_count, base_tokens
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import Ground, Item, Shared, Sizes, Within, made, side_by_side, with_lengths
from recollect.experiments.plan.known import know_facts, know_model
from recollect.experiments.plan.memory import Stored, cell_bytes, stored_bytes, weights_kept
from recollect.experiments.plan.there import There, there_for, there_in
from recollect.experiments.plan.work import Work, asking_work, train_work
from recollect.models import machine_of
from recollect.select import SelectSettings, available, read_levels
from recollect.train import TrainSettings


def plan_curve(
    settings: CurveSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    assume: Assume | None = None,
    within: Within | None = None,
) -> Plan:
    """What a curve would do: its grid, which `until: decided` may add to. Nothing is written.

    within: the study that it is a step of, which then says what model, facts and levels are, and where it is.

    Examples:
        >>> from recollect import CurveSettings
        >>> from recollect.experiments.plan import Assume, plan_curve
        >>> settings = CurveSettings.make(sizes=(0, 15, 60), repeats=2, train={"preset": "pocket"})
        >>> plan_curve(settings, assume=Assume(calibrate=False)).training_steps
        20
    """
    assume = assume or Assume()
    if settings.scores is not None:
        raise InputError("a curve of scores trains nothing and is judged at once, so --dry-run has nothing to plan.")
    train, evaluate = sections_of(settings)
    if within is None:
        model, facts = know_model(evaluate, assume.parameters), know_facts(settings.facts, assume.facts_count)
        levels = read_levels(settings.levels) if settings.levels is not None else None
    else:
        model, facts, levels = within.ground.model, within.ground.facts, within.levels
    most = facts.counts["train"]
    if facts.facts is not None and (levels is not None or settings.level == "random"):
        most = available(facts.facts, levels, settings.level)
    if model.ref is not None:
        train = train.model_copy(update={"prompt": settled(train.asked_in(), model.ref)})
        if asked_for(evaluate) == "auto":
            evaluate = evaluate.model_copy(update={"prompt": train.prompt})
    ground = Ground(model, facts, machine_of(evaluate), assume, notes=(model.said, facts.said))
    ground = with_lengths(ground, None, evaluate)
    there = There()
    if model.ref is not None and facts.facts is not None:
        inputs = {"model": model.ref.fingerprint, "facts": facts.facts.fingerprint()}
        there = there_for(out, root, "curve", inputs) if within is None else there_in(within.folders, "curve", inputs)
    return _Planning(settings, train, evaluate, sizes_of(settings, most), ground, there, within).plan()


@dataclass(frozen=True)
class _Planning:
    settings: CurveSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    sizes: tuple[int, ...]
    ground: Ground
    there: There
    within: Within | None = None

    def plan(self) -> Plan:
        """Count, measure, and put together."""
        ground, settings, lengths = self.ground, self.settings, self.ground.lengths
        memory = cell_bytes(ground.model, self.train, self.evaluate, lengths.question + lengths.answer)
        trial = None
        if ground.model.ref is not None and ground.facts.facts is not None:
            trial = Trial(self.evaluate, ground.facts.facts, train=self.train, asking=self.evaluate)
        shared = self.within.shared if self.within else Shared()
        rates, notes = (Rates(), []) if self._done() else shared.measured(ground, trial, memory)
        items = self._items(rates)
        slots, said = side_by_side(
            settings.executor, settings.workers, ground.machine, ground.assume, settings.address is not None
        )
        if settings.until == "decided":
            notes.append(f"until decided: the grid of {len(self.sizes)} sizes is planned, and more may follow")
        begun = self.within is not None and self.within.begun
        return made(ground, items, self._sizes(memory, items), rates, [*notes, said], slots, begun=begun)

    def _done(self) -> bool:
        """Whether nothing is left that would have to be measured."""
        return all(item.there for item in self._items(None))

    def _items(self, rates: Rates | None) -> list[Item]:
        settings, lengths, items = self.settings, self.ground.lengths, []
        questions = asked_count(self.evaluate, self.ground.facts, self.evaluate.limit)
        for size in self.sizes:
            if size == 0:
                tokens = base_tokens(self.evaluate, rates, lengths)
                work = asking_work(questions, lengths, tokens) + Work(loads=1)
                items.append(Item("base asked", work, self.there.find("base", self.evaluate) is not None))
                continue
            works = (Work(), train_work(self.train, size, lengths), asking_work(questions, lengths) + Work(loads=1))
            for seed in range(settings.seed, settings.seed + settings.repeats):
                steps = self._steps(size, seed)
                known = self.there.cell(steps)
                items += [
                    Item(what, work, name in known, at_once=True)
                    for what, work, name in zip(_NAMES, works, steps, strict=True)
                ]
        return items

    def _steps(self, size: int, seed: int) -> dict[str, Settings]:
        settings = self.settings
        chosen = SelectSettings.make(level=settings.level, size=size, seed=seed, levels=settings.levels)
        return {
            f"select-{size}-seed{seed}": chosen,
            f"train-{size}-seed{seed}": self.train.model_copy(update={"seed": seed}),
            f"evaluate-{size}-seed{seed}": self.evaluate,
        }

    def _sizes(self, memory: int | None, items: Sequence[Item]) -> Sizes:
        left = [item for item in items if not item.there]
        weights = stored_bytes(self.ground.model, self.train)
        if weights is None:
            return Sizes(memory, None)
        work = Work.total([item.work for item in left])
        kept = weights_kept(weights, work.trainings, self.settings.keep_models)
        stored = Stored(answers=work.questions, steps=len(left), pages=min(1, len(left)), weights=kept)
        return Sizes(memory, stored.bytes, 0 if self.settings.keep_models else kept)


_NAMES = ("selections", "trainings", "models asked")
