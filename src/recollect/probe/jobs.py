"""What there is to do: which facts, and one job per (fact, template)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from recollect.core.random import LIMIT, draw
from recollect.errors import InputError
from recollect.facts import Fact, FactSet, Relation, relation_of
from recollect.generate import Engine
from recollect.generate.encoding import BLANK, accepted_paths, check_context, unreachable
from recollect.generate.leads import FORMS_VERSION, useful_leads
from recollect.match import judge_of
from recollect.probe.settings import AskedFacts, ProbeSettings

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Job:
    """One mapping prompt of one fact."""

    fact: int
    """Index of the fact in the probed set."""
    template: int
    prompt: tuple[int, ...]
    """Token ids of the prompt."""
    answers: tuple[tuple[int, ...], ...]
    """Token ids of each accepted form as it follows the prompt, if its text is judged right."""


def chosen_facts(facts: FactSet, settings: AskedFacts) -> FactSet:
    """The facts of the wanted parts; with a limit, spread evenly over (part, relation), by `facts_seed`. Order is kept.

    A fact more or less changes at most one other choice.
    """
    kept = _wanted(facts, settings)
    if not _is_cut(kept, settings):
        return FactSet(tuple(kept), facts.name)
    groups: dict[tuple[str, str], list[tuple[bytes, str]]] = {}
    for fact in kept:
        drawn = draw(settings.facts_seed, LIMIT, fact.id)
        groups.setdefault((fact.part, fact.relation), []).append((drawn, fact.id))
    turns = sorted((turn, *one) for group in groups.values() for turn, one in enumerate(sorted(group)))
    ids = {fact_id for _, _, fact_id in turns[: settings.limit]}
    return FactSet(tuple(fact for fact in kept if fact.id in ids), facts.name)


def choice_inputs(facts: FactSet, settings: AskedFacts) -> dict[str, str]:
    """What a step's inputs say of a limit: its facts were once taken by `seed`, so an older step is another one."""
    return {"facts of the limit": "taken by facts_seed"} if _is_cut(_wanted(facts, settings), settings) else {}


def _wanted(facts: FactSet, settings: AskedFacts) -> list[Fact]:
    wanted = [part.strip() for part in settings.parts.split(",") if part.strip()]
    unknown = set(wanted) - {"train", "test", "ood"}
    if unknown or not wanted:
        raise InputError(f"parts must be some of train,test,ood, but got {settings.parts!r}.")
    kept = [fact for fact in facts if fact.part in wanted]
    if not kept:
        raise InputError(f"the fact set {facts.name!r} has no facts in {settings.parts}; it has {facts.counts()}.")
    return kept


def _is_cut(wanted: Sequence[Fact], settings: AskedFacts) -> bool:
    return settings.limit is not None and settings.limit < len(wanted)


def counts_starts(settings: ProbeSettings) -> bool:
    """Whether the method counts answers that come at once, so that the leads before them matter."""
    return settings.has_closed_form and settings.method not in ("sampled", "adaptive")


def forms_input(settings: ProbeSettings) -> dict[str, str]:
    """What the inputs of a probe, and of whatever probes, say of the forms that count as coming at once."""
    return {"answer forms": FORMS_VERSION} if counts_starts(settings) else {}


def make_jobs(facts: FactSet, relations: Mapping[str, Relation], engine: Engine, settings: ProbeSettings) -> list[Job]:
    """All jobs, shortest prompt first (equal lengths in fact order), so that a batch carries little padding.

    Raises InputError for a prompt that the model's context cannot hold with its answer.
    """
    prompts: list[str] = []
    places: list[tuple[int, int]] = []
    for index, fact in enumerate(facts):
        relation = relation_of(relations, fact.relation, settings.templates)
        for template, text in enumerate(relation.prompts(fact.subject, settings.templates)):
            prompts.append(text)
            places.append((index, template))
    everything = facts.facts
    accepted = [everything[index].accepted for index, _ in places]
    leads: Sequence[str] = (BLANK,)
    if counts_starts(settings) and engine.scores_at(settings.temperature):
        leads = useful_leads(engine, prompts, accepted, settings.temperature, settings.max_new_tokens)
    encoded = accepted_paths(engine, prompts, accepted, leads)
    jobs = [
        Job(index, template, paths.prompt, paths.right)
        for paths, (index, template) in zip(encoded, places, strict=True)
    ]
    jobs.sort(key=lambda job: (len(job.prompt), job.fact, job.template))
    names = [f"template {job.template + 1} with the subject of fact {everything[job.fact].id}" for job in jobs]
    remedy = "Lower --max-new-tokens, shorten the text or take a model with more context."
    check_context(engine.context, [job.prompt for job in jobs], names, settings.max_new_tokens, remedy)
    return jobs


def out_of_reach(facts: FactSet, jobs: Sequence[Job], settings: ProbeSettings) -> list[str]:
    """Notes on the facts that no completion of so many tokens can answer, after any of their prompts."""
    shortest: dict[int, int] = {}
    for job in jobs:
        lengths = [len(path) for path in job.answers]
        if lengths:
            shortest[job.fact] = min(*lengths, shortest.get(job.fact, max(lengths)))
    answers = [fact.object for fact in facts]
    found = unreachable(answers, [shortest.get(index) for index in range(len(facts))], settings.max_new_tokens)
    return judge_of(settings.judge).of_lengths(found.notes)


def cut(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Batches of `size` items."""
    return [items[at : at + size] for at in range(0, len(items), size)]
