"""How many updates a fit may make, and where in its training a trial is judged.

Notable choices
- A budget in trials says nothing of their length. So it is held to a share of what an exhaustive search would take
  (`most_cost`), though never to less than three plain fine-tunings: with fewer nothing could be compared.
- A trial is judged at a fifth of its training; at half where a fifth is a handful of updates, or where the plain
  fine-tuning, asked on its way, could not answer yet (pages: no JSON); at its end only, where the budget has room for a
  few whole trainings: nothing is saved then, and what early scores cost, in errors and questions, is not repaid.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from recollect.core.workspace import is_finished, write_json
from recollect.experiments.fit.answers import Answers
from recollect.experiments.fit.space import LEVELS, exhaustive, fit_space, plain_values
from recollect.experiments.fit.stages import EARLY, EARLY_PLAIN, PLAIN, SHORT, Ground, plain_rate
from recollect.experiments.search.space import Space
from recollect.experiments.search.trial import Trial, TrialValues
from recollect.select import available
from recollect.train import TrainFound
from recollect.train.auto import WIDTH, plan

FOR_SEARCH = 0.5
"""Of the updates that are left after the plain fine-tuning; the rest is for the winner's seeds."""
LEAST_TRAININGS = 3
"""Whole plain fine-tunings for which a budget in trials has room, whatever they cost."""
_HALF, _END = 0.5, 1.0
FEW = 4
"""Whole trainings under which a search judges none before its end."""
_RISEN = 0.2
"""Share of its final score that the plain fine-tuning must have early, so that early scores tell trainings apart."""
JUDGED = "judged.json"


def plain_updates(ground: Ground) -> int:
    """Of the plain fine-tuning."""
    return TrainFound.read(ground.steps / f"train-{PLAIN}").steps


def plain_point(ground: Ground) -> TrialValues:
    """The plain fine-tuning by the names of the search."""
    return plain_values(ground.parts.train, ground.most, plain_rate(ground))


def pools_of(ground: Ground) -> dict[str, int] | None:
    """How many training examples each choice of level has; None where no levels are known."""
    if ground.levels is None:
        return None
    return {one: available(ground.choosing, ground.levels, one) for one in LEVELS}


def space_of(ground: Ground, pools: Mapping[str, int] | None) -> Space:
    """What is searched. pools: `pools_of` the fit."""
    return fit_space(ground.settings, ground.most, pools is not None, plain_point(ground), pools)


def most_updates(ground: Ground, plain: int | None = None) -> int | None:
    """Of all trainings together; None where time is the budget. plain: of the plain fine-tuning, if not done."""
    limits = ground.settings.limits
    if limits.updates is not None:
        return limits.updates
    if limits.trials is None:
        return None
    pools = pools_of(ground)
    _, full = exhaustive(space_of(ground, pools), ground.parts.train, ground.most, pools)
    return max(int(ground.settings.most_cost * full), LEAST_TRAININGS * (plain or plain_updates(ground)))


def judged_at(ground: Ground, folder: Path, trainings: float) -> float:
    """At which share of its training a trial is judged. folder: of the search, which keeps to what was decided first.
    trainings: how many whole ones the search has room for."""
    file = folder / JUDGED
    if file.is_file():
        return float(json.loads(file.read_text(encoding="utf-8"))["at"])
    at = _END if trainings < FEW else EARLY if _tells_early(ground) else _HALF
    folder.mkdir(parents=True, exist_ok=True)
    write_json(file, {"at": at})
    return at


def asks_early(ground: Ground) -> bool:
    """Whether the plain fine-tuning is asked on its way, to see where trials can be judged."""
    plain = plan(ground.parts.train, ground.most, WIDTH).updates
    limit = most_updates(ground, plain)
    return asked_early(plain, limit)


def asked_early(plain: int, limit: int | None) -> bool:
    """The same, by the updates of the plain fine-tuning and of all trainings together; None: no limit."""
    return plain >= SHORT and (limit is None or FOR_SEARCH * (limit - plain) >= FEW * plain)


def early_share(updates: int, trainings: float) -> float:
    """At which share of its training a trial will be judged, as foretold before anything is trained.

    updates: of the plain fine-tuning. trainings: whole ones for which the search has room.
    """
    return _END if trainings < FEW else EARLY if updates >= SHORT else _HALF


def search_updates(limit: int, plain: int) -> int:
    """Of a limit in updates, those of the search: a start of the plain fine-tuning's length has room.

    limit: of all trainings together, the plain fine-tuning among them; plain: its updates.
    """
    left = limit - plain
    return max(1, int(FOR_SEARCH * left), min(left, plain))


def _tells_early(ground: Ground) -> bool:
    """Whether the plain fine-tuning could answer at a fifth of its training."""
    early = ground.steps / EARLY_PLAIN
    if plain_updates(ground) < SHORT or not is_finished(early):
        return False
    scores = [Answers(path).score() for path in (early, ground.steps / f"evaluate-{PLAIN}")]
    first, last = (0.0 if one is None else one.value for one in scores)
    return first >= _RISEN * last


def updates_left(ground: Ground, trials: Sequence[Trial], each: int) -> float:
    """How many more trainings of so many updates there is room for; endless where time is the budget."""
    limit = most_updates(ground)
    if limit is None:
        return math.inf
    return (limit - updates_spent(ground, trials)) / max(1, each)


def updates_spent(ground: Ground, trials: Sequence[Trial]) -> int:
    """Of all trainings so far."""
    trained = [TrainFound.read(file.parent).steps for file in ground.steps.glob("train-*/manifest.json")]
    return sum(trained) + sum(trial.steps for trial in trials)
