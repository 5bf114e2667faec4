"""The front door of a fit: a model and data in, the better model out, within a budget.

    split -> probe -> base and prompt -> plain -> search -> seeds -> mean and repair -> random draw -> one test

Notable choices
- The fit is a step directory, and everything in it is made of steps: the same command after a kill, Ctrl-C or a full
  disk goes on where it was.
- `model/` holds the best so far from the first training on. Ctrl-C finishes the folder with it, without a test; the
  same command takes it up again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from recollect.core.numbers import many
from recollect.core.random import take
from recollect.core.workspace import DEFAULT_ROOT, Manifest, Step, open_step, write_atomic, write_json
from recollect.core.workspace.fit import CALLED, NAMES, Contender, FitFound, Name
from recollect.errors import disk_is_full
from recollect.experiments.base import Base
from recollect.experiments.cell import drop_weights, has_weights, is_done
from recollect.experiments.fit.advice import advice
from recollect.experiments.fit.answers import Answers, value_of
from recollect.experiments.fit.clock import FitClock
from recollect.experiments.fit.cost import asks_early, pools_of, space_of, updates_left, updates_spent
from recollect.experiments.fit.elsewhere import check_place, open_queue
from recollect.experiments.fit.final import contenders, flips, test_all
from recollect.experiments.fit.first import UNTOUCHED, first_choice, worth
from recollect.experiments.fit.keep import finish_model, keep, kept, kept_value, settle, write_examples
from recollect.experiments.fit.ours import Entrant, Ours, make_ours, random_cell
from recollect.experiments.fit.prepare import Wanted, prepare_fit
from recollect.experiments.fit.result import FitResult
from recollect.experiments.fit.risk import check_risk, foretell_risk
from recollect.experiments.fit.searching import Searched, run_fit_search
from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.space import exhaustive
from recollect.experiments.fit.stages import STEPS, Ground, ask_base, check_lengths, probe_base, train_plain
from recollect.experiments.found import Stage, known, no_stage, unheard, write_page
from recollect.experiments.many.measure import Pays
from recollect.experiments.under_way import UNDER_WAY, watched
from recollect.facts import FactSet
from recollect.select import LEVELS

_UNKNOWN = 8
"""Questions of level 0 that the page lists."""
PLAN = "plan.json"
AGAIN = "fit.yaml"
"""The file of settings that repeats a fit exactly: `recollect fit --config fit.yaml`."""


def run_fit(
    settings: FitSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    *,
    stage: Stage | None = None,
    say: Callable[[str], None] = unheard,
    facts: FactSet | None = None,
    foretold: float | None = None,
    spent: float = 0.0,
) -> FitResult:
    """Fit, go on with a fit, or find it done. stage: shows what it is at. foretold: seconds that a plan expected.
    spent: seconds that count towards the budget and came before.

    settings.executor says where the trials of its search run; the rest runs here.

    Ctrl-C, and a file named `stop` in the unfinished folder, end it with the best so far; the first is raised again
    when that is stored, and the same call goes on later. Raises InputError for data that cannot be cut in three,
    StepError for a folder of another fit, ModelError for a broken base.

    Examples:
        `few` is the folder of a `run_facts` with 40 facts.

        >>> from recollect import FitSettings, run_fit
        >>> result = run_fit(FitSettings.make(
        ...     data=str(few), budget="1 trial", seeds=1, use_levels=False, validation_share=0.5,
        ...     train={"max_steps": 2}))
        >>> result.found.chosen in ("base", "few-shot", "plain", "random", "ours")
        True
        >>> (result.model / "config.json").is_file()
        True
    """
    wanted = prepare_fit(settings, facts)
    with open_step("fit", settings, wanted.inputs, out, root, _unfinished) as step:
        if not step.done:
            check_place(settings, out)
            fit = _Fit(step, wanted, stage or no_stage, say, foretold)
            fit.ground.clock.add("starting", spent)
            fit.work()
    write_page(step.path, stage or no_stage)
    return FitResult(step.path, FitFound.read(step.path))


def _unfinished(path: Path, manifest: Manifest) -> bool:
    """Whether a finished folder is of a fit that was stopped."""
    return bool(manifest.metrics.get("stopped"))


def foretold_before(steps: Path) -> float | None:
    """What a plan foretold in an earlier life of the fit."""
    try:
        return float(json.loads((steps / PLAN).read_text(encoding="utf-8"))["foretold_seconds"])
    except (OSError, ValueError, KeyError):
        return None


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
            pays=None if settings.one_by_one or settings.workers else Pays(say),
            notes=list(wanted.data.notes),
        )
        self.validated: dict[Name, Answers] = {}

    def work(self) -> None:
        """All stages; Ctrl-C stores the best so far before it is raised on."""
        self.ground.steps.mkdir(exist_ok=True)
        settle(self.step.folder)
        open_queue(self.ground)
        self._write_again()
        if self.foretold is not None:
            write_json(self.ground.steps / PLAN, {"foretold_seconds": self.foretold})
        try:
            with self._timed(), watched(self.step.folder / UNDER_WAY):
                ours, random, searched = self._choose()
                found = self._finish(ours, random, searched)
        except KeyboardInterrupt:
            self._store_best()
            raise
        except OSError as error:
            if disk_is_full(error) and (best := kept(self.step.folder)):
                self._say_best(best, self.step.folder)
            raise
        self._store(found)

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
            self.ground.clock.save()

    def _choose(self) -> tuple[Ours, Path | None, Searched | None]:
        """Everything that is done on training and validation data."""
        ground = self.ground
        with ground.stage("loading the model", ""):
            ground.base.load()
        check_lengths(ground)
        with ground.clock.stage("probing"):
            probe_base(ground)
        foretell_risk(ground.levels, ground.steps)
        for name, answers in ask_base(ground).items():
            self.validated[name] = answers  # type: ignore[index]
        self.validated["plain"] = train_plain(ground, asks_early(ground))
        worth = value_of(self.validated["plain"], ground.knowledge)[2]
        self._keep_step(ground.steps / "train-plain", "plain", worth)
        searched = run_fit_search(ground, self.validated["base"], worth, self._keep_step)
        if searched is None:
            ground.leave_out("the search: only the comparisons compete")
        ours = make_ours(ground, self.validated["plain"], searched, self._keep)
        self.validated["ours"] = ours.answers
        random = self._random(ours, searched)
        return ours, random, searched

    def _random(self, ours: Ours, searched: Searched | None) -> Path | None:
        """The random draw of equal size; where that is all examples, another training on them that is there already."""
        ground, cell = self.ground, random_cell(self.ground, ours)
        if ours.everything:
            twin = ours.twin
            called = CALLED.get(twin.candidate.name, twin.candidate.name) if twin else ""
            stands = f"{called} stands for it" if twin else "it is left out"
            ground.notes.append(
                f"All {many(ground.most, 'training example')} were used, so a random draw of equal size is the same "
                f"examples by another seed: {stands}, and nothing was trained for it."
            )
            if twin is None:
                return None
            self.validated["random"] = twin.answers
            return twin.model
        room = ground.clock.room(ground.training + ground.asking, 4 * ground.final_asking)
        if not is_done(ground.steps, cell) and not (
            room and updates_left(ground, searched.trials if searched else (), ours.updates) >= 1
        ):
            ground.leave_out("the random draw of equal size")
            return None
        with ground.clock.stage("random draw of equal size"):
            ground.run(CALLED["random"], cell)
        self.validated["random"] = ground.answers(cell)
        return cell.path(ground.steps, "train")

    def _keep(self, best: Entrant) -> None:
        one = best.candidate
        self._keep_step(best.model, one.name, one.value, over=one.averaged)

    def _keep_step(self, model: Path, name: str, value: float, *, over: bool = False) -> None:
        """Have `model/` hold the best so far; nothing that is worth no more than the base in its better prompt.

        over: also over a single training that is worth more, by luck.
        """
        knowledge, asked = self.ground.knowledge, self.validated
        least = max(worth(one, asked[one], knowledge) for one in UNTOUCHED if one in asked)
        if value > (least if over else max(least, kept_value(self.step.folder))) and has_weights(model):
            keep(self.ground, model, name, value)

    def _finish(self, ours: Ours, random: Path | None, searched: Searched | None) -> FitFound:
        """The test, the model; gives the result."""
        ground = self.ground
        tested = test_all(ground, self.validated, ours, random)
        flipped, lost, gained = flips(ground, tested)
        pools = pools_of(ground)
        space = searched.space if searched is not None else space_of(ground, pools)
        trainings, full = exhaustive(space, ground.parts.train, ground.most, pools)
        found = self._known().model_copy(
            update={
                "chosen": tested.chosen,
                "chosen_by": tested.why,
                "by_test": tested.by_test,
                "undecided": tested.undecided,
                "known_test": len(tested.knowledge.items),
                "risk": check_risk(ground.steps, tested.knowledge.items, tested.answers.get("plain")),
                "contenders": contenders(ground, tested, ours),
                "rule": tested.rule,
                "judged_at": searched.judged_at if searched else 0.0,
                "trials": searched.found(ground) if searched else (),
                "candidates": ours.candidates,
                "settings_of_ours": ours.settings,
                "members": ours.members,
                "together": len(ours.trained_on),
                "mix": self._by_level(ours.trained_on),
                "repair": ours.repair,
                "seeds": ours.seeds,
                "flipped": flipped,
                "lost": lost,
                "gained": gained,
                "updates": updates_spent(ground, searched.trials if searched else ()),
                "full_updates": full,
                "full_trainings": trainings,
            }
        )
        models: dict[Name, Path | None] = {"plain": ground.steps / "train-plain", "random": random, "ours": ours.model}
        finish_model(ground, found, models.get(tested.chosen))
        for step in ground.steps.glob("merged-*"):
            drop_weights(step)
        return found

    def _known(self) -> FitFound:
        """What is known before the test."""
        ground, wanted = self.ground, self.wanted
        name = first_choice(ground.knowledge, self.validated).name if self.validated else "base"
        pages = wanted.goal == "attributes"
        scored = "mean share of right values over the attributes" if pages else "share of right answers"
        train = ground.choosing.part("train")
        level_of = self._level_of
        unknown = [fact for fact in train if level_of.get(fact.id) == 0]
        shown = take(unknown, _UNKNOWN, wanted.settings.seed, "fit-unknown", lambda fact: fact.id)
        read = wanted.facts if len(wanted.facts.part("test")) else wanted.data.final  # of a chat the test is drawn here
        how = "the base had right, with or without examples in its prompt"
        how = "the base is sure of (a probability of 0.9 or more)" if ground.by_words else how
        return FitFound(
            **known(wanted.settings, ground.base, read).model_dump(exclude={"sources", "title", "notes"}),
            title="Which model to take",
            notes=tuple(dict.fromkeys(ground.notes)),
            sources=wanted.sources,
            chosen=name,
            chosen_by="",
            goal=wanted.goal,
            pages=pages,
            scored=scored,
            known=f"{how}, or that are at memory level 3 or 4" if ground.levels is not None else how,
            known_validation=len(ground.knowledge.items),
            by_words=ground.by_words,
            charge=wanted.settings.forgetting,
            sets=wanted.data.counts,
            contenders=tuple(self._validated_only()),
            levels=self._by_level(fact.id for fact in train),
            unknown=tuple(f"{fact.question} {fact.object}" for fact in shown),
            budget=wanted.settings.budget,
            most_cost=wanted.settings.most_cost if wanted.settings.limits.trials is not None else None,
            left_out=tuple(ground.left_out),
            foretold_seconds=self.foretold if self.foretold is not None else foretold_before(self.ground.steps),
        )

    @property
    def _level_of(self) -> dict[str, int]:
        """Memory levels by fact; empty where nothing was probed."""
        table = self.ground.levels
        return {} if table is None else dict(table.select("fact_id", "level").drop_nulls().iter_rows())

    def _by_level(self, facts: Iterable[str]) -> dict[str, int]:
        """How many facts of each level; empty where nothing was probed."""
        level_of = self._level_of
        counts = Counter(level_of.get(name) for name in facts)
        return {str(level): counts[level] for level in LEVELS} if level_of else {}

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
        chosen = next((name for name in NAMES if name == best), "ours")
        if not best or best in UNTOUCHED:
            asked = {name: answers for name, answers in self.validated.items() if name in UNTOUCHED}
            chosen = first_choice(self.ground.knowledge, asked).name if asked else "base"
            keep(self.ground, None, chosen)
            best = CALLED[chosen]
            if chosen == "few-shot":
                write_examples(self.ground)
        found = self._known()
        if found.contender(chosen) is None:
            found = found.model_copy(update={"contenders": (*found.contenders, Contender(name=chosen))})
        told = {"chosen": chosen, "chosen_by": f"{best}.", "stopped": True}
        self._store(found.model_copy(update=told))
        self._say_best(best, self.step.path)

    def _say_best(self, best: str, folder: Path) -> None:
        called = CALLED.get(best, best)
        self.ground.say(f"the best so far, {called}, is whole in {folder / 'model'}")

    def _write_again(self) -> None:
        """The settings that repeat this fit."""
        values = {
            **self.wanted.settings.given(),
            "model": self.wanted.settings.model,
            "data": self.wanted.settings.data,
        }
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        head = "# The fit again: recollect fit --config fit.yaml\n"
        if self.wanted.settings.seconds is not None:
            head += (
                "# A budget in time has room for more trials on a faster machine; one in trials repeats it exactly.\n"
            )
        write_atomic(self.step.folder / AGAIN, lambda file: file.write((head + text).encode()))
