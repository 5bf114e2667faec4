"""The methods that the replay compares, each as something that gives jobs and takes outcomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from search_table import ADAM, Decides, Make, Table

from recollect.experiments.search import Job, Outcome, Plan, Scheduler


def ours(**plan: Any) -> Make:
    """Recollect's scheduler as it is."""

    def make(table: Table, budget: int, seed: int) -> Decides:
        given = {"trials": None, "budget_steps": budget} | plan
        return Scheduler(
            table.space,
            Plan(**given),
            seed,
            starts=[table.snap(ADAM, [])],
            steps=lambda _: table.last,
            adjust=table.snap,
        )

    return make


class Snapped(BaseSampler):
    """An Optuna sampler whose proposals are moved to the nearest unused setting of the table."""

    def __init__(self, inner: BaseSampler, table: Table) -> None:
        self._inner, self._table = inner, table

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> Any:
        return self._table.space.distributions()

    def sample_relative(self, study: optuna.Study, trial: Any, search_space: Any) -> dict[str, Any]:
        inner, space = self._inner, self._inner.infer_relative_search_space(study, trial)
        values = dict(inner.sample_relative(study, trial, space))
        for name, distribution in search_space.items():
            if name not in values:
                values[name] = inner.sample_independent(study, trial, name, distribution)
        taken = [one.params for one in study.get_trials(deepcopy=False) if one.params]
        return self._table.snap(ADAM if trial.number == 0 else values, taken)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        raise AssertionError("every setting is sampled at once")

    def before_trial(self, study: optuna.Study, trial: Any) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: optuna.Study, trial: Any, state: TrialState, values: Any) -> None:
        self._inner.after_trial(study, trial, state, values)


class Peer:
    """An Optuna study that trains `every` evaluations at a time and asks its pruner after each.

    A divergence is told as the worst score there is: left out or as NaN, the models would learn nothing of it.
    """

    def __init__(
        self, table: Table, sampler: BaseSampler, pruner: optuna.pruners.BasePruner | None, every: int
    ) -> None:
        self._table, self._every = table, every
        self._study = optuna.create_study(
            direction="maximize", sampler=Snapped(sampler, table), pruner=pruner or optuna.pruners.NopPruner()
        )
        self._trials: dict[int, tuple[optuna.Trial, dict[str, Any]]] = {}
        self._goes_on: list[tuple[int, int]] = []

    def next(self) -> Job:
        """Another piece of a trial that was not pruned, or a new one."""
        if self._goes_on:
            number, piece = self._goes_on.pop(0)
        else:
            trial = self._study.ask()
            number, piece = trial.number, 0
            self._trials[number] = trial, self._table.space.suggest(trial)
        share = min(1.0, (piece + 1) * self._every / self._table.last)
        return Job(number, piece, share, self._trials[number][1])

    def tell(self, outcome: Outcome) -> None:
        """Take the outcome of a piece."""
        trial, _ = self._trials[outcome.trial]
        step = (outcome.rung + 1) * self._every
        if outcome.kind != "scored":
            self._study.tell(trial, self._table.worst)
        elif step >= self._table.last:
            self._study.tell(trial, outcome.score)
        else:
            assert outcome.score is not None
            trial.report(outcome.score, step)
            if trial.should_prune():
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._goes_on.append((outcome.trial, outcome.rung + 1))


def _peer(sampler: Callable[[int], BaseSampler], pruner: Callable[[], Any] | None, every: int) -> Make:
    return lambda table, budget, seed: Peer(table, sampler(seed), pruner() if pruner else None, every)


class Asha:
    """Asynchronous halving with promotion (Li and others 2018): the best third of each rung goes on, new points are
    random, and a paused one can be promoted at any time."""

    rungs = (1 / 9, 1 / 3, 1.0)

    def __init__(self, table: Table, seed: int) -> None:
        self._table, self._rng = table, np.random.default_rng(seed)
        self._values: list[dict[str, Any]] = []
        self._scores: list[dict[int, float]] = [{} for _ in self.rungs]
        self._promoted: list[set[int]] = [set() for _ in self.rungs]

    def next(self) -> Job:
        """A promotion from the highest rung that has one, or a random new point."""
        for rung in reversed(range(len(self.rungs) - 1)):
            scores = self._scores[rung]
            leading = sorted(scores, key=lambda number: -scores[number])[: len(scores) // 3]
            for number in leading:
                if number not in self._promoted[rung]:
                    self._promoted[rung].add(number)
                    return Job(number, rung + 1, self.rungs[rung + 1], self._values[number])
        low, high = (
            np.log([getattr(self._table.space.parameters[name], end) for name in ADAM]) for end in ("low", "high")
        )
        drawn = dict(zip(ADAM, np.exp(self._rng.uniform(low, high)).tolist(), strict=True))
        self._values.append(self._table.snap(drawn if self._values else ADAM, self._values))
        return Job(len(self._values) - 1, 0, self.rungs[0], self._values[-1])

    def tell(self, outcome: Outcome) -> None:
        """Take a score; a divergence counts as the worst one."""
        self._scores[outcome.rung][outcome.trial] = self._table.worst if outcome.score is None else outcome.score


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)


METHODS: dict[str, Make] = {
    "ours": ours(),
    "random": _peer(lambda seed: optuna.samplers.RandomSampler(seed=seed), None, 50),
    "GP to the end": _peer(
        lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=5, warn_independent_sampling=False), None, 50
    ),
    "TPE to the end": _peer(_tpe, None, 50),
    "successive halving": _peer(
        _tpe, lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=10, reduction_factor=3), 5
    ),
    "Hyperband": _peer(
        _tpe, lambda: optuna.pruners.HyperbandPruner(min_resource=5, max_resource=50, reduction_factor=3), 5
    ),
    "ASHA": lambda table, budget, seed: Asha(table, seed),
}
"""The methods of the benchmark's table, by name."""

VARIANTS: dict[str, Make] = {
    "ours, rungs 6, 20, 100 %": ours(rungs=(0.06, 0.2, 1.0)),
    "our GP to the end": ours(rungs=(1.0,), sampler="gp"),
    "ours, Optuna's GP": ours(sampler="optuna-gp"),
    "ours, TPE": ours(sampler="tpe"),
    "ours, random": ours(sampler="random"),
    "ours, share fixed at 1/3": ours(adapt=False),
    "ours, rungs 10, 100 %": ours(rungs=(0.1, 1.0)),
    "ours, no random finishers": ours(random_finishers=0),
}
"""What ours would be with one thing changed."""
