"""The plan of a fit: baselines, search, seeds, repairs, and the test of five contenders.

With a budget in time there is as much of each stage as it has room for, by what was measured here, given out as the fit
does; what is left out is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from recollect.core.numbers import many
from recollect.core.progress import duration
from recollect.core.workspace import DEFAULT_ROOT
from recollect.core.workspace.fit import CALLED
from recollect.experiments.executors import SHARED
from recollect.experiments.fit.cost import asked_early
from recollect.experiments.fit.elsewhere import at_once
from recollect.experiments.fit.prepare import goal_of
from recollect.experiments.fit.settings import FitParts, FitSettings, Goal
from recollect.experiments.fit.split import Parts, split_for_fit
from recollect.experiments.fit.stages import probes
from recollect.experiments.fit.talks import read_talks
from recollect.experiments.plan.calibrate import Rates, Trial
from recollect.experiments.plan.counts import base_tokens
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import START, Ground, Item, Sizes, made, side_by_side, with_lengths
from recollect.experiments.plan.known import KnownFacts, know_facts, know_model
from recollect.experiments.plan.memory import Stored, cell_bytes, stored_bytes
from recollect.experiments.plan.room import Room, Rooms
from recollect.experiments.plan.talks import talk_lengths
from recollect.experiments.plan.trainings import Trainings
from recollect.experiments.plan.work import Lengths, Work, asking_work, assumed_draws, probe_work
from recollect.models import machine_of
from recollect.models.whole import load_tokenizer
from recollect.train.auto import WIDTH


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
    probed, data = facts.facts is None and settings.use_levels and goal == "facts", None
    if facts.facts is not None:
        goal = goal_of(settings, parts, facts.facts)
        parts = FitParts.of(settings, model.ref, goal)
        probed, _ = probes(settings, goal, facts.facts)
        data = split_for_fit(facts.facts, settings, pages=goal == "attributes")
    if talks is not None and data is not None and model.ref is not None:
        tokenizer = load_tokenizer(model.ref.whole, model.ref.runs_code)
        measured = [talk_lengths(part, parts, tokenizer, settings.few_shot) for part in (data.choosing, data.final)]
        ground = replace(ground, facts=KnownFacts(data.choosing, facts.counts), lengths=measured[0])
        return _Planning(settings, parts, ground, probed, data, measured[1]).plan()
    ground = with_lengths(ground, parts.probe if probed else None, parts.evaluate)
    return _Planning(settings, parts, ground, probed, data, ground.lengths).plan()


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
    data: Parts | None
    """As the fit cuts it, where it is here."""
    at_last: Lengths
    """Of what the test asks; of conversations these are others than those that choose."""

    def plan(self) -> Plan:
        """Count, measure, and put together. What is wrong with the data is told before anything is measured."""
        ground, lengths = self.ground, self.ground.lengths
        memory = cell_bytes(ground.model, self.parts.train, self.parts.evaluate, lengths.longest)
        trial = None
        if self.counts.train and ground.model.ref is not None and ground.facts.facts is not None:
            probe = self.parts.probe if self.probed else None
            asked = self.parts.evaluate
            trial = Trial(asked, ground.facts.facts, probe=probe, train=self.parts.train, asking=asked, varies=True)
        rates, notes = ground.rates(trial, memory, self.parts.probe.max_new_tokens)
        room = self.room(rates)
        slots, of_workers = self._at_once
        notes = [*notes, *self._supposed(room), *self._left_out(room, rates), of_workers]
        return made(ground, self._items(rates, room), Sizes(memory, self._disk(room)), rates, notes, slots)

    def _supposed(self, room: Room) -> list[str]:
        """What of the search is not known beforehand."""
        if not room.trials:
            return []
        many_of = many(len(room.trials), "trial")
        ends = f"{many_of} {'is' if len(room.trials) == 1 else 'are'} trained to the end"
        if room.judged < 1:
            ends = f"about a third of {many_of} are trained to the end"
        updates = self._rooms.trainings.one(room.trials).updates
        return [f"it is supposed that {ends}, and that a training makes {updates:.0f} updates on average"]

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
        seeds, repairs = settings.seeds - 1 - room.seeds, room.possible - room.repairs
        same = self._rooms.trainings.all_read(len(room.trials))
        parts = [
            "" if room.trials else "the search",
            f"{seeds} of {many(settings.seeds - 1, 'further seed')}" if seeds else "",
            f"{repairs} of {room.possible} means and repairs" if repairs else "",
            "" if room.random or same else "the random draw of equal size",
        ]
        if left := ", ".join(part for part in parts if part):
            short.append(f"no room in the budget of {budget}, so left out: {left}")
        return short

    @cached_property
    def _rooms(self) -> Rooms:
        ground, width = self.ground, self.ground.model.width or WIDTH
        train, most = self.parts.train, self.counts.train
        trainings = Trainings(self.settings, train, ground.lengths, most, self.probed, width)
        return Rooms(self.settings, trainings, self._at_once[0])

    def room(self, rates: Rates | None) -> Room:
        """What the budget has room for, in the order in which the fit gives it out."""
        rooms, budget = self._rooms, self.settings.seconds
        if rooms.limit is not None:
            return rooms.in_updates()
        asked = self._asked
        always = Work.total([item.work for item in self._items(rates, Room())])
        if rates is None or budget is None or rates.seconds(always + asked) is None:
            return rooms.everything()
        assume = self.ground.assume
        measured = assume.tokens_per_second is None
        scale = rates.threads / assume.cores if assume.cores and measured else 1.0
        begin = START * rates.busy + rates.trainer if measured else 0.0

        def seconds(work: Work) -> float:
            return scale * (rates.seconds(work) or 0.0)

        return rooms.in_seconds(budget, begin + seconds(always), seconds, asked)

    @cached_property
    def counts(self) -> _Counts:
        """As the fit cuts the data, where it is here."""
        facts, settings = self.ground.facts, self.settings
        if self.data is not None:
            cut = self.data.counts
            return _Counts(cut.train, cut.validation + cut.kept_validation, cut.test + cut.kept_test)
        validation = min(settings.most_validation, round(settings.validation_share * facts.counts["train"]))
        kept = min(settings.most_kept, facts.counts["ood"] // 2)
        return _Counts(facts.counts["train"] - validation, validation + kept, facts.counts["test"] + kept)

    @property
    def _asked(self) -> Work:
        """Of asking a trained model what chooses."""
        return asking_work(self.counts.choosing, self.ground.lengths) + Work(loads=1)

    def _shown(self, questions: int, lengths: Lengths, tokens: float) -> Work:
        """Of asking the base with examples, which a processor reads once a batch."""
        batch = self.parts.evaluate.batch_size if self.ground.machine.device == "cpu" else None
        return asking_work(questions, lengths, tokens, self.settings.few_shot, batch)

    def _items(self, rates: Rates | None, room: Room) -> list[Item]:
        lengths, counts, rooms = self.ground.lengths, self.counts, self._rooms
        base = base_tokens(self.parts.evaluate, rates, lengths)
        load, asked = Work(loads=1), self._asked
        items = []
        if self.probed:
            facts = min(counts.train + counts.final + counts.choosing, sum(self.ground.facts.counts.values()))
            work = probe_work(self.parts.probe, facts, lengths, assumed_draws(self.parts.probe, facts))
            items.append(Item("probe", work))
        items.append(Item("base asked", asking_work(counts.choosing, lengths, base) + load))
        if self.settings.few_shot:
            items.append(Item("base asked with examples", self._shown(counts.choosing, lengths, base)))
        often = 2 if asked_early(rooms.trainings.updates, rooms.limit) else 1
        items.append(Item("plain fine-tuning", rooms.trainings.plain + asked * often, steps=3))
        items += self._searched(room)
        again = rooms.trainings.one(room.trials) + asked
        items.append(Item("more seeds", again * room.seeds, steps=3 * room.seeds))
        items.append(Item("means and repairs", asked * room.repairs, steps=2 * room.repairs))
        items.append(Item(CALLED["random"], again * room.random, steps=3 * room.random))
        items.append(self._test(room, base))
        return [item for item in items if item.steps]

    def _searched(self, room: Room) -> list[Item]:
        """The trials: judged early, and of these some trained to the end; or all trained to it."""
        whole, trials, finished = Work.total(list(room.trials)), len(room.trials), room.finished
        if room.judged == 1:
            work = whole + self._asked * trials
            return [Item("trials trained to the end", work, steps=2 * trials, at_once=True)]
        early = whole * room.judged + self._asked * trials
        rest = replace(whole * ((1 - room.judged) * finished / max(1, trials)), trainings=finished)
        return [
            Item("trials judged early", early, steps=2 * trials, at_once=True),
            Item("trials trained to the end", rest + self._asked * finished, steps=2 * finished, at_once=True),
        ]

    def _test(self, room: Room, base: float) -> Item:
        """Of all contenders; where all examples were used a further seed stands for the random draw."""
        questions, lengths = self.counts.final, self.at_last
        drawn = room.random or (room.seeds > 0 and self._rooms.trainings.all_read(len(room.trials)))
        trained = 2 + drawn
        work = asking_work(questions, lengths) * trained + asking_work(questions, lengths, base)
        if self.settings.few_shot:
            work += self._shown(questions, lengths, base)
        return Item("the test", work + Work(loads=trained), steps=trained + 1 + bool(self.settings.few_shot))

    def _disk(self, room: Room) -> int | None:
        weights = stored_bytes(self.ground.model, self.parts.train)
        if weights is None:
            return None
        work = Work.total([item.work for item in self._items(None, room)])
        held = weights * (room.finished + room.seeds + 5)
        return Stored(0, 0, work.questions, steps=6 * len(room.trials), pages=1, weights=held).bytes
