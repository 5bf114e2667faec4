"""The front door of a fit: a model and data in, the better model out, within a budget.

    split -> probe -> base and prompt -> plain -> search -> seeds -> mean and repair -> random draw -> one test

Notable choices
- The fit is a step directory, and everything in it is made of steps: the same command after a kill, Ctrl-C or a full
  disk goes on where it was.
- `model/` holds the best so far from the first training on. Ctrl-C finishes the folder with it, without a test; the
  same command takes it up again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import yaml

from recollect.chat.asking import chat_input
from recollect.core.settings import source_of
from recollect.core.workspace import DEFAULT_ROOT, Manifest, Step, open_step, write_atomic
from recollect.core.workspace.fit import Contender, FitFound, Name
from recollect.core.workspace.manifest import PARTIAL
from recollect.engines import find_engine
from recollect.evaluate.pages import page_task
from recollect.experiments.base import Base
from recollect.experiments.cell import has_weights
from recollect.experiments.fit.advice import advice
from recollect.experiments.fit.answers import Answers, value_of
from recollect.experiments.fit.clock import FitClock
from recollect.experiments.fit.final import contenders, first_choice, flips, test_all
from recollect.experiments.fit.keep import finish_model, keep, kept
from recollect.experiments.fit.ours import Entrant, Ours, make_ours, train_random
from recollect.experiments.fit.searching import Searched, run_fit_search
from recollect.experiments.fit.settings import FitParts, FitSettings, Goal
from recollect.experiments.fit.space import exhaustive, fit_space
from recollect.experiments.fit.split import Parts, split_for_fit
from recollect.experiments.fit.stages import STEPS, Ground, ask_base, probe_base, train_plain
from recollect.experiments.found import Stage, known, no_stage, unheard, write_page
from recollect.experiments.search.space import Space
from recollect.experiments.under_way import UNDER_WAY, watched
from recollect.facts import FactSet, load_facts
from recollect.train import TrainFound
from recollect.train.auto import auto_input

AGAIN = "fit.yaml"
"""The file of settings that repeats a fit exactly: `recollect fit --config fit.yaml`."""


_LONG = 6
"""Words of an answer from which it is judged by how much of it a model says, not by whether it says all of it."""


@dataclass(frozen=True)
class FitResult:
    """The folder of a finished fit: `model/`, `report.html`, and what was found."""

    path: Path
    found: FitFound

    @property
    def model(self) -> Path:
        """The folder of the model, whole."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @cached_property
    def answer(self) -> dict[str, object]:
        """The answer for --json."""
        found = self.found

        def test(name: str) -> float | None:
            one = found.contender(name)
            return None if one is None or one.test is None else round(one.test.percent[0], 2)

        def forgot(name: str) -> float | None:
            one = found.contender(name)
            return None if one is None or one.forgot is None else round(one.forgot.percent[0], 2)

        best = found.best.test
        value, low, high = (None, None, None) if best is None else (round(end, 2) for end in best.percent)
        return {
            "model": str(self.model),
            "chosen": found.chosen,
            "test": value,
            "low": low,
            "high": high,
            "base": test("base"),
            "few_shot": test("few-shot"),
            "plain_sft": test("plain"),
            "random_same_size": test("random"),
            "used_examples": found.best.examples,
            "of": found.sets.train,
            "seconds": round(found.seconds, 1),
            "foretold_seconds": found.foretold_seconds,
            "cost_vs_full_search": round(found.updates / found.full_updates, 4) if found.full_updates else None,
            "forgetting_plain": forgot("plain"),
            "forgetting": forgot(found.chosen),
            "advice": list(found.advice),
        }


@dataclass(frozen=True)
class Wanted:
    """A fit with its data read and its model found."""

    settings: FitSettings
    facts: FactSet
    goal: Goal
    parts: FitParts
    data: Parts
    inputs: dict[str, str]
    sources: dict[str, str]


def prepare_fit(settings: FitSettings, facts: FactSet | None = None) -> Wanted:
    """Read the data, find the model, cut the parts; raises InputError and ModelError for what cannot be fitted."""
    sources = {"model": settings.model, "facts": source_of(settings, "data", facts)}
    facts = load_facts(settings.data) if facts is None else facts
    first = FitParts.of(settings, None, "facts")
    model = find_engine(first.evaluate)
    goal = goal_of(settings, first, facts)
    parts = FitParts.of(settings, model.ref, goal)
    data = split_for_fit(facts, settings, pages=goal == "attributes")
    inputs = {
        **model.inputs,
        **chat_input(parts.train.prompt),
        "facts": facts.fingerprint(),
        **auto_input(parts.train),
    }
    return Wanted(settings, facts, goal, parts, data, inputs, sources)


def goal_of(settings: FitSettings, parts: FitParts, facts: FactSet) -> Goal:
    """What is to become better, by the data where it is not said."""
    if settings.goal != "auto":
        return settings.goal
    if page_task(parts.evaluate, facts) is not None:
        return "attributes"
    words = median(len(fact.object.split()) for fact in facts)
    return "chat" if words >= _LONG and set(facts.relations) == {"qa"} else "facts"


def run_fit(
    settings: FitSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    *,
    stage: Stage | None = None,
    say: Callable[[str], None] = unheard,
    facts: FactSet | None = None,
    foretold: float | None = None,
) -> FitResult:
    """Fit, go on with a fit, or find it done. stage: shows what it is at. foretold: seconds that a plan expected.

    Ctrl-C, and a file named `stop` in the unfinished folder, end it with the best so far; the first is raised again
    when that is stored, and the same call goes on later. Raises InputError for data that cannot be cut in three,
    StepError for a folder of another fit, ModelError for a broken base.

    Examples:
        `few` is the folder of a `run_facts` with 40 facts.

        >>> from recollect import FitSettings, run_fit
        >>> result = run_fit(FitSettings.make(
        ...     data=str(few), budget="2 trials", seeds=1, use_levels=False, train={"max_steps": 2}))
        >>> result.found.chosen in ("base", "few-shot", "plain", "random", "ours")
        True
        >>> (result.model / "config.json").is_file()
        True
    """
    wanted = prepare_fit(settings, facts)
    with open_step("fit", settings, wanted.inputs, out, root, _unfinished) as step:
        if not step.done:
            _Fit(step, wanted, stage or no_stage, say, foretold).work()
    write_page(step.path, stage or no_stage)
    return FitResult(step.path, FitFound.read(step.path))


def fit_begun(settings: FitSettings, out: Path | None) -> bool:
    """Whether there is something of a fit at `out` already, so that nothing is to be asked any more."""
    return out is not None and (out.exists() or out.with_name(f"{out.name}{PARTIAL}").exists())


def _unfinished(path: Path, manifest: Manifest) -> bool:
    """Whether a finished folder is of a fit that was stopped."""
    return bool(manifest.metrics.get("stopped"))


class _Fit:
    """One fit at work."""

    def __init__(
        self, step: Step, wanted: Wanted, stage: Stage, say: Callable[[str], None], foretold: float | None
    ) -> None:
        self.step, self.wanted, self.foretold = step, wanted, foretold
        settings = wanted.settings
        self.ground = Ground(
            step=step,
            settings=settings,
            parts=wanted.parts,
            goal=wanted.goal,
            data=wanted.data,
            base=Base(wanted.parts.evaluate),
            stage=stage,
            say=say,
            clock=FitClock(step.folder / STEPS, settings.seconds),
            notes=list(wanted.data.notes),
        )
        self.validated: dict[Name, Answers] = {}

    def work(self) -> None:
        """All stages; Ctrl-C stores the best so far before it is raised on."""
        self.ground.steps.mkdir(exist_ok=True)
        self._write_again()
        try:
            with self._timed(), watched(self.step.folder / UNDER_WAY):
                ours, random, searched = self._choose()
                self._finish(ours, random, searched)
        except KeyboardInterrupt:
            self._store_best()
            raise

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """What is outside of every stage counts too."""
        before, began = sum(self.ground.clock.stages.values()), time.monotonic()
        try:
            yield
        finally:
            inside = sum(self.ground.clock.stages.values()) - before
            rest = time.monotonic() - began - inside
            self.ground.clock.stages["the rest"] = self.ground.clock.stages.get("the rest", 0.0) + max(0.0, rest)

    def _choose(self) -> tuple[Ours, Path | None, Searched | None]:
        """Everything that is done on training and validation data."""
        ground = self.ground
        with ground.stage("loading the model", ""):
            ground.base.load()
        with ground.clock.stage("probing"):
            probe_base(ground)
        for name, answers in ask_base(ground).items():
            self.validated[name] = answers  # type: ignore[index]
        self.validated["plain"] = train_plain(ground)
        self._keep_step(ground.steps / "train-plain", "plain")
        worth = value_of(self.validated["plain"], ground.knowledge)[2]
        searched = run_fit_search(ground, self.validated["base"], worth, self._keep_step)
        if searched is None:
            ground.notes.append("The budget had no room for a search: only the comparisons competed.")
        ours = make_ours(ground, self.validated["plain"], searched, self._keep)
        self.validated["ours"] = ours.answers
        random = self._random(ours)
        return ours, random, searched

    def _random(self, ours: Ours) -> Path | None:
        ground = self.ground
        if not ground.clock.room(ground.training + ground.asking, 4 * ground.final_asking):
            ground.notes.append("The budget had no room for the random selection of equal size.")
            return None
        model = train_random(ground, ours)
        self.validated["random"] = Answers(ground.steps / "evaluate-random")
        return model

    def _keep(self, best: Entrant) -> None:
        self._keep_step(best.model, best.candidate.name)

    def _keep_step(self, model: Path, name: str) -> None:
        """Have `model/` hold the best so far."""
        if has_weights(model):  # else a better one took its place in an earlier life
            keep(self.ground, model, name)

    def _finish(self, ours: Ours, random: Path | None, searched: Searched | None) -> None:
        """The test, the result, the model."""
        ground = self.ground
        tested = test_all(ground, self.validated, ours, random)
        flipped, lost, gained = flips(ground, tested)
        trainings, full = exhaustive(self._space(searched), ground.parts.train, ground.most)
        found = self._known().model_copy(
            update={
                "chosen": tested.chosen,
                "chosen_by": tested.why,
                "known_test": len(tested.knowledge.items),
                "contenders": contenders(ground, tested, ours),
                "trials": searched.found(ground) if searched else (),
                "candidates": ours.candidates,
                "settings_of_ours": ours.settings,
                "repair": ours.repair,
                "seeds": ours.seeds,
                "flipped": flipped,
                "lost": lost,
                "gained": gained,
                "updates": self._updates(searched),
                "full_updates": full,
                "full_trainings": trainings,
            }
        )
        models: dict[Name, Path | None] = {"plain": ground.steps / "train-plain", "random": random, "ours": ours.model}
        finish_model(ground, found, models.get(tested.chosen))
        self._store(found)

    def _space(self, searched: Searched | None) -> Space:
        if searched is not None:
            return searched.space
        return fit_space(self.wanted.settings, self.ground.most, self.ground.levels is not None, 1e-4)

    def _updates(self, searched: Searched | None) -> int:
        """Of all trainings."""
        trained = [TrainFound.read(file.parent).steps for file in self.ground.steps.glob("train-*/manifest.json")]
        return sum(trained) + (sum(trial.steps for trial in searched.trials) if searched else 0)

    def _known(self) -> FitFound:
        """What is known before the test."""
        ground, wanted = self.ground, self.wanted
        name = first_choice(ground, self.validated) if self.validated else "base"
        pages = wanted.goal == "attributes"
        scored = "mean share of right values over the attributes" if pages else "share of right answers"
        levels: dict[str, int] = {}
        if ground.levels is not None:
            train = {fact.id for fact in ground.choosing.part("train")}
            rows = zip(ground.levels["fact_id"].to_list(), ground.levels["level"].to_list(), strict=True)
            mine = [level for fact_id, level in rows if fact_id in train]
            levels = {str(level): mine.count(level) for level in range(5)}
        how = "the base had right, with or without examples in its prompt"
        return FitFound(
            **known(wanted.settings, ground.base, wanted.facts).model_dump(exclude={"sources", "title", "notes"}),
            title="Which model to take",
            notes=tuple(dict.fromkeys(ground.notes)),
            sources=wanted.sources,
            chosen=name,
            chosen_by="",
            goal=wanted.goal,
            pages=pages,
            scored=scored,
            known=f"{how}, or that are at memory level 3 or 4" if ground.levels is not None else how,
            charge=wanted.settings.forgetting,
            sets=wanted.data.counts,
            contenders=tuple(self._validated_only()),
            levels=levels,
            budget=wanted.settings.budget,
            foretold_seconds=self.foretold,
        )

    def _validated_only(self) -> Iterator[Contender]:
        counts = {"few-shot": self.wanted.settings.few_shot, "plain": self.ground.most}
        for name, answers in self.validated.items():
            yield Contender(name=name, examples=counts.get(name, 0), validation=answers.score())
        if not self.validated:
            yield Contender(name="base")

    def _store(self, found: FitFound) -> None:
        clock = self.ground.clock
        found = found.model_copy(
            update={
                "seconds": round(clock.spent, 1),
                "used": {name: round(one, 1) for name, one in clock.stages.items()},
            }
        )
        self.step.finish(found.model_copy(update={"advice": advice(found)}))

    def _store_best(self) -> None:
        """Finish the folder with the best so far, to be taken up again."""
        best = kept(self.step.folder)
        if not best:
            keep(self.ground, None, best := "the untouched base")
        found = self._known()
        chosen: Name = "base" if best == "the untouched base" else "plain" if best == "plain" else "ours"
        if found.contender(chosen) is None:
            found = found.model_copy(update={"contenders": (*found.contenders, Contender(name=chosen))})
        told = {"chosen": chosen, "chosen_by": f"{best}.", "stopped": True}
        self.ground.say(f"stopped: the model folder holds the best so far, {best}; the same command goes on")
        self._store(found.model_copy(update=told))

    def _write_again(self) -> None:
        """The settings that repeat this fit."""
        values = {
            **self.wanted.settings.given(),
            "model": self.wanted.settings.model,
            "data": self.wanted.settings.data,
        }
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        head = "# The fit again, exactly: recollect fit --config fit.yaml\n"
        write_atomic(self.step.folder / AGAIN, lambda file: file.write((head + text).encode()))
