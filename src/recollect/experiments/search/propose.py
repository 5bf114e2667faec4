"""Which settings to try next: one Optuna sampler, whose models see paused trials as what they are.

Notable choices
- Optuna's own samplers learn from COMPLETE trials alone and would take every paused one for pending, so most early
  scores would be wasted. Ours reads the scheduler's view: finished scores, early ones, degenerate and failed trials as
  the worst score seen, running ones as pending.
- The model is our Gaussian process, which knows of rungs, or one of Optuna's samplers, which is shown a study of its
  own where a paused trial has the final score that is forecast of it.
- Nothing is kept between proposals and every draw is addressed by (seed, trial number): a search that was killed and
  goes on proposes what it would have proposed.
- A point that was tried before is never proposed again while there is another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import qmc

from recollect.errors import InputError
from recollect.experiments.search.encode import Encoder, count, points, value_at
from recollect.experiments.search.forecast import squash
from recollect.experiments.search.gaussian import Surface
from recollect.experiments.search.observe import observe
from recollect.experiments.search.plan import Sampler
from recollect.experiments.search.space import Space
from recollect.experiments.search.storage import quiet
from recollect.experiments.search.trials import Forecast, Trial

Array = NDArray[np.float64]
Values = dict[str, Any]

LARGE = 20
"""Settings in a space from which `auto` takes TPE."""
_CANDIDATES = 512
_NEAR = ((0.1, 100), (0.03, 100))
_FINITE = 4096
_SAME = 0.02
"""Points no further apart than this in any setting, as shares of their ranges, are not worth two trials."""


def address(*key: object) -> int:
    """A number of 32 bits that is a function of the key alone."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=4).digest(), "big")


def _as_it_is(values: Values) -> Values:
    return values


@dataclass(frozen=True)
class View:
    """What is known when a proposal is asked for. `forecasts`: by number, of trials that have a score but no final
    one. `settle`: the one point that stands for all that train the same."""

    space: Space
    trials: Sequence[Trial] = ()
    forecasts: Mapping[int, Forecast] = field(default_factory=dict)
    final_rung: int = 1
    settle: Callable[[Values], Values] = _as_it_is

    def known(self) -> list[tuple[Trial, float, float]]:
        """Trials with a score to learn from, the score, and its variance, in points."""
        known, bad = [], []
        for trial in self.trials:
            if trial.state == "finished":
                known.append((trial, trial.scores[self.final_rung], 0.0))
            elif trial.state in ("degenerate", "failed"):
                if not trial.memory:
                    bad.append(trial)
            elif trial.number in self.forecasts:
                forecast = self.forecasts[trial.number]
                known.append((trial, forecast.mean, forecast.sd**2))
        if not known:
            return []
        floor = squash([score for _, score, _ in known])
        known = [(trial, max(score, floor), variance) for trial, score, variance in known]
        worst = min(score for _, score, _ in known)
        return known + [(trial, worst, 0.0) for trial in bad]

    def pending(self) -> list[Trial]:
        """Trials that run and have no score yet."""
        return [trial for trial in self.trials if trial.state == "running" and trial.number not in self.forecasts]


class Proposer(Protocol):
    """Proposes a point given a view; `seed` is for this proposal alone."""

    def __call__(self, view: View, seed: int) -> Values: ...


def by_gaussian(view: View, seed: int) -> Values:
    """The point whose first score is expected to lift our Gaussian process's final mean most beyond the best so far."""
    seen, encoder = observe(view.trials, view.final_rung), Encoder(view.space)
    if encoder.dims == 0:
        return at_random(view, seed)
    places = np.asarray([encoder.place(trial.values) for trial in seen.trials])
    pending = np.asarray([encoder.place(trial.values) for trial in view.pending()]).reshape(-1, encoder.dims)
    surface = Surface.fit(encoder.features(places), seen.scores, seen.rungs, seen.growth)
    surface = surface.believing(encoder.features(pending))
    best = float(np.max(surface.predict(surface.points)[0]))
    rng = np.random.default_rng(seed)
    candidates = qmc.Sobol(encoder.dims, seed=seed).random(_CANDIDATES)
    leaders = places[np.argsort(-seen.scores, kind="stable")[:3]]
    for sd, number in _NEAR:
        near = leaders[rng.integers(len(leaders), size=number)]
        moved = rng.random(near.shape) < max(0.5, 2 / encoder.dims)
        candidates = np.vstack([candidates, np.clip(near + sd * moved * rng.standard_normal(near.shape), 0, 1)])
        gain = surface.worth(encoder.features(candidates), best)
        leaders = np.vstack([leaders, candidates[np.argsort(-gain)[:3]]])[-3:]
    settled: list[Values] = [view.settle(encoder.values(candidate)) for candidate in candidates]
    candidates = np.asarray([encoder.place(values) for values in settled]).reshape(-1, encoder.dims)
    gain = surface.worth(encoder.features(candidates), best)
    taken = np.vstack([places, pending])
    for at in np.argsort(-gain, kind="stable"):
        if np.abs(taken - candidates[at]).max(axis=1, initial=0.0).min() > _SAME:
            return settled[int(at)]
    return at_random(view, seed)


def at_random(view: View, seed: int) -> Values:
    """A random point, evenly over the space as its ranges are written."""
    rng = np.random.default_rng(seed)
    values: Values = {}
    for name, parameter in view.space.parameters.items():
        place = float(rng.random())
        if name in view.space.active(values | {name: None}):
            values[name] = view.space.clip_one(name, value_at(parameter, place))
    return values


def by_optuna(make: Callable[[int], BaseSampler]) -> Proposer:
    """One of Optuna's samplers, which is shown the view as a study of its own."""

    def propose(view: View, seed: int) -> Values:
        with quiet():
            return view.space.clip(_ask(view, make(seed)))

    return propose


def _ask(view: View, sampler: BaseSampler) -> Values:
    study, distributions = optuna.create_study(direction="maximize", sampler=sampler), view.space.distributions()
    for trial, score, _ in sorted(view.known(), key=lambda row: row[0].number):
        study.add_trial(_shown(trial, distributions, TrialState.COMPLETE, score))
    for trial in view.pending():
        study.add_trial(_shown(trial, distributions, TrialState.RUNNING, None))
    return view.space.suggest(study.ask())


def _shown(trial: Trial, distributions: Mapping[str, Any], state: TrialState, value: float | None) -> FrozenTrial:
    own = {name: distributions[name] for name in trial.values}
    return create_trial(state=state, value=value, params=dict(trial.values), distributions=own)


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, group=True)


def _optuna_gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)


PROPOSERS: dict[str, Proposer] = {
    "gp": by_gaussian,
    "optuna-gp": by_optuna(_optuna_gp),
    "tpe": by_optuna(_tpe),
    "random": at_random,
}


def choose(sampler: Sampler, space: Space) -> tuple[str, str]:
    """The name of the proposer, and why in words. Raises InputError for a Gaussian process over conditions."""
    if sampler == "gp" and space.conditional:
        raise InputError("sampler gp has no place for conditional settings. Take sampler tpe or auto.")
    if sampler != "auto":
        return sampler, "as asked"
    if space.conditional:
        return "tpe", "the space has conditional settings"
    if len(Encoder(space).names) > LARGE:
        return "tpe", f"the space has more than {LARGE} settings"
    return "gp", f"the space has no conditions and at most {LARGE} settings"


class ForecastSampler(BaseSampler):
    """Optuna sampler over the scheduler's view.

    `view` is called for every proposal; the first proposals are `starts`, then spread points until `startup` trials
    exist and two have a score. `adjust` may move a proposal to an allowed point that is not taken, as a benchmark's
    table does.
    """

    def __init__(
        self,
        propose: Proposer,
        view: Callable[[], View],
        seed: int,
        starts: Sequence[Mapping[str, Any]] = (),
        startup: int = 4,
        adjust: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], Values] | None = None,
    ) -> None:
        self._propose, self._view, self._seed = propose, view, seed
        self._starts, self._startup, self._adjust = list(starts), startup, adjust
        self._previewed: tuple[int, Values] | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All settings at once."""
        return self._view().space.distributions()

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Values:
        """The next point."""
        if self._previewed and self._previewed[0] == trial.number:
            return self._previewed[1]
        return self.preview(trial.number)

    def preview(self, number: int) -> Values:
        """The point that trial `number` will get when it is asked for next."""
        view = self._view()
        values = self._choose(view, number)
        self._previewed = (number, values)
        return values

    def _choose(self, view: View, number: int) -> Values:
        taken = [one.values for one in view.trials if one.number != number]
        values = self._draw(view, number)
        if self._adjust is not None:
            return self._adjust(values, taken)
        return unseen(view, view.settle(values), taken, address(self._seed, "unseen", number))

    def _draw(self, view: View, number: int) -> Values:
        if number < len(self._starts):
            return view.space.clip(self._starts[number])
        if self._propose is at_random:
            return at_random(view, address(self._seed, "random", number))
        if number < self._startup or len(view.known()) < 2:
            return _spread_out(view, number - len(self._starts), address(self._seed, "spread"))
        return self._propose(view, address(self._seed, "propose", number))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, for a setting that the proposal did not name."""
        seed = address(self._seed, "independent", trial.number, param_name)
        return optuna.samplers.RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)


def _spread_out(view: View, number: int, seed: int) -> Values:
    """Point `number` of a scrambled Sobol sequence over the space."""
    if view.space.conditional:
        return at_random(view, address(seed, number))
    encoder = Encoder(view.space)
    if encoder.dims == 0:
        return encoder.values(np.zeros(0))
    spread = qmc.Sobol(encoder.dims, seed=seed).random_base2(max(1, number.bit_length()))
    return encoder.values(spread[number])


def unseen(view: View, values: Values, taken: Sequence[Mapping[str, Any]], seed: int) -> Values:
    """The point itself, or a random one that was not tried yet; the point itself when there is no other."""
    if values not in taken:
        return values
    if (everything := points(view.space)) is not None:
        free = [point for point in everything if view.settle(point) not in taken]
        return view.settle(free[seed % len(free)]) if free else values
    for attempt in range(100):
        other = view.settle(at_random(view, address(seed, attempt)))
        if other not in taken:
            return other
    return values


def exhausted(view: View) -> bool:
    """Was every point of the space tried?"""
    if count(view.space) > _FINITE:
        return False
    taken = [trial.values for trial in view.trials]
    return all(view.settle(point) in taken for point in points(view.space) or [])
