"""The plans of a curve and a search that are steps of a study, beside what the study does itself.

Notable choices
- They are planned by their own plans, on the study's model and facts, with its levels where its probe is there; before,
  every level is taken to have facts enough.
- One that cannot be done costs no more than itself, as when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from recollect.core.json_object import JsonObject
from recollect.errors import RecollectError
from recollect.experiments.curve.settings import CurveSettings
from recollect.experiments.executors import SHARED
from recollect.experiments.executors.settings import PlaceSettings
from recollect.experiments.plan.curve import plan_curve
from recollect.experiments.plan.found import Plan
from recollect.experiments.plan.ground import Within, summed
from recollect.experiments.plan.search import plan_search
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.study.extras import sections_of
from recollect.experiments.study.settings import StudySettings

_TO_COME = "probe-to-come"
"""In the place of the path of a probe's levels that are not there yet; nothing is read at it."""


def with_sections(plan: Plan, settings: StudySettings, within: Within) -> Plan:
    """The plan of a study with its sections `curve` and `search`, if it has them."""
    plans, missing = {"": plan}, []
    for name, values in sections_of(settings).items():
        try:
            plans[name] = _planned(name, values, settings, within)()
        except RecollectError as error:
            missing.append(f"CANNOT BE DONE: {name}: {error}")
    if len(plans) == 1 and not missing:
        return plan
    found = summed(plans)
    return found.model_copy(update={"missing": (*found.missing, *missing)})


def _planned(name: str, values: JsonObject, settings: StudySettings, within: Within) -> Callable[[], Plan]:
    levels = None if within.pages else _TO_COME
    assume = within.ground.assume
    if name == "search":
        search = SearchSettings.make(**{**values, "levels": levels or "none"})
        return partial(plan_search, search, assume=assume, within=within)
    place = {one: getattr(settings, one) for one in PlaceSettings.runtime_only}
    place = {} if settings.executor in SHARED else place
    curve = CurveSettings.make(**{**values, **place, "levels": None if levels is None else Path(levels)})
    return partial(plan_curve, curve, assume=assume, within=within)
