"""The plan of a search: trials to the first rung, some of them to the end, the finalists on unseen questions.

Which trials are trained on is decided as they go; `promote` and `random_finishers` say how many it is to be, and the
length of a trial is the mean over points spread over the space.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recollect.chat.asking import asked_for, settled
from recollect.core.workspace import DEFAULT_ROOT
from recollect.evaluate import EvaluateSettings
from recollect.evaluate.pages import page_task
from recollect.experiments.plan.calibrate import Rates, Trial
from recollect.experiments.plan.counts import base_tokens, probed_facts
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import Ground, Item, Shared, Sizes, Within, made, with_lengths
from recollect.experiments.plan.known import know_facts, know_model
from recollect.experiments.plan.memory import Stored, cell_bytes, checkpoint_bytes, stored_bytes
from recollect.experiments.plan.there import around, experiment_for, steps_in
from recollect.experiments.plan.work import Draws, Work, asking_work, assumed_draws, probe_work
from recollect.experiments.search.prepare import evaluate_of, space_of, train_of
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.search.space import SELECT_NAMES, Space
from recollect.models import machine_of
from recollect.probe import ProbeSettings
from recollect.select import SelectSettings
from recollect.shipped import SHIPPED
from recollect.train import TrainSettings, training_machine
from recollect.train.auto import updates_of

_POINTS = 500
"""Of the space, over which the length of a training is averaged."""


def plan_search(
    settings: SearchSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    assume: Assume | None = None,
    within: Within | None = None,
) -> Plan:
    """What a search would do; nothing is written.

    within: the study that it is a step of, which then says what model and facts are, and where it is.

    Examples:
        >>> from recollect import SearchSettings
        >>> from recollect.experiments.plan import Assume, plan_search
        >>> settings = SearchSettings.make(
        ...     space={"learning_rate": [1e-3, 3e-3]}, levels="none", trials=4, rungs=(0.5, 1), finalists=1,
        ...     select={"size": 16, "level": "random"}, train={"preset": "pocket"})
        >>> plan_search(settings, assume=Assume(calibrate=False)).training_steps  # 4 x 1, and all of them 1 more
        8
    """
    assume = assume or Assume()
    train, evaluate = train_of(settings), evaluate_of(settings)
    if within is None:
        model, facts = know_model(train, assume.parameters), know_facts(settings.facts, assume.facts_count)
    else:
        model, facts = within.ground.model, within.ground.facts
    if model.ref is not None:
        train = train.model_copy(update={"prompt": settled(settings.train.asked_in(), model.ref)})
        if asked_for(evaluate) == "auto":
            evaluate = evaluate.model_copy(update={"prompt": train.prompt})
    pages = facts.facts is not None and page_task(evaluate, facts.facts) is not None
    probed = settings.levels == "probe" and not pages
    probe = settings.probe.over(model=settings.model, facts=settings.facts) if probed else None
    ground = Ground(model, facts, machine_of(evaluate), assume, notes=(model.said, facts.said))
    ground = with_lengths(ground, probe, evaluate)
    folder = None
    if model.ref is not None and facts.facts is not None:
        inputs = {"model": model.ref.fingerprint, "facts": facts.facts.fingerprint()}
        places = around(out, root) if within is None else steps_in(within.folders, "search")
        folder = experiment_for(places, "search", inputs, settings)
    return _Planning(settings, train, evaluate, probe, ground, folder, within).plan()


@dataclass(frozen=True)
class _Planning:
    settings: SearchSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    probe: ProbeSettings | None
    ground: Ground
    folder: Path | None
    """Of this very search, begun or finished."""
    within: Within | None = None

    def plan(self) -> Plan:
        """Count, measure, and put together."""
        ground, settings = self.ground, self.settings
        memory = cell_bytes(ground.model, self._widest, self.evaluate, ground.lengths.question + ground.lengths.answer)
        trial = None
        if ground.model.ref is not None and ground.facts.facts is not None:
            probe = None if self._is_there("probe") else self.probe
            trial = Trial(
                self.evaluate, ground.facts.facts, probe=probe, train=self.train, asking=self.evaluate, varies=True
            )
        shared, longest = (
            self.within.shared if self.within else Shared(),
            self.probe.max_new_tokens if self.probe else 32,
        )
        rates, notes = (Rates(), []) if self._done() else shared.measured(ground, trial, memory, longest)
        items = self._items(rates) * settings.repeats
        workers = float(settings.workers or 1)
        said = self._said(workers)
        begun = self.within is not None and self.within.begun
        return made(ground, items, self._sizes(memory), rates, [*notes, *said], workers, begun=begun)

    def _done(self) -> bool:
        """Whether nothing is left that would have to be measured."""
        return all(item.there for item in self._items(None))

    def _said(self, workers: float) -> list[str]:
        trials, finish = self.trials, self.finishers
        whose = "" if workers == 1 else f"; {workers:.0f} workers are taken to be as fast as this machine each"
        return [
            f"of {trials} trials {finish} are taken to be trained to the end, each of {self.updates:.1f} updates in "
            f"the mean over the space{whose}",
            "" if self.probe is None or self._is_there("probe") else self._draws.said,
        ]

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        known = self.settings.levels not in ("none", "probe") or self.probe is not None
        return space_of(self.settings, self.ground.facts.counts["train"], known, SHIPPED.get(self.settings.model))

    @cached_property
    def _points(self) -> list[Mapping[str, object]]:
        drawn = random.Random(0)
        parameters = self.space.parameters
        points = [{name: one.at(drawn.random()) for name, one in parameters.items()} for _ in range(_POINTS)]
        return [{name: point[name] for name in self.space.active(point)} for point in points]

    @cached_property
    def _lengths(self) -> list[tuple[int, float]]:
        return [self._length(point) for point in self._points]

    @property
    def updates(self) -> float:
        """Of a whole training, in the mean."""
        return sum(updates for updates, _ in self._lengths) / len(self._lengths)

    @property
    def examples_read(self) -> float:
        """In all updates of a whole training, in the mean."""
        return sum(read for _, read in self._lengths) / len(self._lengths)

    def _length(self, point: Mapping[str, object]) -> tuple[int, float]:
        """Updates, and examples read in them."""
        chosen = {name: value for name, value in point.items() if name not in SELECT_NAMES}
        settings = TrainSettings.make(**self.train.model_dump(exclude_unset=True) | chosen)
        select = self.settings.select.model_dump(exclude_unset=True)
        size = point.get("size", select.get("size", SelectSettings().size))
        most = self.ground.facts.counts["train"]
        examples = min(most, size) if isinstance(size, int) else most
        updates = updates_of(settings, examples, float(settings.epochs))
        read = updates * settings.batch_size if settings.max_steps is not None else examples * float(settings.epochs)
        return updates, read

    @cached_property
    def _widest(self) -> TrainSettings:
        """With the largest batch of the space, which needs the most memory."""
        given = (point.get("batch_size") for point in self._points)
        sizes = [size for size in given if isinstance(size, int)]
        return self.train.model_copy(update={"batch_size": max(sizes)}) if sizes else self.train

    @cached_property
    def trials(self) -> int:
        """How many settings are tried: as given, or as many as a budget in updates affords."""
        settings = self.settings
        known = settings.most_trials
        if settings.budget_steps is None:
            return known or 16
        first = settings.rungs[0]
        each = self.updates * (first + (1 - first) * settings.promote)
        affords = max(1, int(settings.budget_steps / max(each, 1e-9)))
        return affords if known is None else min(known, affords)

    @cached_property
    def finishers(self) -> int:
        """Trials that are trained to the end: the baseline, some drawn at random, and the share that is promoted."""
        settings = self.settings
        if len(settings.rungs) == 1:
            return self.trials
        return min(self.trials, 1 + settings.random_finishers + math.ceil(settings.promote * self.trials - 1e-9))

    def _is_there(self, *names: str) -> bool:
        return self.folder is not None and (self.folder.joinpath(*names) / "manifest.json").is_file()

    @property
    def _draws(self) -> Draws:
        assert self.probe is not None
        return assumed_draws(self.probe, probed_facts(self.probe, self.ground.facts))

    def _items(self, rates: Rates | None) -> list[Item]:
        lengths, counts, settings = self.ground.lengths, self.ground.facts.counts, self.settings
        validation = round(settings.validation_share * counts["test"])
        validation = validation if settings.validation is None else min(validation, settings.validation)
        unseen = counts["test"] - validation + counts["ood"]
        load = Work(loads=1)
        items = []
        if self.probe is not None:
            work = probe_work(self.probe, probed_facts(self.probe, self.ground.facts), lengths, self._draws)
            items.append(Item("probe", work, self._is_there("probe")))
        base = base_tokens(self.evaluate, rates, lengths)
        items.append(
            Item("base asked", asking_work(validation, lengths, base) + load, self._is_there("base-validation"))
        )
        asked = asking_work(validation, lengths) + load
        last = len(settings.rungs) - 1
        for number in range(self.trials):
            name = ("trials", f"{number:03d}")
            items.append(Item("selections", Work(), self._is_there(*name, "select"), at_once=True))
            before = 0.0
            for rung, share in enumerate(settings.rungs):
                if rung and number >= self.finishers:
                    break
                done = self._is_there(*name, f"validation-{rung}")
                items.append(
                    Item(
                        "trainings",
                        self._training(share - before),
                        done,
                        int(rung == last),
                        at_once=True,
                    )
                )
                items.append(Item("models asked", asked, done, at_once=True))
                before = share
        finalists = min(settings.finalists + 1, self.finishers)
        items.append(Item("base on unseen questions", asking_work(unseen, lengths, base), self._is_there("base-test")))
        over = self._is_there()
        return [*items, *[Item("finalists on unseen questions", asking_work(unseen, lengths) + load, over)] * finalists]

    def _training(self, share: float) -> Work:
        lengths = self.ground.lengths
        tokens = self.examples_read * (lengths.question + lengths.answer)
        return Work(updates=self.updates * share, trained=tokens * share, trainings=1)

    def _sizes(self, memory: int | None) -> Sizes:
        model, machine = self.ground.model, training_machine(self.train)
        weights, paused = stored_bytes(model, self.train), checkpoint_bytes(model, self.train, machine)
        if weights is None or paused is None:
            return Sizes(memory, None)
        items = self._items(None)
        left = [item for item in items if not item.there]
        if not left:
            return Sizes(memory, 0)
        work = Work.total([item.work for item in left])
        held = self.finishers * weights + (self.trials - self.finishers + 1) * paused
        facts = 0 if self.probe is None else probed_facts(self.probe, self.ground.facts)
        steps = sum(item.steps for item in left)
        stored = Stored(work.completions, facts, work.questions, steps=steps, pages=1, weights=held)
        passing = 0.0 if self.settings.keep_models else held - weights  # the best one's stay
        return Sizes(memory, stored.bytes * self.settings.repeats, passing * self.settings.repeats)
