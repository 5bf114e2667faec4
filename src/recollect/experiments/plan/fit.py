"""The plan of a fit: baselines, search, seeds, repairs, and the test of five contenders.

With a budget in time there are as many trials as it has room for, by what was measured here; the rest is the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from recollect.core.workspace import DEFAULT_ROOT
from recollect.experiments.fit.ours import BEST, KEPT_CHANGE
from recollect.experiments.fit.prepare import goal_of
from recollect.experiments.fit.searching import early_share
from recollect.experiments.fit.settings import FitParts, FitSettings, Goal
from recollect.experiments.fit.space import fit_space
from recollect.experiments.fit.split import split_for_fit
from recollect.experiments.fit.stages import CONTENDERS, probes
from recollect.experiments.plan.calibrate import Rates, Trial
from recollect.experiments.plan.counts import base_tokens
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import Ground, Item, Sizes, made, with_lengths
from recollect.experiments.plan.known import know_facts, know_model
from recollect.experiments.plan.memory import Stored, cell_bytes, stored_bytes
from recollect.experiments.plan.work import Work, asking_work, assumed_draws, probe_work, train_work
from recollect.experiments.search.space import SELECT_NAMES
from recollect.models import machine_of
from recollect.train import TrainSettings
from recollect.train.auto import WIDTH, updates_of
from recollect.train.auto import plan as plan_training

_POINTS = 300
"""Of the space, over which the length of a training is averaged."""
_PROMOTED = 1 / 3
_LEAST, _MOST = 1, 200
"""Trials that a budget in time is taken to have room for."""


def plan_fit(
    settings: FitSettings, out: Path | None = None, root: Path = DEFAULT_ROOT, assume: Assume | None = None
) -> Plan:
    """What a fit would do; nothing is written.

    Examples:
        >>> from recollect import FitSettings
        >>> from recollect.experiments.plan import Assume, plan_fit
        >>> plan_fit(FitSettings.make(budget="2 trials"), assume=Assume(calibrate=False)).rows[0].what
        'probe'
    """
    assume = assume or Assume()
    if settings.price_per_hour is not None and assume.price_per_hour is None:
        assume = assume.model_copy(update={"price_per_hour": settings.price_per_hour})
    goal: Goal = "facts" if settings.goal == "auto" else settings.goal
    parts = FitParts.of(settings, None, goal)
    model, facts = know_model(parts.train, assume.parameters), know_facts(settings.data, assume.facts_count)
    if model.ref is not None:
        parts = FitParts.of(settings, model.ref, goal)
    ground = Ground(model, facts, machine_of(parts.evaluate), assume, notes=(model.said, facts.said))
    probed = facts.facts is None and settings.use_levels and goal == "facts"
    if facts.facts is not None:
        goal = goal_of(settings, parts, facts.facts)
        parts = FitParts.of(settings, model.ref, goal)
        probed, _ = probes(settings, goal, facts.facts)
    ground = with_lengths(ground, parts.probe if probed else None, parts.evaluate)
    return _Planning(settings, parts, ground, probed, goal == "attributes").plan()


@dataclass(frozen=True)
class _Counts:
    """Questions and examples."""

    train: int
    choosing: int
    final: int


@dataclass(frozen=True)
class _Planning:
    settings: FitSettings
    parts: FitParts
    ground: Ground
    probed: bool
    pages: bool

    def plan(self) -> Plan:
        """Count, measure, and put together."""
        ground, lengths = self.ground, self.ground.lengths
        memory = cell_bytes(ground.model, self.parts.train, self.parts.evaluate, lengths.question + lengths.answer)
        trial = None
        if ground.model.ref is not None and ground.facts.facts is not None:
            probe = self.parts.probe if self.probed else None
            asked = self.parts.evaluate
            trial = Trial(asked, ground.facts.facts, probe=probe, train=self.parts.train, asking=asked, varies=True)
        rates, notes = ground.rates(trial, memory, self.parts.probe.max_new_tokens)
        trials = self.trials(rates)
        said = f"of {trials} trials about a third are taken to be trained to the end; a point of the space has "
        said += f"{self.trained.updates:.1f} updates in the mean"
        budget = self.settings.seconds
        found = made(ground, self._items(rates, trials), Sizes(memory, self._disk(trials)), rates, [*notes, said])
        if budget is not None and found.seconds is not None and found.seconds > 1.1 * budget:
            return found.model_copy(
                update={"notes": (*found.notes, f"the budget of {self.settings.budget} is held: stages are left out")}
            )
        return found

    @cached_property
    def counts(self) -> _Counts:
        """As the fit cuts the data, where it is here."""
        facts, settings = self.ground.facts, self.settings
        if facts.facts is not None:
            cut = split_for_fit(facts.facts, settings, pages=self.pages).counts
            return _Counts(cut.train, cut.validation + cut.kept_validation, cut.test + cut.kept_test)
        validation = min(settings.most_validation, round(settings.validation_share * facts.counts["train"]))
        kept = min(settings.most_kept, facts.counts["ood"] // 2)
        return _Counts(facts.counts["train"] - validation, validation + kept, facts.counts["test"] + kept)

    @cached_property
    def trained(self) -> Work:
        """One training, in the mean over the space."""
        lengths, most = self.ground.lengths, self.counts.train
        rate = plan_training(self.parts.train, most, self.ground.model.width or WIDTH).learning_rate
        parameters = fit_space(self.settings, most, self.probed, rate).parameters
        drawn = random.Random(0)
        points = [{name: one.at(drawn.random()) for name, one in parameters.items()} for _ in range(_POINTS)]
        lengths_of = [self._length(point) for point in points]
        updates, read = (sum(column) / _POINTS for column in zip(*lengths_of, strict=True))
        return Work(updates=updates, trained=read * (lengths.question + lengths.answer), trainings=1)

    def _length(self, point: Mapping[str, object]) -> tuple[float, float]:
        """Updates of a training, and examples read in them."""
        chosen = {name: value for name, value in point.items() if name not in SELECT_NAMES}
        settings = TrainSettings.make(**self.parts.train.model_dump(exclude_unset=True) | chosen)
        size = point.get("size")
        examples = size if isinstance(size, int) else self.counts.train
        epochs = 1.0 if settings.epochs == "auto" else float(settings.epochs)
        return float(updates_of(settings, examples, epochs)), examples * epochs

    def trials(self, rates: Rates | None) -> int:
        """As given, or as many as the budget has room for."""
        limits = self.settings.limits
        if limits.trials is not None:
            return limits.trials
        if limits.updates is not None:
            return max(_LEAST, int(0.6 * limits.updates / max(1.0, self.trained.updates * self._share)))
        budget = self.settings.seconds
        if rates is None or budget is None:
            return 12
        none, one = (rates.seconds(Work.total([item.work for item in self._items(rates, n)])) for n in (0, 30))
        if none is None or one is None:
            return 12
        return min(_MOST, max(_LEAST, int(30 * (budget - none) / max(one - none, 1e-6))))

    @property
    def _early(self) -> float:
        return early_share(round(train_work(self.parts.train, self.counts.train, self.ground.lengths).updates))

    @property
    def _share(self) -> float:
        """Of a whole training, what a trial makes in the mean."""
        return self._early + _PROMOTED * (1 - self._early)

    def _items(self, rates: Rates | None, trials: int) -> list[Item]:
        lengths, counts, settings = self.ground.lengths, self.counts, self.settings
        base = base_tokens(self.parts.evaluate, rates, lengths)
        load = Work(loads=1)
        asked = asking_work(counts.choosing, lengths) + load
        finish = round(trials * _PROMOTED)
        items = []
        if self.probed:
            facts = min(counts.train + counts.final + counts.choosing, sum(self.ground.facts.counts.values()))
            work = probe_work(self.parts.probe, facts, lengths, assumed_draws(self.parts.probe, facts))
            items.append(Item("probe", work))
        items.append(Item("base asked", asking_work(counts.choosing, lengths, base) + load))
        if settings.few_shot:
            items.append(
                Item("base asked with examples", asking_work(counts.choosing, lengths, base, settings.few_shot))
            )
        items.append(Item("plain fine-tuning", train_work(self.parts.train, counts.train, lengths) + asked, steps=3))
        early = self.trained * self._early
        items.append(Item("trials judged early", (early + asked) * trials, steps=2 * trials))
        rest = replace(self.trained * (1 - self._early), trainings=1)
        items.append(Item("trials trained to the end", (rest + asked) * finish, steps=2 * finish))
        again = settings.seeds - 1
        items.append(Item("more seeds", (self.trained + asked) * again, steps=3 * again))
        means = 1 + len(BEST) + len(KEPT_CHANGE) + 1
        items.append(Item("means and repairs", asked * means, steps=2 * means))
        items.append(Item("a random draw of equal size", self.trained + asked, steps=3))
        final = asking_work(counts.final, lengths) * (CONTENDERS - 2)
        final += asking_work(counts.final, lengths, base) + asking_work(counts.final, lengths, base, settings.few_shot)
        items.append(Item("the test", final + Work(loads=CONTENDERS - 2), steps=CONTENDERS))
        return items

    def _disk(self, trials: int) -> int | None:
        weights = stored_bytes(self.ground.model, self.parts.train)
        if weights is None:
            return None
        work = Work.total([item.work for item in self._items(None, trials)])
        held = weights * (round(trials * _PROMOTED) + self.settings.seeds + 4)
        return Stored(0, 0, work.questions, steps=6 * trials, pages=1, weights=held).bytes
