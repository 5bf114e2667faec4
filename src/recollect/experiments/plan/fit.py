"""The plan of a fit: baselines, search, seeds, repairs, and the test of five contenders.

With a budget in time there is as much of each stage as it has room for, by what was measured here, given out as the fit
does; what is left out is said.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from recollect.core.numbers import many
from recollect.core.progress import duration
from recollect.core.workspace import DEFAULT_ROOT
from recollect.core.workspace.fit import CALLED
from recollect.experiments.executors import SHARED
from recollect.experiments.fit.clock import FINISHING
from recollect.experiments.fit.cost import FOR_SEARCH, LEAST_TRAININGS, early_share
from recollect.experiments.fit.elsewhere import at_once
from recollect.experiments.fit.prepare import goal_of
from recollect.experiments.fit.searching import KEPT_BACK
from recollect.experiments.fit.settings import FitParts, FitSettings, Goal
from recollect.experiments.fit.space import exhaustive, fit_space, plain_values
from recollect.experiments.fit.split import split_for_fit
from recollect.experiments.fit.stages import CONTENDERS, REPAIRS, probes
from recollect.experiments.fit.talks import read_talks
from recollect.experiments.plan.calibrate import Rates, Trial
from recollect.experiments.plan.counts import base_tokens
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import START, Ground, Item, Sizes, made, side_by_side, with_lengths
from recollect.experiments.plan.known import KnownFacts, know_facts, know_model
from recollect.experiments.plan.memory import Stored, cell_bytes, stored_bytes
from recollect.experiments.plan.work import Work, asking_work, assumed_draws, probe_work, train_work
from recollect.experiments.search.hold import expanded
from recollect.experiments.search.space import SELECT_NAMES, Space
from recollect.experiments.search.trial import TrialValues
from recollect.models import machine_of
from recollect.train import TrainSettings
from recollect.train.auto import WIDTH, updates_of
from recollect.train.auto import plan as plan_training

_POINTS = 300
"""Of the space, over which the length of a training is averaged."""
_PROMOTED = 1 / 3
_MOST = 5_000
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
    model = know_model(parts.train, assume.parameters)
    if model.ref is not None:
        parts = FitParts.of(settings, model.ref, goal)
    talks = None if model.ref is None else read_talks(settings, parts)
    facts = know_facts(settings.data, assume.facts_count) if talks is None else KnownFacts(talks, talks.counts())
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
class Room:
    """How much of each stage the budget has room for."""

    trials: int
    seeds: int
    """Beside the first."""
    repairs: int
    """Means and repairs."""
    random: bool
    over: float | None = None
    """Seconds of what is always done, where they are more than the budget."""


@dataclass(frozen=True)
class _Planning:
    settings: FitSettings
    parts: FitParts
    ground: Ground
    probed: bool
    pages: bool

    def plan(self) -> Plan:
        """Count, measure, and put together. What is wrong with the data is told before anything is measured."""
        ground, lengths = self.ground, self.ground.lengths
        memory = cell_bytes(ground.model, self.parts.train, self.parts.evaluate, lengths.question + lengths.answer)
        trial = None
        if self.counts.train and ground.model.ref is not None and ground.facts.facts is not None:
            probe = self.parts.probe if self.probed else None
            asked = self.parts.evaluate
            trial = Trial(asked, ground.facts.facts, probe=probe, train=self.parts.train, asking=asked, varies=True)
        rates, notes = ground.rates(trial, memory, self.parts.probe.max_new_tokens)
        room = self.room(rates)
        said = f"it is supposed that about a third of {many(room.trials, 'trial')} are trained to the end, and that a "
        said += f"training makes {self.trained.updates:.0f} updates on average"
        slots, of_workers = self._at_once
        notes = [*notes, *([said] if room.trials else []), *self._left_out(room, rates), of_workers]
        return made(ground, self._items(rates, room), Sizes(memory, self._disk(room)), rates, notes, slots)

    @cached_property
    def _at_once(self) -> tuple[float, str]:
        """How many times faster the trials of the search are for running side by side; and what is to be said of it."""
        settings, number = self.settings, at_once(self.settings)
        cluster = settings.executor in SHARED or settings.address is not None
        name = "here" if number == 1 else "processes"
        return side_by_side(name, number, self.ground.machine, self.ground.assume, cluster)

    def _left_out(self, room: Room, rates: Rates | None) -> list[str]:
        """What the budget has no room for, and where it is too short for what is always done."""
        budget, settings = self.settings.budget, self.settings
        if settings.seconds is not None and rates is None:
            return [f"how much of this the budget of {budget} has room for is not known: nothing was measured"]
        short = []
        if room.over is not None:
            short.append(
                f"the budget of {budget} is too short: what a fit always does (base, prompt, plain fine-tuning, test) "
                f"takes about {duration(room.over)}"
            )
        full = self._everything(room.trials)
        parts = [
            "the search" if not room.trials else "",
            f"{full.seeds - room.seeds} of {many(full.seeds, 'further seed')}" if room.seeds < full.seeds else "",
            f"{full.repairs - room.repairs} of {full.repairs} means and repairs" if room.repairs < full.repairs else "",
            "" if room.random else "the random draw of equal size",
        ]
        if left := ", ".join(part for part in parts if part):
            short.append(f"no room in the budget of {budget}, so left out: {left}")
        return short

    def _everything(self, trials: int) -> Room:
        return Room(trials, self.settings.seeds - 1, REPAIRS, random=True)

    def room(self, rates: Rates | None) -> Room:
        """What the budget has room for, in the order in which the fit gives it out."""
        limits = self.settings.limits
        if limits.trials is not None:
            return self._in_updates(self._most_updates, limits.trials)
        if limits.updates is not None:
            return self._in_updates(limits.updates)
        if rates is None or self.settings.seconds is None:
            return self._everything(12)
        found = self._in_seconds(rates, self.settings.seconds)
        return self._everything(12) if found is None else found

    @property
    def _most_updates(self) -> int:
        """To which a budget in trials is held."""
        train, most = self.parts.train, self.counts.train
        _, full = exhaustive(self._space, train, most)
        return max(int(self.settings.most_cost * full), LEAST_TRAININGS * plan_training(train, most, WIDTH).updates)

    @cached_property
    def _space(self) -> Space:
        most = self.counts.train
        rate = plan_training(self.parts.train, most, self.ground.model.width or WIDTH).learning_rate
        return fit_space(self.settings, most, self.probed, plain_values(self.parts.train, most, rate))

    def _in_updates(self, limit: int, most: int = _MOST) -> Room:
        """Of a budget in updates the search gets a share, then come the seeds; the random draw needs one training."""
        each = max(1.0, self.trained.updates)
        left = limit - train_work(self.parts.train, self.counts.train, self.ground.lengths).updates
        trials = min(most, max(1, int(FOR_SEARCH * max(0.0, left) / (each * self._share))) if left > 0 else 0)
        trainings = int(max(0.0, left - trials * each * self._share) / each)
        full = self._everything(trials)
        return replace(full, seeds=min(full.seeds, max(0, trainings - 1)), random=trainings >= 1)

    def _in_seconds(self, rates: Rates, budget: float) -> Room | None:
        """What is always done and the random draw come first; a part is kept back for seeds, means and repairs."""

        assume = self.ground.assume
        measured = assume.tokens_per_second is None
        scale = rates.threads / assume.cores if assume.cores and measured else 1.0
        begin = START * rates.busy + rates.trainer if measured else 0.0

        def seconds(room: Room) -> float | None:
            found = rates.seconds(Work.total([item.work for item in self._items(rates, room)]))
            return None if found is None else scale * found

        none = Room(0, 0, 0, random=False)
        tried = [none, replace(none, random=True), replace(none, seeds=1), replace(none, repairs=1)]
        found = [seconds(one) for one in (*tried, replace(none, trials=30))]
        always, *rest = [one for one in found if one is not None]
        if len(rest) < 4:
            return None
        random, seed, repair, thirty = (max(one - always, 1e-6) for one in rest)
        thirty /= self._at_once[0]
        left = budget - begin - FINISHING - always
        if left < 0:
            return replace(none, over=budget - left)
        full = self._everything(0)
        drawn = left >= random
        left -= random if drawn else 0.0
        kept = min(full.seeds * seed + full.repairs * repair, KEPT_BACK * left)
        trials = min(_MOST, int(30 * (left - kept) / thirty))
        left -= trials * thirty / 30
        seeds = min(full.seeds, int(left / seed))
        repairs = min(full.repairs, int((left - seeds * seed) / repair))
        return Room(trials, seeds, repairs, random=drawn)

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
        lengths, parameters = self.ground.lengths, self._space.parameters
        drawn = random.Random(0)
        points = [{name: one.at(drawn.random()) for name, one in parameters.items()} for _ in range(_POINTS)]
        lengths_of = [self._length(point) for point in points]
        updates, read = (sum(column) / _POINTS for column in zip(*lengths_of, strict=True))
        return Work(updates=updates, trained=read * (lengths.question + lengths.answer), trainings=1)

    def _length(self, point: TrialValues) -> tuple[float, float]:
        """Updates of a training, and examples read in them."""
        chosen = expanded({name: value for name, value in point.items() if name not in SELECT_NAMES})
        settings = TrainSettings.make(**self.parts.train.model_dump(exclude_unset=True) | chosen)
        size = point.get("size")
        examples = size if isinstance(size, int) else self.counts.train
        epochs = 1.0 if settings.epochs == "auto" else float(settings.epochs)
        return float(updates_of(settings, examples, epochs)), examples * epochs

    @property
    def _early(self) -> float:
        return early_share(round(train_work(self.parts.train, self.counts.train, self.ground.lengths).updates))

    @property
    def _share(self) -> float:
        """Of a whole training, what a trial makes in the mean."""
        return self._early + _PROMOTED * (1 - self._early)

    def _items(self, rates: Rates | None, room: Room) -> list[Item]:
        lengths, counts, settings = self.ground.lengths, self.counts, self.settings
        base = base_tokens(self.parts.evaluate, rates, lengths)
        load = Work(loads=1)
        asked = asking_work(counts.choosing, lengths) + load
        trials, finish = room.trials, round(room.trials * _PROMOTED)
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
        items.append(Item("trials judged early", (early + asked) * trials, steps=2 * trials, at_once=True))
        rest = replace(self.trained * (1 - self._early), trainings=1)
        items.append(Item("trials trained to the end", (rest + asked) * finish, steps=2 * finish, at_once=True))
        again, means = room.seeds, room.repairs
        items.append(Item("more seeds", (self.trained + asked) * again, steps=3 * again))
        items.append(Item("means and repairs", asked * means, steps=2 * means))
        items.append(Item(CALLED["random"], (self.trained + asked) * room.random, steps=3 * room.random))
        final = asking_work(counts.final, lengths) * (CONTENDERS - 2)
        final += asking_work(counts.final, lengths, base) + asking_work(counts.final, lengths, base, settings.few_shot)
        items.append(Item("the test", final + Work(loads=CONTENDERS - 2), steps=CONTENDERS))
        return [item for item in items if item.steps]

    def _disk(self, room: Room) -> int | None:
        weights = stored_bytes(self.ground.model, self.parts.train)
        if weights is None:
            return None
        work = Work.total([item.work for item in self._items(None, room)])
        held = weights * (round(room.trials * _PROMOTED) + room.seeds + 5)
        return Stored(0, 0, work.questions, steps=6 * room.trials, pages=1, weights=held).bytes
