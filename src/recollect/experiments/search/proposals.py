"""Which settings to try next: Optuna's samplers, shown paused trials as what they are.

Notable choices
- Optuna's samplers learn from COMPLETE trials alone and would take every paused one for pending, so most early scores
  would be wasted. Here each proposal is asked of a study of its own, in which a paused trial has the final score that
  is forecast of it, and a degenerate or failed one the worst score seen.
- Nothing is kept between proposals and every draw is addressed by (seed, trial number): a search that was killed and
  resumes proposes what it would have proposed.
- Two points that are close in every setting tell little more than one, and a point that was tried is never proposed
  again while there is another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import qmc

from recollect.experiments.search.forecast import squash
from recollect.experiments.search.parameters import Float, Int, Parameter
from recollect.experiments.search.settings import Sampler
from recollect.experiments.search.space import Space
from recollect.experiments.search.storage import quiet
from recollect.experiments.search.trial import Forecast, Trial, TrialValue, TrialValues

Settle = Callable[[TrialValues, Sequence[TrialValues]], TrialValues]
"""Of all points that train the same as this one, the one to try, given those that were tried."""

_FINITE = 4096
_SAME = 0.02
"""Points no further apart than this in any setting, as shares of their ranges, are not worth two trials."""
_TRIES = 10


def address(*key: object) -> int:
    """A number of 32 bits that is a function of the key alone."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=4).digest(), "big")


def as_it_is(values: TrialValues, taken: Sequence[TrialValues]) -> TrialValues:
    """Every point trains in its own way."""
    return values


@dataclass(frozen=True)
class View:
    """What is known when a proposal is asked for. `forecasts`: by number, of trials that have a score but no final
    one."""

    space: Space
    trials: Sequence[Trial] = ()
    forecasts: Mapping[int, Forecast] = field(default_factory=dict)
    final_rung: int = 1
    settle: Settle = as_it_is

    def known(self) -> list[tuple[Trial, float]]:
        """Trials with a score to learn from, and the score."""
        known = [(trial, trial.scores[self.final_rung]) for trial in self.trials if trial.state == "finished"]
        going = [trial for trial in self.trials if trial.number in self.forecasts and not trial.broken]
        known += [(trial, self.forecasts[trial.number].mean) for trial in going if trial.state != "finished"]
        if not known:
            return []
        floor = squash([score for _, score in known])
        known = [(trial, max(score, floor)) for trial, score in known]
        worst = min(score for _, score in known)
        known += [(trial, worst) for trial in self.trials if trial.broken and not trial.memory]
        return sorted(known, key=lambda one: one[0].number)

    def pending(self) -> list[Trial]:
        """Trials that run and have no score yet."""
        return [trial for trial in self.trials if trial.state == "running" and trial.number not in self.forecasts]


def at_random(view: View, seed: int) -> TrialValues:
    """A random point, evenly over the space as its ranges are written."""
    random = np.random.default_rng(seed)
    return _at(view.space, {name: float(random.random()) for name in view.space.parameters})


def by_model(make: Callable[[int], BaseSampler], view: View, seed: int) -> TrialValues:
    """A point that one of Optuna's samplers proposes, not close to any that was tried, if it has one."""
    taken = [trial.values for trial in view.trials]
    with quiet():
        study = optuna.create_study(direction="maximize", sampler=make(seed))
        study.add_trials([_shown(view.space, trial, TrialState.COMPLETE, score) for trial, score in view.known()])
        study.add_trials([_shown(view.space, trial, TrialState.RUNNING, None) for trial in view.pending()])
        for _ in range(_TRIES):
            values = view.settle(view.space.clip(suggest(view.space, study.ask())), taken)
            if not any(_close(view.space, values, one) for one in taken):
                break
    return values


def _close(space: Space, one: TrialValues, other: TrialValues) -> bool:
    if set(one) != set(other):
        return False
    places = ((space.parameters[name].place(one[name]), space.parameters[name].place(other[name])) for name in one)
    return all(abs(first - second) <= _SAME for first, second in places)


def _shown(space: Space, trial: Trial, state: TrialState, value: float | None) -> FrozenTrial:
    own = {name: distribution(space.parameters[name]) for name in trial.values}
    return create_trial(state=state, value=value, params=dict(trial.values), distributions=own)


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, group=True)


def _gaussian(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)


MODELS: dict[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "gp": _gaussian}


class ForecastSampler(BaseSampler):
    """Optuna sampler over the scheduler's view, so that the ledger's own study asks it.

    `view` is called for every proposal; the first proposals are `starts`, then spread points until `startup` trials
    exist and two have a score.
    """

    def __init__(
        self,
        sampler: Sampler,
        view: Callable[[], View],
        seed: int,
        starts: Sequence[TrialValues] = (),
        startup: int = 4,
    ) -> None:
        self._sampler, self._view, self._seed = sampler, view, seed
        self._starts, self._startup = list(starts), startup
        self._previewed: tuple[int, TrialValues] | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All settings at once."""
        return distributions(self._view().space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, TrialValue]:
        """The next point."""
        if self._previewed and self._previewed[0] == trial.number:
            return dict(self._previewed[1])
        return dict(self.preview(trial.number))

    def preview(self, number: int) -> TrialValues:
        """The point that trial `number` will get when it is asked for next."""
        view = self._view()
        taken = [one.values for one in view.trials if one.number != number]
        settled = view.settle(self._draw(view, number), taken)
        values = unseen(view, settled, taken, address(self._seed, "unseen", number))
        self._previewed = (number, values)
        return values

    def _draw(self, view: View, number: int) -> TrialValues:
        if number < len(self._starts):
            return view.space.clip(self._starts[number])
        if self._sampler == "random":
            return at_random(view, address(self._seed, "random", number))
        if number < self._startup or len(view.known()) < 2:
            return _spread_out(view, number - len(self._starts), address(self._seed, "spread"))
        model = "tpe" if self._sampler == "auto" else self._sampler
        return by_model(MODELS[model], view, address(self._seed, "propose", number))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> TrialValue:
        """A random value, for a setting that the proposal did not name."""
        seed = address(self._seed, "independent", trial.number, param_name)
        sampler = optuna.samplers.RandomSampler(seed=seed)
        value: TrialValue = sampler.sample_independent(study, trial, param_name, param_distribution)
        return value


def _spread_out(view: View, number: int, seed: int) -> TrialValues:
    """Point `number` of a scrambled Sobol sequence over the space."""
    names = [name for name, parameter in view.space.parameters.items() if parameter.count > 1]
    if view.space.conditional or not names:
        return at_random(view, address(seed, number))
    spread = qmc.Sobol(len(names), seed=seed).random_base2(max(1, number.bit_length()))[number]
    return _at(view.space, dict(zip(names, spread.tolist(), strict=True)))


def _at(space: Space, places: Mapping[str, float]) -> TrialValues:
    """The point whose settings are at these places of their ranges."""
    values: dict[str, TrialValue] = {}
    for name, parameter in space.parameters.items():
        if name in space.active(values | {name: None}):
            values[name] = space.clip_one(name, parameter.at(places.get(name, 0.5)))
    return values


def unseen(view: View, values: TrialValues, taken: Sequence[TrialValues], seed: int) -> TrialValues:
    """The point itself, or a random one that was not tried yet; the point itself when there is no other."""
    if values not in taken:
        return values
    if (everything := view.space.points(_FINITE)) is not None:
        free = [point for point in everything if view.settle(point, taken) not in taken]
        return view.settle(free[seed % len(free)], taken) if free else values
    for attempt in range(100):
        other = view.settle(at_random(view, address(seed, attempt)), taken)
        if other not in taken:
            return other
    return values


def exhausted(view: View) -> bool:
    """Was every point of the space tried?"""
    taken = [trial.values for trial in view.trials]
    everything = view.space.points(_FINITE)
    return everything is not None and all(view.settle(point, taken) in taken for point in everything)


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's form of a parameter."""
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if isinstance(parameter, Int):
        return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
    return CategoricalDistribution(parameter.options)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Optuna's form of all parameters."""
    return {name: distribution(parameter) for name, parameter in space.parameters.items()}


def suggest(space: Space, trial: optuna.Trial) -> dict[str, TrialValue]:
    """Draw a point through an Optuna trial, parents first, so that it stands in the study."""
    values: dict[str, TrialValue] = {}
    for name, one in space.parameters.items():
        if name not in space.active(values | {name: None}):
            continue
        if isinstance(one, Float):
            values[name] = trial.suggest_float(name, one.low, one.high, log=one.log)
        elif isinstance(one, Int):
            values[name] = trial.suggest_int(name, one.low, one.high, log=one.log, step=one.step)
        else:
            values[name] = trial.suggest_categorical(name, one.options)
    return values
