"""`hold`: ways to keep a training near its base, as one choice of a search.

Notable choices
- Each way is a name for a few settings of `train`. As one setting it costs a search of ten trials one choice; three
  settings that depend on one another would cost it three, and would read worse in a table of trials.
- A fit leaves out beforehand what the model, its text or the fixed settings do not allow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from recollect.errors import InputError
from recollect.experiments.search.trial import TrialValue, TrialValues
from recollect.train import TrainSettings

HOLD, FREE = "hold", "free"
HOLDS: Mapping[str, Mapping[str, TrialValue]] = {
    FREE: {},
    "anchor 0.1": {"anchor": 0.1},
    "text anchor 2": {"anchor": 2.0, "anchor_on": "text"},
    "mlp frozen": {"freeze": "mlp"},
}
"""Settings of `train` by the name of the way."""


def expanded(values: TrialValues) -> dict[str, TrialValue]:
    """A trial's values, with the settings that its way of holding stands for in its place.

    Examples:
        >>> expanded({"epochs": 3, "hold": "text anchor 2"})
        {'epochs': 3, 'anchor': 2.0, 'anchor_on': 'text'}
    """
    others = {name: value for name, value in values.items() if name != HOLD}
    return others | dict(HOLDS[str(values[HOLD])] if HOLD in values else {})


def check_alone(searched: Collection[str], also: Collection[str]) -> None:
    """Raise InputError where `hold` is searched and a setting that it stands for is searched or fixed as well."""
    if HOLD not in searched:
        return
    if both := sorted({name for way in HOLDS.values() for name in way} & set(also)):
        raise InputError(f"hold stands for {both[0]} and others, but {both[0]} is given, too. Leave out one of them.")


def ways(train: TrainSettings, *, anchored: bool, text: bool) -> tuple[str, ...]:
    """Those that do not touch what `train` gives. anchored: whether there can be an anchor. text: whether there is
    general text for one."""
    given = train.model_fields_set
    return tuple(
        name
        for name, way in HOLDS.items()
        if not given & set(way) and (anchored or "anchor" not in way) and (text or "anchor_on" not in way)
    )
