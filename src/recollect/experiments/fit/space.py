"""What a fit searches: amount, choice of data and training settings, in one space.

A further way to train is a setting of `train` and one more parameter in `fit_space`; one that holds a model to its
base is a line in the search's `hold`. Trials, forgetting and the report see names and values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.search.hold import FREE, HOLD, ways
from recollect.experiments.search.parameters import Choice, Float, Int, Parameter
from recollect.experiments.search.prepare import default_space
from recollect.experiments.search.space import Space
from recollect.experiments.search.trial import TrialValue, TrialValues
from recollect.shipped import SHIPPED, Shipped
from recollect.train import TrainSettings
from recollect.train.anchor import why_not_anchored
from recollect.train.auto import WIDTH, plan

GRID_SIZES, GRID_RATES = 4, 4
"""Points of an exhaustive search along amount and rate; every choice of data is tried at each."""
LEAST_SIZE = 30
"""Examples that a trial is trained on at the least; a choice of level with fewer is none."""
_SLOWER, _FASTER = 8, 2
"""The range of rates around that of the plain fine-tuning. Faster ones were never among the best (LOG.md)."""
KNOWN, SURE = "2,3,4", "3,4"
LEVELS = ("mixed", KNOWN, "2,3", SURE, "random")
"""Choices of data. What the base rather knows teaches it to answer, with half of the forgetting (LOG.md, 2026-11-27);
facts that it does not have teach it to guess."""
STARTS = 4
"""Points that are tried first, at most."""
ATTENTION_ALONE = "mlp frozen"
_WARM = 0.1
LONGEST = 2
"""Times the updates of the plain fine-tuning that a trial may take: a longer one costs several others."""


def fit_space(
    settings: FitSettings, most: int, levels: bool, plain: TrialValues, pools: Mapping[str, int] | None = None
) -> Space:
    """The search's own default space without what the section train fixes.

    most: training examples. plain: settings of the plain fine-tuning (`plain_values`), around which others are tried.
    pools: how many examples each choice of level has, where that is known.
    """
    rate = _number(plain["learning_rate"])
    shipped = SHIPPED.get(settings.model)
    parameters: dict[str, Parameter] = dict(default_space(settings.method, shipped, most, levels).parameters)
    parameters.pop("schedule", None)  # with a warm-up of its own it hardly matters, and every setting costs trials
    if shipped is None or settings.method == "full":
        parameters["learning_rate"] = Float(rate / _SLOWER, rate * _FASTER, log=True)
    if most > LEAST_SIZE:
        parameters["size"] = Int(LEAST_SIZE, most, log=True)
    parameters["epochs"] = _epochs(parameters["epochs"], _number(plain["epochs"]))
    if "level" in parameters:
        least = min(LEAST_SIZE, most)
        parameters["level"] = Choice([one for one in LEVELS if pools is None or pools.get(one, 0) >= least])
    if settings.forgetting and (known := _holds(settings, shipped)) != (FREE,):
        parameters[HOLD] = Choice(known)
    return Space({name: one for name, one in parameters.items() if name not in settings.train.model_fields_set})


def _epochs(known: Parameter, plain: float) -> Choice:
    """The choices of epochs, those of the plain fine-tuning among them."""
    options: set[int | float] = {int(plain) if plain == int(plain) else plain}
    if isinstance(known, Choice):
        options |= {one for one in known.options if isinstance(one, int | float)}
    return Choice(sorted(options))


def _holds(settings: FitSettings, shipped: Shipped | None) -> tuple[str, ...]:
    """Ways to keep a training near its base that go with the model, its text and what the section train gives."""
    train = settings.train.over(method=settings.method)
    text = bool(train.anchor_text) or (shipped is not None and shipped.text is not None)
    return ways(settings.train, anchored=not why_not_anchored(train, train.processes), text=text)


def fit_starts(
    space: Space, plain: TrialValues, most: int, gentle: bool, pools: Mapping[str, int] | None = None
) -> list[TrialValues]:
    """Points to try first. All start from the settings of the plain fine-tuning, its length too, and none repeats it.

    plain: its settings. gentle: the plain fine-tuning forgot something, so slower ones come first, which go half as far
    as it (rate times updates); where the base answers next to nothing, a faster one does. pools: as in
    `fit_space`: fewer examples are read as many more times. Of adapters the first start leaves the mlp as it is: that
    held more than it cost in three small worlds of the pocket at one setting (LOG.md), and takes less time.
    """
    rate, epochs = _number(plain["learning_rate"]), _number(plain["epochs"])
    everything: TrialValues = {**plain, "size": most, "level": "random"}
    reads = {level: epochs * most / max(1, (pools or {}).get(level, most)) for level in (KNOWN, SURE)}
    held: TrialValues = {HOLD: ATTENTION_ALONE} if "lora_r" in space.parameters else {}
    slower: list[TrialValues] = [
        {"learning_rate": rate / 2, "level": KNOWN, "epochs": reads[KNOWN], **held},
        {"learning_rate": rate / 2},
        {"learning_rate": rate / 4, "level": KNOWN, "epochs": 2 * reads[KNOWN]},
        {"learning_rate": rate / 4, "level": SURE, "epochs": 2 * reads[SURE]},
    ]
    longer: TrialValues = {"learning_rate": rate / 2, "epochs": 2 * epochs}
    faster: list[TrialValues] = [
        {"learning_rate": 1.5 * rate, "warmup_ratio": _WARM},
        {"batch_size": _number(plain["batch_size"]) / 2, "warmup_ratio": _WARM},
    ]
    known = {KNOWN, SURE} & set(getattr(space.parameters.get("level"), "options", ()))
    changes = [*slower, longer, *faster] if known else [longer, *faster, *slower]
    if not gentle:
        changes = [faster[0], longer, faster[1], *slower]
    points = [space.clip({**everything, **one}) for one in changes if one.get("level", "random") in {"random", *known}]
    found: list[TrialValues] = [space.clip(everything)]
    for point in points:
        if point not in found:
            found.append(point)
    return found[1 : 1 + STARTS]


def _number(value: TrialValue) -> float:
    assert isinstance(value, int | float)
    return value


def plain_values(settings: TrainSettings, most: int, rate: float) -> TrialValues:
    """The settings of the plain fine-tuning by the names of the search, what is left to it decided."""
    decided: dict[str, TrialValue] = {
        "learning_rate": rate,
        "epochs": plan(settings, most, WIDTH).epochs,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
    }
    names = ("batch_size", "warmup_ratio", "lora_r", "lora_targets")
    return {**{name: getattr(settings, name) for name in names}, **decided}


def settled(
    values: TrialValues, space: Space, updates: Callable[[TrialValues], int], longest: int
) -> dict[str, TrialValue]:
    """The point that is tried in place of one that would take more updates: the same with fewer epochs."""
    found, epochs = dict(values), space.parameters.get("epochs")
    if not isinstance(epochs, Choice):
        return found
    fewer = [one for one in epochs.options if _number(one) < _number(found["epochs"])]
    for option in sorted(fewer, key=_number, reverse=True):
        if updates(found) <= longest:
            break
        found["epochs"] = option
    return found


def exhaustive(
    space: Space, train: TrainSettings, most: int, pools: Mapping[str, int] | None = None
) -> tuple[int, int]:
    """Trainings and updates of a grid over amount, choice of data and rate, each trained to its end.

    That is what one had to do without a search: 4 amounts by doublings up to all data, every choice of data, 4 rates;
    batch size and epochs as in the plain fine-tuning. A choice has no more examples than there are (`pools`), and what
    is the same training is counted once: all examples are all, however they are chosen.
    """
    choices = space.parameters.get("level")
    levels = [str(one) for one in choices.options] if isinstance(choices, Choice) else ["random"]
    rates = GRID_RATES if isinstance(space.parameters.get("learning_rate"), Float) else 1
    sizes = [max(1, round(most / 2**step)) for step in range(GRID_SIZES)]
    cells = {(level, min(size, (pools or {}).get(level, most))) for level in levels for size in sizes}
    different = {("all" if size == most else level, size) for level, size in cells}
    updates = sum(plan(train, size, WIDTH).updates for _, size in different) * rates
    return len(different) * rates, updates
