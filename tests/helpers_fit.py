"""A small world of the pocket's facts, and settings with which a fit on it takes seconds."""

from dataclasses import replace

from recollect.core.random import draw
from recollect.facts import FactSet, load_facts

TINY = {"few_shot": 2, "most_kept": 24, "probe": {"templates": 2}}


def world(train: int = 60, test: int = 40, kept: int = 30, seed: int = 0) -> FactSet:
    """A few of the pocket's facts: three relations are the task, others are there to be forgotten."""
    facts = load_facts("pocket")
    names = sorted(facts.relations, key=lambda name: draw(seed, "test-world", name))
    mine = sorted((one for one in facts if one.relation in names[:3]), key=lambda one: draw(seed, "test-world", one.id))
    rest = [one for one in facts if one.relation in names[3:6] and one.part != "train"][:kept]
    return FactSet(
        (
            *(replace(one, split="train", domain="in-domain") for one in mine[:train]),
            *(replace(one, split="test", domain="in-domain") for one in mine[train : train + test]),
            *(replace(one, split="test", domain="out-of-domain") for one in rest),
        ),
        "small",
    )
