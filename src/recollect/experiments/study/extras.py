"""A data curve and a search for settings as steps of a study: on its facts, by the levels of its probe if it has one.

Notable choices
- Off unless the study has the section, which may be empty. Model, facts, levels and where it runs are the study's.
- A curve's sections train and evaluate lie over the study's own, as a search's evaluate does; how it trains is what a
  search looks for, so of that it takes the study's method alone.
- One that fails costs no more than itself, as a cell does. Its own report lies in its folder; the study's page has its
  chapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recollect.core.json_object import JsonObject
from recollect.core.workspace import is_finished, lending
from recollect.core.workspace.experiment import Failed
from recollect.experiments.attempts import ends_all, reason_of
from recollect.experiments.curve.run import run_curve
from recollect.experiments.curve.settings import CurveSettings
from recollect.experiments.executors import SHARED
from recollect.experiments.executors.settings import PlaceSettings
from recollect.experiments.probed import Probed
from recollect.experiments.search.settings import SearchSettings

if TYPE_CHECKING:
    from recollect.experiments.study.settings import StudySettings
    from recollect.experiments.study.work import Study

_WHERE = {"model", "facts", "levels", *PlaceSettings.runtime_only}
OWN = {
    "curve": _WHERE | {"scores", "bad_rows", "lower_is_better", "unit"},
    "search": _WHERE | {"gpus_per_trial", "retries", "storage", "study", "resume", "probe"},
}
"""What such a section must not set."""


def check_section(name: str, section: JsonObject) -> None:
    """Raise ValueError for a section that cannot be used."""
    if twice := sorted(OWN[name] & section.keys()):
        raise ValueError(f"{name} must not set {twice[0]}: the study's own is used")
    if name == "curve":
        CurveSettings.make(**{**section, "levels": "probe"})
    else:
        SearchSettings.make(**section)


def sections_of(settings: StudySettings) -> dict[str, JsonObject]:
    """What the study has of them, with its own model, facts, train and evaluate."""
    given = {name: section for name in OWN if (section := getattr(settings, name)) is not None}
    return {name: _over(settings, section, name) for name, section in given.items()}


def _over(settings: StudySettings, section: JsonObject, name: str) -> JsonObject:
    laid: JsonObject = {"model": settings.model, "facts": settings.facts, **section}
    if name == "search":
        laid = {"method": settings.train.method, **laid}
    fixed = {"parts", "limit"} if name == "search" else set[str]()
    for part in ("train", "evaluate") if name == "curve" else ("evaluate",):
        own = {key: value for key, value in getattr(settings, part).given().items() if key not in fixed}
        if both := own | dict(section.get(part) or {}):
            laid[part] = both
    return laid


def run_extras(study: Study, probe: Probed) -> list[Failed]:
    """Run them, or find them done; gives what failed."""
    ran = [run_extra(study, probe, name, values) for name, values in sections_of(study.settings).items()]
    return [one for one in ran if one is not None]


def run_extra(study: Study, probe: Probed, name: str, values: JsonObject) -> Failed | None:
    """Run one, or find it done; gives how it failed."""
    out = study.steps / name
    before = is_finished(out)
    study.base.release()  # they load it themselves
    try:
        with lending(study.shelf.lend):
            _run(name, values, study, probe)
    except BaseException as error:
        if ends_all(error):
            raise
        study.counted.add(1, 0)
        return Failed(name=name, reason=reason_of(error))
    study.count(out, before)
    return None


def _run(name: str, values: JsonObject, study: Study, probe: Probed) -> None:
    out, settings = study.steps / name, study.settings
    if name == "curve":
        place = {one: getattr(settings, one) for one in PlaceSettings.runtime_only}
        if settings.executor in SHARED:  # a piece of one worker's
            place = {}
        curve = CurveSettings.make(**{**values, **place, "levels": probe.path})
        run_curve(curve, out, stage=study.stage, facts=study.facts, say=study.say)
    else:
        from recollect.experiments.search.run import run_search  # with the extra "search" alone

        search = SearchSettings.make(**{**values, "levels": "none" if probe.path is None else str(probe.path)})
        run_search(search, out, stage=study.stage, facts=study.facts, say=study.say)
