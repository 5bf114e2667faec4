"""A study of product pages: a base has no memory levels of them, so nothing is probed, and training sets are random.

Notable choices
- What a study does by default and pages have not, falls away, with a note; what was asked for is refused.
- The settings that come out are what the study is known by, so a file that says so itself is the same study.
"""

from __future__ import annotations

from recollect.errors import InputError
from recollect.evaluate.pages import for_pages as asked_about_pages
from recollect.evaluate.pages import page_task
from recollect.experiments.study.settings import StudyParts, StudySettings
from recollect.facts import FactSet

NOTE = (
    "These are product pages, of which a base has no memory levels: nothing was probed, every training set is a random "
    "draw, and examples in the prompt, drift and the restoration ladder are left out."
)
_TITLE = "What is read from pages, before and after training"
_PLACE = {"model", "revision", "trust_remote_code", "device"}
"""What a section probe says of all steps."""


def are_pages(settings: StudySettings, facts: FactSet) -> bool:
    """Whether the study's facts are product pages."""
    evaluate = StudyParts.of(settings).evaluate.model_copy(update={"facts": settings.facts})
    return page_task(evaluate, facts) is not None


def for_pages(settings: StudySettings) -> StudySettings:
    """The study's settings for pages. Raises InputError for what pages do not have."""
    if wrong := _not_of_pages(settings):
        raise InputError(f"{settings.facts} are product pages, which have no memory levels: {wrong}")
    asked_about_pages(StudyParts.of(settings).evaluate)  # refuses a judge
    kept = {"choices": ("random",), "few_shot": 0, "measure_drift": False, "repair": ()}
    title = {} if "title" in settings.model_fields_set else {"title": _TITLE}
    return settings.model_copy(update={**kept, **title})


def _not_of_pages(settings: StudySettings) -> str:
    """What was asked for and cannot be, in a sentence; empty where all is well."""
    given = settings.model_fields_set
    if "choices" in given and (others := [choice for choice in settings.choices if choice != "random"]):
        return f"choices must be random, but got {', '.join(others)}."
    if settings.measure_hidden:
        return "there is no level 0 to split. Leave measure_hidden out."
    if probe := sorted(settings.probe.given().keys() - _PLACE):
        return f"nothing is probed. Leave the section probe out (it sets {probe[0]})."
    if "few_shot" in given and settings.few_shot:
        return (
            f"few_shot must be 0, since whole pages do not go beside the one asked about, but got {settings.few_shot}."
        )
    if "measure_drift" in given and settings.measure_drift:
        return "measure_drift must be false. Two models alone: recollect drift."
    if "repair" in given and settings.repair:
        return "repair must be none. One model alone: recollect restore."
    for name, section in (("curve", settings.curve), ("search", (settings.search or {}).get("select"))):
        level = (section or {}).get("level", "random") if isinstance(section, dict | None) else "random"
        if level != "random":
            return f"{name} must draw at random, but got level {level}."
    return ""
