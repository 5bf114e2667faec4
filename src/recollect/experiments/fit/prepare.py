"""What a fit needs before any work: the data cut in parts, the model found, the goal settled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from recollect.chat.asking import chat_input
from recollect.core.settings import source_of
from recollect.core.workspace.manifest import PARTIAL
from recollect.engines import find_engine
from recollect.evaluate.pages import page_task
from recollect.experiments.fit.settings import FitParts, FitSettings, Goal
from recollect.experiments.fit.split import Parts, split_for_fit
from recollect.experiments.fit.talks import is_talks, read_talks
from recollect.facts import FactSet, load_facts
from recollect.train.auto import auto_input

_LONG = 6
"""Words of an answer from which it is judged by how much of it a model says, not by whether it says all of it."""


@dataclass(frozen=True)
class Wanted:
    """A fit with its data read and its model found."""

    settings: FitSettings
    facts: FactSet
    goal: Goal
    parts: FitParts
    data: Parts
    inputs: dict[str, str]
    sources: dict[str, str]


def prepare_fit(settings: FitSettings, facts: FactSet | None = None) -> Wanted:
    """Read the data, find the model, cut the parts; raises InputError and ModelError for what cannot be fitted."""
    sources = {"model": settings.model, "facts": source_of(settings, "data", facts)}
    first = FitParts.of(settings, None, "facts")
    if facts is None:
        facts = read_talks(settings, first) or load_facts(settings.data)
    goal = goal_of(settings, first, facts)
    data = split_for_fit(facts, settings, pages=goal == "attributes")
    model = find_engine(first.evaluate)
    parts = FitParts.of(settings, model.ref, goal)
    inputs = {
        **model.inputs,
        **chat_input(parts.train.prompt),
        "facts": facts.fingerprint(),
        **({"validation": FactSet(facts.beside.validation).fingerprint()} if facts.beside.validation else {}),
        **auto_input(parts.train),
    }
    return Wanted(settings, facts, goal, parts, data, inputs, sources)


def fit_begun(out: Path | None) -> bool:
    """Whether there is something of a fit at `out` already, so that nothing is to be asked any more."""
    return out is not None and (out.exists() or out.with_name(f"{out.name}{PARTIAL}").exists())


def goal_of(settings: FitSettings, parts: FitParts, facts: FactSet) -> Goal:
    """What is to become better, by the data where it is not said."""
    if settings.goal != "auto":
        return settings.goal
    if page_task(parts.evaluate, facts) is not None:
        return "attributes"
    if is_talks(facts.facts):
        return "chat"
    words = median(len(fact.object.split()) for fact in facts)
    return "chat" if words >= _LONG and set(facts.relations) == {"qa"} else "facts"
