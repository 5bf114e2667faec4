"""What there is to do: one job per (fact, template), sorted by length and cut into batches once and for all."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recollect.errors import InputError
from recollect.facts import Fact, FactSet, Relation, relation_of
from recollect.generate.answers import Unreachable, accepted_paths, unreachable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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


def chosen_facts(facts: FactSet, parts: str, limit: int | None, seed: int) -> FactSet:
    """The facts of the wanted parts; with a limit, spread evenly over (part, relation) by seed. Order is kept."""
    wanted = [part.strip() for part in parts.split(",") if part.strip()]
    unknown = set(wanted) - {"train", "test", "ood"}
    if unknown or not wanted:
        raise InputError(f"parts must be some of train,test,ood, but got {parts!r}.")
    kept = [fact for fact in facts if fact.part in wanted]
    if not kept:
        raise InputError(f"the fact set {facts.name!r} has no facts in {parts}; it has {facts.counts()}.")
    if limit is None or limit >= len(kept):
        return FactSet(tuple(kept), facts.name)
    groups: dict[tuple[str, str], list[Fact]] = {}
    for fact in kept:
        groups.setdefault((fact.part, fact.relation), []).append(fact)
    rng = random.Random(f"limit-{seed}")
    for group in groups.values():
        rng.shuffle(group)
    turns = sorted(
        ((turn, index, fact) for index, group in enumerate(groups.values()) for turn, fact in enumerate(group)),
        key=lambda item: item[:2],
    )
    ids = {fact.id for _, _, fact in turns[:limit]}
    return FactSet(tuple(fact for fact in kept if fact.id in ids), facts.name)


def make_jobs(
    facts: FactSet, relations: Mapping[str, Relation], templates: int, tokenizer: PreTrainedTokenizerBase
) -> list[Job]:
    """All jobs, shortest prompt first (equal lengths in fact order), so that a batch carries little padding."""
    prompts: list[str] = []
    places: list[tuple[int, int]] = []
    for index, fact in enumerate(facts):
        relation = relation_of(relations, fact.relation, templates)
        for template, text in enumerate(relation.prompts(fact.subject, templates)):
            prompts.append(text)
            places.append((index, template))
    everything = facts.facts
    encoded = accepted_paths(tokenizer, prompts, [everything[index].accepted for index, _ in places])
    jobs = [
        Job(index, template, paths.prompt, paths.right)
        for paths, (index, template) in zip(encoded, places, strict=True)
    ]
    jobs.sort(key=lambda job: (len(job.prompt), job.fact, job.template))
    return jobs


def out_of_reach(facts: FactSet, jobs: Sequence[Job], max_new_tokens: int) -> Unreachable:
    """The facts that no completion of so many tokens can answer, after any of their prompts."""
    shortest: dict[int, int] = {}
    for job in jobs:
        lengths = [len(path) for path in job.answers]
        if lengths:
            shortest[job.fact] = min(*lengths, shortest.get(job.fact, max(lengths)))
    answers = [fact.object for fact in facts]
    return unreachable(answers, [shortest.get(index) for index in range(len(facts))], max_new_tokens)


def cut(jobs: Sequence[Job], size: int) -> list[Sequence[Job]]:
    """Batches of `size` jobs."""
    return [jobs[at : at + size] for at in range(0, len(jobs), size)]
