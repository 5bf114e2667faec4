"""The methods that the replay compares, each as something that gives jobs and takes outcomes.

Optuna is always there. Syne Tune (`pip install syne-tune statsmodels`) and NePS (`pip install neural-pipeline-search`)
are used where they are installed. Each starts with the same known good setting, and each proposal is moved to the
nearest unused setting of the table. A divergence is told as the worst score there is: left out or as NaN, the models
would learn nothing of it.
"""

from __future__ import annotations

import datetime
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from search_replay import ADAM, Decides, Make, Table

from recollect.experiments.search import Job, Outcome, Plan, Scheduler
from recollect.experiments.search.proposals import distributions, suggest

EVERY = 5
"""Evaluations between two questions to a pruner, of 50."""


def ours(**plan: Any) -> Make:
    """Recollect's scheduler as it is."""

    def make(table: Table, budget: int, seed: int) -> Decides:
        given = {"trials": None, "budget_steps": budget} | plan
        known = {"starts": [table.snap(ADAM, [])], "steps": lambda _: table.last, "settle": table.snap}
        return Scheduler(table.space, Plan(**given), seed, **known)

    return make


class Pieces(ABC):
    """Trains a piece of `every` evaluations at a time; after each, `keep` says whether the trial goes on."""

    def __init__(self, table: Table, every: int) -> None:
        self.table, self.every = table, every
        self._taken: list[Mapping[str, Any]] = []
        self._goes_on: list[tuple[int, int]] = []

    def next(self) -> Job:
        """Another piece of a trial that was not stopped, or a new one."""
        if self._goes_on:
            number, piece = self._goes_on.pop(0)
        else:
            number, piece = len(self._taken), 0
            self._taken.append(self.new(number))
        return Job(number, piece, min(1.0, (piece + 1) * self.every / self.table.last), self._taken[number])

    def tell(self, outcome: Outcome) -> None:
        """Take the outcome of a piece."""
        step = (outcome.rung + 1) * self.every
        broken = outcome.score is None
        done = broken or step >= self.table.last
        if self.keep(outcome.trial, step, self.table.worst if outcome.score is None else outcome.score, done):
            self._goes_on.append((outcome.trial, outcome.rung + 1))

    def snap(self, number: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """The nearest setting that is not taken; the first is Adam as everyone starts it."""
        return self.table.snap(values if number else ADAM, self._taken)

    @abstractmethod
    def new(self, number: int) -> Mapping[str, Any]:
        """The settings of a new trial."""

    @abstractmethod
    def keep(self, number: int, step: int, score: float, done: bool) -> bool:
        """Is the trial trained on?"""


class Snapped(BaseSampler):
    """An Optuna sampler whose proposals are moved to the table."""

    def __init__(self, inner: BaseSampler, pieces: Pieces) -> None:
        self._inner, self._pieces = inner, pieces

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> Any:
        return distributions(self._pieces.table.space)

    def sample_relative(self, study: optuna.Study, trial: Any, search_space: Any) -> dict[str, Any]:
        inner = self._inner
        values = dict(inner.sample_relative(study, trial, inner.infer_relative_search_space(study, trial)))
        for name, distribution in search_space.items():
            if name not in values:
                values[name] = inner.sample_independent(study, trial, name, distribution)
        return self._pieces.snap(trial.number, values)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        raise AssertionError("every setting is sampled at once")

    def before_trial(self, study: optuna.Study, trial: Any) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: optuna.Study, trial: Any, state: TrialState, values: Any) -> None:
        self._inner.after_trial(study, trial, state, values)


class Optuna(Pieces):
    """An Optuna study with a sampler and, maybe, a pruner."""

    def __init__(self, table: Table, sampler: BaseSampler, pruner: Any, every: int) -> None:
        super().__init__(table, every)
        pruner = pruner or optuna.pruners.NopPruner()
        self._study = optuna.create_study(direction="maximize", sampler=Snapped(sampler, self), pruner=pruner)
        self._trials: list[optuna.Trial] = []

    def new(self, number: int) -> Mapping[str, Any]:
        self._trials.append(self._study.ask())
        return suggest(self.table.space, self._trials[-1])

    def keep(self, number: int, step: int, score: float, done: bool) -> bool:
        trial = self._trials[number]
        trial.report(score, step)
        if done:
            self._study.tell(trial, score)
            return False
        if trial.should_prune():
            self._study.tell(trial, state=TrialState.PRUNED)
            return False
        return True


class SyneTune(Pieces):
    """Asynchronous halving of Syne Tune: a trial that is not among the best third at a rung stops for good."""

    def __init__(self, table: Table, kind: str, seed: int) -> None:
        from syne_tune.config_space import loguniform
        from syne_tune.optimizer import baselines

        super().__init__(table, EVERY)
        np.random.seed(seed)  # it draws brackets from the global state
        space = {name: loguniform(one.low, one.high) for name, one in table.space.parameters.items()}
        given = {"metric": "score", "time_attr": "step", "do_minimize": False, "max_t": table.last}
        make = getattr(baselines, kind)
        self._scheduler = make(space, **given, grace_period=EVERY, reduction_factor=3, random_seed=seed)
        self._trials: list[Any] = []

    def new(self, number: int) -> Mapping[str, Any]:
        from syne_tune.backend.trial_status import Trial

        values = self.snap(number, self._scheduler.suggest().config)
        self._trials.append(Trial(number, values, datetime.datetime.now()))
        self._scheduler.on_trial_add(self._trials[-1])
        return values

    def keep(self, number: int, step: int, score: float, done: bool) -> bool:
        found = {"score": score, "step": self.table.last if done else step}
        if done:
            self._scheduler.on_trial_complete(self._trials[number], found)
            return False
        return bool(self._scheduler.on_trial_result(self._trials[number], found) == "CONTINUE")


class Neps:
    """A method of NePS with rungs at 10, 33 and 100 % of a training; whoever is promoted resumes."""

    def __init__(self, table: Table, kind: str, seed: int, **given: Any) -> None:
        import neps
        import torch
        from neps.optimizers import algorithms
        from neps.optimizers.ask_and_tell import AskAndTell

        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        known = table.snap(ADAM, [])
        prior = {name: {} if kind == "asha" else {"prior": known[name], "prior_confidence": "medium"} for name in ADAM}
        ranges = table.space.parameters.items()
        body: dict[str, Any] = {name: neps.Float(one.low, one.high, log=True, **prior[name]) for name, one in ranges}
        space = type("Searched", (neps.PipelineSpace,), body | {"evaluation": neps.IntegerFidelity(5, table.last)})
        self._table = table
        self._method = AskAndTell(getattr(algorithms, kind)(space(), eta=3, **given))
        self._values: dict[int, dict[str, Any]] = {}
        self._rungs: dict[int, int] = {}
        self._asked: dict[tuple[int, int], Any] = {}

    def next(self) -> Job:
        """The next evaluation that it asks for."""
        trial = self._method.ask()
        number = int(str(trial.metadata.id).partition("_")[0])
        config = dict(trial.config)
        share = int(config.pop("evaluation")) / self._table.last
        if number not in self._values:
            self._values[number] = self._table.snap(config if self._values else ADAM, list(self._values.values()))
        self._rungs[number] = rung = self._rungs.get(number, -1) + 1
        self._asked[number, rung] = trial
        return Job(number, rung, share, self._values[number])

    def tell(self, outcome: Outcome) -> None:
        """Take a score."""
        loss = -(self._table.worst if outcome.score is None else outcome.score)
        self._method.tell(self._asked.pop((outcome.trial, outcome.rung)), {"objective_to_minimize": loss})


def _optuna(sampler: Callable[[int], BaseSampler], pruner: Callable[[], Any] | None = None) -> Make:
    every = 50 if pruner is None else EVERY
    return lambda table, budget, seed: Optuna(table, sampler(seed), pruner and pruner(), every)


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)


def _gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=5, warn_independent_sampling=False)


def _halving() -> Any:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=2 * EVERY, reduction_factor=3)


def _hyperband() -> Any:
    return optuna.pruners.HyperbandPruner(min_resource=EVERY, max_resource=50, reduction_factor=3)


METHODS: dict[str, Make] = {
    "ours": ours(),
    "random": _optuna(lambda seed: optuna.samplers.RandomSampler(seed=seed)),
    "Optuna GP, to the end": _optuna(_gp),
    "Optuna TPE, to the end": _optuna(_tpe),
    "Optuna TPE, SuccessiveHalvingPruner": _optuna(_tpe, _halving),
    "Optuna GP, SuccessiveHalvingPruner": _optuna(_gp, _halving),
    "Optuna TPE, HyperbandPruner": _optuna(_tpe, _hyperband),
    "Optuna TPE, WilcoxonPruner": _optuna(_tpe, lambda: optuna.pruners.WilcoxonPruner(p_threshold=0.1)),
    "Syne Tune ASHA": lambda table, budget, seed: SyneTune(table, "ASHA", seed),
    "Syne Tune BOHB": lambda table, budget, seed: SyneTune(table, "BOHB", seed),
    "NePS ASHA": lambda table, budget, seed: Neps(table, "asha", seed),
    "NePS PriorBand": lambda table, budget, seed: Neps(table, "priorband", seed, base="async_hb"),
}
"""The methods of the benchmark's table, by name."""

VARIANTS: dict[str, Make] = {
    "ours, rungs 6, 20, 100 %": ours(rungs=(0.06, 0.2, 1.0)),
    "ours, Optuna's GP": ours(sampler="gp"),
    "ours, random": ours(sampler="random"),
    "ours, no random finishers": ours(random_finishers=0),
}
"""What ours would be with one thing changed."""
