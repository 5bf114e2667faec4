"""From the search to one model: the best settings, trained anew by several seeds, averaged, and moved back.

Notable choices
- The settings are chosen by one training each; the seeds say how far that was luck. Every seed draws its own examples.
  Seeds that are adapters are trained in one pass where that is measured to pay.
- Means of weights (model soups, arXiv 2203.05482) are candidates too: of the seeds, and of the best trained models
  whatever their settings. So is every repair of the best so far: a share of its change kept in all weights (WiSE-FT,
  arXiv 2109.01903), or its most changed weights set back. All compete on the same validation questions; the test sees
  the winner alone.
- A folder is named after what it is made of: a fit that goes on with another best (a stop taken back, a raised budget)
  makes other models, and never takes the answers of those before. What is finished competes however little is left.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from recollect.core.numbers import many
from recollect.core.workspace import is_finished
from recollect.core.workspace.fit import Candidate
from recollect.experiments.cell import Cell, drop_weights, has_weights, is_done
from recollect.experiments.fit.answers import Answers, error_of, value_of
from recollect.experiments.fit.choose import choose
from recollect.experiments.fit.cost import updates_left
from recollect.experiments.fit.keep import merged
from recollect.experiments.fit.searching import Searched
from recollect.experiments.fit.stages import BEST, KEPT_CHANGE, PLAIN, RANDOM, RANDOM_SEED, Ground, plain_cell
from recollect.experiments.many.together import Together
from recollect.experiments.remaining import Remaining
from recollect.experiments.search.trial import TrialValue
from recollect.experiments.under_way import UNDER_WAY
from recollect.restore import RestoreSettings, run_between, run_restore
from recollect.select import SelectSettings
from recollect.train import TrainFound, TrainSettings

TRAINED = ("plain", "trial", "seed")
SET_BACK = 20.0
"""Percent of the most changed weights that are set back, as one more trial."""


@dataclass(frozen=True)
class Entrant:
    """A model that could be ours."""

    candidate: Candidate
    model: Path
    """The step with its weights."""
    answers: Answers
    selections: tuple[Path, ...]
    """The select steps of what it was trained on."""

    @property
    def trained_on(self) -> frozenset[str]:
        """The training facts of all, each once."""
        return frozenset(name for ids in self.members for name in ids)

    @property
    def members(self) -> list[frozenset[str]]:
        """Those of each training that it is made of."""
        chosen = (pl.read_parquet(path / "selection.parquet", glob=False)["fact_id"] for path in self.selections)
        return [frozenset(ids.to_list()) for ids in chosen]


@dataclass(frozen=True)
class Ours:
    """The chosen model, and all that competed for it."""

    model: Path
    settings: dict[str, TrialValue]
    select: SelectSettings
    train: TrainSettings
    updates: int
    """Of one training with these settings."""
    trained_on: frozenset[str]
    """The training facts, each once."""
    candidates: tuple[Candidate, ...]
    repair: str
    seeds: tuple[float, ...]
    forgotten: tuple[float, ...]
    """What the seeds had forgotten on validation, in percent."""
    answers: Answers
    members: tuple[int, ...]
    """Examples of each training that it is made of."""
    drawn: int
    """Examples of one training with its settings."""
    twin: Entrant | None = None
    """Where its settings take all examples: another training with them, so a random draw of equal size by itself."""
    everything: bool = False
    """Whether its settings take all examples."""

    @property
    def chosen(self) -> Candidate:
        """It among the candidates."""
        return next(one for one in self.candidates if one.chosen)

    @property
    def mark(self) -> str:
        """Of this model, for the names of what is asked of it."""
        return _mark(self.chosen.name, self.model.parent.name, self.model.name)

    @property
    def averaged(self) -> bool:
        """Whether a single training takes its place only beyond an error."""
        return self.chosen.averaged


@dataclass
class Field:
    """The candidates as they come."""

    ground: Ground
    entrants: list[Entrant] = field(default_factory=list)
    kept: Callable[[Entrant], None] = lambda entrant: None
    """Told of every new best."""

    def add(
        self,
        name: str,
        kind: str,
        model: Path,
        answers: Answers,
        selections: tuple[Path, ...],
        least: float = math.inf,
    ) -> Entrant:
        """One more. least: what it must be worth to count as made of several; nothing is as much as a single one."""
        score, forgot, value = value_of(answers, self.ground.knowledge)
        told = {"name": name, "kind": kind, "score": score, "forgot": forgot, "value": value}
        made = Candidate.model_validate({**told, "averaged": value >= least})
        entrant = Entrant(made, model, answers, selections)
        before = self.best if self.entrants else None
        self.entrants.append(entrant)
        if before is None or self.best is entrant:
            self.kept(entrant)
        return entrant

    @property
    def marked(self) -> tuple[Candidate, ...]:
        """All, with the front and the best marked."""
        return choose([one.candidate for one in self.entrants], self._error)

    def _error(self, first: str, second: str) -> float:
        """The standard error of two candidates' difference in score, in points."""
        one, other = (
            next(entrant for entrant in self.entrants if entrant.candidate.name == name) for name in (first, second)
        )
        return error_of(one.answers, other.answers)

    @property
    def best(self) -> Entrant:
        """The one to take."""
        name = next(one.name for one in self.marked if one.chosen)
        return next(one for one in self.entrants if one.candidate.name == name)


def best_settings(field_: Field, plain: Answers, searched: Searched | None) -> Entrant:
    """The plain fine-tuning and every finished trial enter; the best is what seeds and repairs start from."""
    ground = field_.ground
    field_.add(PLAIN, "plain", ground.steps / "train-plain", plain, (ground.steps / "select-plain",))
    if searched is not None:
        searched.drop_paused()
    for trial in searched.finished if searched else ():
        assert searched is not None
        training = searched.training(trial)
        selected = (training.with_name("select"),)
        field_.add(f"trial {trial.number}", "trial", training, searched.answers(trial), selected)
    return field_.best


def settings_of(
    ground: Ground, best: Entrant, searched: Searched | None
) -> tuple[SelectSettings, TrainSettings, dict[str, TrialValue]]:
    """Which examples, how trained, and the same by the names of the search."""
    trial = (
        next((one for one in searched.trials if best.candidate.name == f"trial {one.number}"), None)
        if searched
        else None
    )
    if trial is None or searched is None:
        cell = plain_cell(ground)
        return cell.select, cell.train, {"size": ground.most, "level": "random"}
    return searched.select(trial.values), searched.train(trial.values), dict(trial.values)


def more_seeds(
    field_: Field, first: Entrant, select: SelectSettings, train: TrainSettings, searched: Searched | None
) -> list[Entrant]:
    """The same settings again, each time with other examples and another order, as far as there is room."""
    ground, found = field_.ground, list[Entrant]()
    of, each = first.candidate.name.replace(" ", "-"), TrainFound.read(first.model).steps
    cells = {
        number: seed_cell(ground, f"seed{number}-{of}", select, train, ground.settings.seed + number)
        for number in range(1, ground.settings.seeds)
    }
    tried = searched.trials if searched else ()
    draw = 0 if len(first.trained_on) == ground.most else 1  # of equal size, which is one of these where all were used
    with ground.clock.stage("more seeds") as lasted:
        pass_together(ground, list(cells.values()), updates_left(ground, tried, each) - draw)
        for number, cell in cells.items():
            one = lasted() / len(found) if found else ground.training + ground.asking
            there = is_finished(cell.path(ground.steps, "train"))
            if not is_done(ground.steps, cell) and not (
                ground.clock.room(ground.asking if there else one, ground.reserve)
                and (there or updates_left(ground, tried, each) >= 1 + draw)
            ):
                break
            ground.run(f"the same with seed {number}", cell)
            trained, selected = cell.path(ground.steps, "train"), (cell.path(ground.steps, "select"),)
            found.append(field_.add(f"seed {number}", "seed", trained, ground.answers(cell), selected))
    if missing := ground.settings.seeds - 1 - len(found):
        ground.leave_out(f"{missing} of {many(ground.settings.seeds - 1, 'further seed')} of the best settings")
    return found


def pass_together(ground: Ground, cells: Sequence[Cell], most: float) -> None:
    """Train these in one pass where they are adapters and that pays; most: how many may be trained at all.

    As many as the time has room for one after the other. Whatever is left of any is left for `Ground.run`.
    """
    left = [cell for cell in cells if not is_finished(cell.path(ground.steps, "train"))]
    one = ground.training + ground.asking
    while left and not (len(left) <= most and ground.clock.room(len(left) * one, ground.reserve)):
        left.pop()
    if ground.pays is None or ground.pays.found is False or len(left) < 2:
        return
    together = Together(ground.context(), ground.say, ground.pays)
    together.expect(left)
    if (size := together.slots) < 2:
        return
    told = Remaining((), ground.step.folder / UNDER_WAY)
    with ground.stage(f"the same with {len(left)} seeds", "", told.at_work):
        for at in range(0, len(left), size):
            together.run(left[at : at + size])


def seed_cell(ground: Ground, name: str, select: SelectSettings, train: TrainSettings, seed: int) -> Cell:
    """A training with these settings and another seed."""
    return Cell(
        f"{{step}}-{name}",
        select.model_copy(update={"seed": seed}),
        train.model_copy(update={"seed": seed}),
        ground.evaluation(),
    )


def averages(field_: Field, seeds: list[Entrant]) -> None:
    """Means of weights: of the seeds, and of the best trained models, whatever their settings."""
    trained = [one for one in field_.entrants if one.candidate.kind in TRAINED]
    ranked = sorted(trained, key=lambda one: -one.candidate.value)
    wanted = {f"the mean of {len(seeds)} seeds": seeds} if len(seeds) > 1 else {}
    wanted |= {f"the mean of the best {count}": ranked[:count] for count in BEST if len(ranked) >= count}
    with field_.ground.clock.stage("averaging"):
        for at, (name, members) in enumerate(wanted.items()):
            made_of = _mark(*(one.candidate.name for one in members), *(str(one.model.name) for one in members))
            out = field_.ground.steps / f"{name.removeprefix('the ').replace(' ', '-')}-{made_of}"
            if not _room(field_.ground, out):
                field_.ground.leave_out(", ".join(list(wanted)[at:]))
                return
            selected = tuple(path for one in members for path in one.selections)
            least = sum(one.candidate.value for one in members) / len(members)
            _enter(field_, name, "mean", out, partial(_write_mean, field_.ground, members, out), selected, least)


def _write_mean(ground: Ground, members: list[Entrant], out: Path) -> None:
    """The mean of several models' weights, added up one by one; of adapters that of the merged models."""
    models = [merged(ground, one.model) for one in members]
    places = {at: out if at == len(models) else out.with_name(f"{out.name}-{at}") for at in range(2, len(models) + 1)}
    done = max((at for at, place in places.items() if _usable(place)), default=1)  # those before it have no weights
    mean = places.get(done, models[0])
    for at, place in places.items():
        if at > done:
            mean = run_between(RestoreSettings(), mean, models[at - 1], 1 / at, out=place).path
        if at - 1 in places:
            drop_weights(places[at - 1])


def _usable(step: Path) -> bool:
    """Whether a step is finished and has its weights."""
    return is_finished(step) and has_weights(step)


def _mark(*names: str) -> str:
    """A few signs that stand for these names, in a folder's."""
    return hashlib.blake2b("\n".join(names).encode(), digest_size=3).hexdigest()


def repairs(field_: Field) -> None:
    """The best so far, less a part of its change."""
    ground, best = field_.ground, field_.best
    base, tuned, mark = ground.base.name, best.model, _mark(best.candidate.name, best.model.name)
    least = -math.inf if best.candidate.averaged else math.inf  # a repair of one training is no more than that
    with ground.clock.stage("repair"):
        for at, share in enumerate(KEPT_CHANGE):
            out = ground.steps / f"repair-kept-{100 * share:g}-{mark}"
            write = partial(run_between, RestoreSettings(), base, tuned, share, out=out)
            if not _room(ground, out):
                left = 1 + len(KEPT_CHANGE) - at
                ground.leave_out(f"{left} of {1 + len(KEPT_CHANGE)} repairs (the best moved back towards the base)")
                return
            name = f"{best.candidate.name}, {100 * share:g} % of its change kept"
            _enter(field_, name, "repair", out, write, best.selections, least)
        out = ground.steps / f"repair-restored-{SET_BACK:g}-{mark}"
        restored = partial(run_restore, RestoreSettings.make(percent=SET_BACK), base, tuned, out=out)
        if not _room(ground, out):
            ground.leave_out(f"1 of {1 + len(KEPT_CHANGE)} repairs (the most changed weights set back)")
            return
        name = f"{best.candidate.name}, {SET_BACK:g} % of the weights set back"
        _enter(field_, name, "repair", out, restored, best.selections, least)


def _room(ground: Ground, model: Path) -> bool:
    """Whether one more model can be written and asked, or was before."""
    return is_finished(_asked(ground, model)) or ground.clock.room(2 * ground.asking, ground.reserve)


def _asked(ground: Ground, model: Path) -> Path:
    return ground.steps / f"evaluate-{model.name}"


def _enter(
    field_: Field,
    name: str,
    kind: str,
    model: Path,
    write: Callable[[], object],
    selections: tuple[Path, ...],
    least: float,
) -> None:
    """Make a model unless its answers are there, ask it, and let it compete; its weights stay only if it leads."""
    ground = field_.ground
    out = _asked(ground, model)
    if not is_finished(out) and not _usable(model):
        write()
    answers = ground.ask(out, ground.choosing, ground.evaluation(str(model)), f"asking {name}")
    entrant = field_.add(name, kind, model, answers, selections, least)
    if field_.best is not entrant:
        drop_weights(model)


def random_cell(ground: Ground, ours: Ours) -> Cell:
    """As many examples as one training with our settings used, drawn at random, trained as that was.

    A mean of several has read more different ones, but no training of it more than these.
    """
    select = ours.select.model_copy(update={"level": "random", "size": ours.drawn})
    return seed_cell(ground, f"{RANDOM}-{ours.mark}", select, ours.train, ground.settings.seed + RANDOM_SEED)


def make_ours(ground: Ground, plain: Answers, searched: Searched | None, kept: Callable[[Entrant], None]) -> Ours:
    """All of the above, in order."""
    field_ = Field(ground, kept=kept)
    first = best_settings(field_, plain, searched)
    select, train, values = settings_of(ground, first, searched)
    others = more_seeds(field_, first, select, train, searched)
    averages(field_, [first, *others])
    repairs(field_)
    best = field_.best
    twin = _twin(field_, [*others, first], best)
    if best.candidate.kind != "plain":
        _drop_others(field_, best, twin)
    repair = best.candidate.name.partition(", ")[2] if best.candidate.kind == "repair" else ""
    return Ours(
        model=best.model,
        settings=values,
        select=select,
        train=train,
        updates=TrainFound.read(first.model).steps,
        trained_on=best.trained_on,
        candidates=field_.marked,
        repair=repair,
        seeds=tuple(one.candidate.score for one in (first, *others)),
        forgotten=tuple(one.candidate.forgot for one in (first, *others)),
        answers=best.answers,
        members=tuple(len(one) for one in best.members),
        drawn=len(first.trained_on),
        twin=twin,
        everything=len(first.trained_on) == ground.most,
    )


def _twin(field_: Field, same: list[Entrant], best: Entrant) -> Entrant | None:
    """Of the trainings with the same settings one that is a random draw of as many examples, since that is all of them.

    Those that nobody picked for their score come first.
    """
    most = field_.ground.most
    return next((one for one in same if one is not best and len(one.trained_on) == most), None)


def _drop_others(field_: Field, best: Entrant, twin: Entrant | None) -> None:
    """The plain one and the random draw compete in the test and are kept; the others are needed no more."""
    for one in field_.entrants:
        if one is not best and one is not twin and one.candidate.kind != "plain":
            drop_weights(one.model)
