"""From the search to one model: the best settings, trained anew by several seeds, averaged, and moved back.

Notable choices
- The settings are chosen by one training each; the seeds say how far that was luck. Every seed draws its own examples.
- Means of weights (model soups, arXiv 2203.05482) are candidates too: of the seeds, and of the best trained models
  whatever their settings. So is every repair of the best so far: a share of its change kept in all weights (WiSE-FT,
  arXiv 2109.01903), or its most changed weights set back. All compete on the same validation questions; the test sees
  the winner alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from recollect.core.workspace import is_finished
from recollect.core.workspace.fit import Candidate
from recollect.experiments.cell import Cell, drop_weights
from recollect.experiments.fit.answers import Answers, error_of, value_of
from recollect.experiments.fit.choose import choose
from recollect.experiments.fit.keep import merged
from recollect.experiments.fit.searching import Searched
from recollect.experiments.fit.stages import PLAIN, RANDOM, RANDOM_SEED, Ground, plain_cell
from recollect.experiments.search.trial import TrialValue
from recollect.restore import RestoreSettings, run_between, run_restore
from recollect.select import SelectSettings
from recollect.train import TrainSettings

TRAINED = ("plain", "trial", "seed")
BEST = (3, 5, 8)
"""So many of the best trained models are averaged."""
KEPT_CHANGE = (0.6, 0.8)
"""Shares of the change that are tried."""
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
        """The training facts, each once."""
        chosen = (pl.read_parquet(path / "selection.parquet", glob=False)["fact_id"] for path in self.selections)
        return frozenset(name for ids in chosen for name in ids.to_list())


@dataclass(frozen=True)
class Ours:
    """The chosen model, and all that competed for it."""

    model: Path
    settings: dict[str, TrialValue]
    select: SelectSettings
    train: TrainSettings
    trained_on: frozenset[str]
    """The training facts, each once."""
    candidates: tuple[Candidate, ...]
    repair: str
    seeds: tuple[float, ...]
    answers: Answers

    @property
    def chosen(self) -> Candidate:
        """It among the candidates."""
        return next(one for one in self.candidates if one.chosen)

    @property
    def examples(self) -> int:
        """How many training facts."""
        return len(self.trained_on)

    @property
    def averaged(self) -> bool:
        """Whether it is made of several trainings."""
        return self.chosen.kind in ("mean", "repair")


@dataclass
class Field:
    """The candidates as they come."""

    ground: Ground
    entrants: list[Entrant] = field(default_factory=list)
    kept: Callable[[Entrant], None] = lambda entrant: None
    """Told of every new best."""

    def add(self, name: str, kind: str, model: Path, answers: Answers, selections: tuple[Path, ...]) -> Entrant:
        """One more."""
        score, forgot, value = value_of(answers, self.ground.knowledge)
        made = Candidate.model_validate({"name": name, "kind": kind, "score": score, "forgot": forgot, "value": value})
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


def more_seeds(field_: Field, select: SelectSettings, train: TrainSettings) -> list[Entrant]:
    """The same settings again, each time with other examples and another order, as far as there is room."""
    ground, found = field_.ground, list[Entrant]()
    with ground.clock.stage("more seeds") as lasted:
        for number in range(1, ground.settings.seeds):
            one = lasted() / len(found) if found else ground.training + ground.asking
            if not ground.clock.room(one, ground.reserve):
                break
            cell = seed_cell(ground, f"seed{number}", select, train, ground.settings.seed + number)
            ground.run(f"the same with seed {number}", cell)
            trained, selected = cell.path(ground.steps, "train"), (cell.path(ground.steps, "select"),)
            found.append(field_.add(f"seed {number}", "seed", trained, ground.answers(cell), selected))
    return found


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
        for name, members in wanted.items():
            if not _room(field_.ground):
                return
            out = field_.ground.steps / name.removeprefix("the ").replace(" ", "-")
            selected = tuple(path for one in members for path in one.selections)
            _enter(field_, name, "mean", out, partial(_write_mean, field_.ground, members, out), selected)


def _write_mean(ground: Ground, members: list[Entrant], out: Path) -> None:
    """The mean of several models' weights, added up one by one; of adapters that of the merged models."""
    models = [merged(ground, one.model) for one in members]
    mean = models[0]
    for at, other in enumerate(models[1:], 2):
        place = out if at == len(models) else out.with_name(f"{out.name}-{at}")
        before, mean = mean, run_between(RestoreSettings(), mean, other, 1 / at, out=place).path
        if at > 2:
            drop_weights(before)


def repairs(field_: Field) -> None:
    """The best so far, less a part of its change."""
    ground, best = field_.ground, field_.best
    base, tuned = ground.base.name, best.model
    with ground.clock.stage("repair"):
        for share in KEPT_CHANGE:
            out = ground.steps / f"repair-kept-{100 * share:g}"
            write = partial(run_between, RestoreSettings(), base, tuned, share, out=out)
            if not _room(ground):
                return
            name = f"{best.candidate.name}, {100 * share:g} % of its change kept"
            _enter(field_, name, "repair", out, write, best.selections)
        out = ground.steps / f"repair-restored-{SET_BACK:g}"
        restored = partial(run_restore, RestoreSettings.make(percent=SET_BACK), base, tuned, out=out)
        if _room(ground):
            name = f"{best.candidate.name}, {SET_BACK:g} % of the weights set back"
            _enter(field_, name, "repair", out, restored, best.selections)


def _room(ground: Ground) -> bool:
    """Whether one more model can be written and asked."""
    return ground.clock.room(2 * ground.asking, ground.reserve)


def _enter(
    field_: Field, name: str, kind: str, model: Path, write: Callable[[], object], selections: tuple[Path, ...]
) -> None:
    """Make a model unless its answers are there, ask it, and let it compete; its weights stay only if it leads."""
    ground = field_.ground
    out = ground.steps / f"evaluate-{model.name}"
    if not is_finished(out):
        write()
    answers = ground.ask(out, ground.choosing, ground.evaluation(str(model)), f"asking {name}")
    entrant = field_.add(name, kind, model, answers, selections)
    if field_.best is not entrant:
        drop_weights(model)


def train_random(ground: Ground, ours: Ours) -> Path:
    """As many examples as ours, drawn at random, trained as ours was."""
    select = ours.select.model_copy(update={"level": "random", "size": ours.examples})
    cell = seed_cell(ground, RANDOM, select, ours.train, ground.settings.seed + RANDOM_SEED)
    with ground.clock.stage("random draw of equal size"):
        ground.run("a random draw of equal size", cell)
    return cell.path(ground.steps, "train")


def make_ours(ground: Ground, plain: Answers, searched: Searched | None, kept: Callable[[Entrant], None]) -> Ours:
    """All of the above, in order."""
    field_ = Field(ground, kept=kept)
    first = best_settings(field_, plain, searched)
    select, train, values = settings_of(ground, first, searched)
    others = more_seeds(field_, select, train)
    averages(field_, [first, *others])
    repairs(field_)
    best = field_.best
    if best.candidate.kind != "plain":
        _drop_others(field_, best)
    repair = best.candidate.name.partition(", ")[2] if best.candidate.kind == "repair" else ""
    return Ours(
        model=best.model,
        settings=values,
        select=select,
        train=train,
        trained_on=best.trained_on,
        candidates=field_.marked,
        repair=repair,
        seeds=tuple(one.candidate.score for one in (first, *others)),
        answers=best.answers,
    )


def _drop_others(field_: Field, best: Entrant) -> None:
    """The plain one competes in the test and is kept; the others are needed no more."""
    for one in field_.entrants:
        if one is not best and one.candidate.kind != "plain":
            drop_weights(one.model)
