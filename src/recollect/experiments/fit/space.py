"""What a fit searches: amount, choice of data and training settings, in one space.

A further way to train is a setting of `train` and one more parameter in `fit_space`; one that holds a model to its
base is a line in the search's `hold`. Trials, forgetting and the report see names and values alone.
"""

from __future__ import annotations

from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.search.hold import FREE, HOLD, ways
from recollect.experiments.search.parameters import Choice, Float, Int, Parameter
from recollect.experiments.search.prepare import default_space
from recollect.experiments.search.prepare import starts as known_starts
from recollect.experiments.search.space import Space
from recollect.experiments.search.trial import TrialValue, TrialValues
from recollect.shipped import SHIPPED, Shipped
from recollect.train import TrainSettings
from recollect.train.anchor import why_not_anchored
from recollect.train.auto import WIDTH, plan

GRID_SIZES, GRID_RATES = 4, 4
"""Points of an exhaustive search along amount and rate; every choice of data is tried at each."""
_LEAST_SIZE = 30
_SLOWER, _FASTER = 8, 4
"""The range of rates around the one that follows from the model's width."""


def fit_space(settings: FitSettings, most: int, levels: bool, rate: float) -> Space:
    """The search's own default space without what the section train fixes.

    most: training examples. rate: of the plain fine-tuning, around which other rates are tried.
    """
    shipped = SHIPPED.get(settings.model)
    parameters: dict[str, Parameter] = dict(default_space(settings.method, shipped, most, levels).parameters)
    parameters.pop("schedule", None)  # with a warm-up of its own it hardly matters, and every setting costs trials
    if shipped is None:
        parameters["learning_rate"] = Float(rate / _SLOWER, rate * _FASTER, log=True)
    if most > _LEAST_SIZE:
        parameters["size"] = Int(min(_LEAST_SIZE, most), most, log=True)
    if settings.forgetting and (known := _holds(settings, shipped)) != (FREE,):
        parameters[HOLD] = Choice(known)
    return Space({name: one for name, one in parameters.items() if name not in settings.train.model_fields_set})


def _holds(settings: FitSettings, shipped: Shipped | None) -> tuple[str, ...]:
    """Ways to keep a training near its base that go with the model, its text and what the section train gives."""
    train = settings.train.over(method=settings.method)
    text = bool(train.anchor_text) or (shipped is not None and shipped.text is not None)
    return ways(settings.train, anchored=not why_not_anchored(train, train.processes), text=text)


def fit_starts(space: Space, settings: FitSettings, most: int, rate: float) -> list[TrialValues]:
    """Points to try first: all data with gentle settings, then those that are known to work."""
    first = known_starts(space, settings.method, SHIPPED.get(settings.model), {"learning_rate": rate})
    everything: dict[str, TrialValue] = {**first[0], "size": most, "level": "random", "learning_rate": rate / 2}
    points = [space.clip(everything), *first]
    return [point for at, point in enumerate(points) if point not in points[:at]]


def exhaustive(space: Space, train: TrainSettings, most: int) -> tuple[int, int]:
    """Trainings and updates of a grid over amount, choice of data and rate, each trained to its end.

    That is what one had to do without a search: 4 amounts by doublings up to all data, every choice of data, 4 rates;
    batch size and epochs as in the plain fine-tuning.
    """
    choices = space.parameters.get("level")
    ways = len(choices.options) if isinstance(choices, Choice) else 1
    rates = GRID_RATES if isinstance(space.parameters.get("learning_rate"), Float) else 1
    sizes = [max(1, round(most / 2**step)) for step in range(GRID_SIZES)]
    updates = sum(plan(train, size, WIDTH).updates for size in sizes) * ways * rates
    return len(sizes) * ways * rates, updates
