"""`recollect pocket build`: a world or a fact set in, a pocket base and its facts out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from recollect.core.machine import prepare
from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.errors import InputError
from recollect.facts import FactSet, shipped_relations
from recollect.worlds.base import BaseResult
from recollect.worlds.quiz.build import PocketSettings, train_base
from recollect.worlds.quiz.world import MentionedFact, World, make_world


class PocketResult(BaseResult):
    """A pocket base; its facts are those that can be asked for: all but the teachers."""


def run_pocket(
    settings: PocketSettings,
    facts: FactSet | None = None,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
) -> PocketResult:
    """Build a pocket base on the synthetic world of the seed, or on `facts`; goes on where a killed build was left.

    Writes model/, facts.parquet (without the teachers) and mentions.parquet (fact_id, mentions, teacher). Raises
    InputError when there are too few facts.
    """
    world = make_world(settings.seed) if facts is None else world_of(facts, settings)
    inputs = {"facts": None if facts is None else facts.fingerprint()}
    with open_step("pocket", settings.model_dump(mode="json", exclude={"facts"}), inputs, out, root) as step:
        if not step.done:
            started = time.monotonic()
            step.pin(threads=prepare().threads)
            measured = train_base(settings, world, step.folder / "model", progress)
            step.write_table("facts.parquet", world.facts().table())
            step.write_table("mentions.parquet", mention_table(world))
            counts = world.facts().counts()
            teachers = sum(entry.teacher for entry in world.mentioned)
            seconds = round(time.monotonic() - started, 1)
            step.finish({**measured, **counts, "teachers": teachers, "seconds": seconds})
        return PocketResult(step.path, step.metrics)


def world_of(facts: FactSet, settings: PocketSettings) -> World:
    """A world made of given facts: a third become teachers, the rest get mention counts from a log-normal distribution.

    Its median is chosen so that its mean is `settings.mentions`; its spread (sigma 1.2) gives a long tail, and
    counts are rounded down, so that some facts are never spoken of.
    """
    if len(facts) < 30:
        raise InputError(f"a pocket base needs at least 30 facts to learn from, but got {len(facts)}.")
    unknown = sorted(set(facts.relations) - set(shipped_relations()))
    if unknown:
        raise InputError(
            f"a pocket base can only speak of the shipped relations and 'qa', but got {unknown[0]!r}. "
            "Read the facts without their relation column, or keep only shipped relations."
        )
    rng = random.Random(f"world-of-{settings.seed}")
    sigma = 1.2
    median = settings.mentions / np.exp(sigma**2 / 2)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, fact in enumerate(facts):
        groups.setdefault((fact.relation, fact.part), []).append(index)
    teachers: set[int] = set()
    for members in groups.values():
        teachers.update(rng.sample(members, round(len(members) * settings.teacher_share)))
    mentioned = []
    for index, fact in enumerate(facts):
        if index in teachers:
            mentioned.append(MentionedFact(fact, rng.randint(*_TEACHER_MENTIONS), teacher=True))
        else:
            mentioned.append(MentionedFact(fact, min(400, int(rng.lognormvariate(np.log(median), sigma)))))
    return World(tuple(mentioned))


_TEACHER_MENTIONS = (80, 200)


def mention_table(world: World) -> pl.DataFrame:
    """How often the corpus speaks of each fact, and which facts are teachers."""
    return pl.DataFrame(
        {
            "fact_id": [entry.fact.id for entry in world.mentioned],
            "mentions": [entry.mentions for entry in world.mentioned],
            "teacher": [entry.teacher for entry in world.mentioned],
        }
    )
