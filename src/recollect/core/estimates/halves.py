"""Chosen on one half, scored on the other: the split that everyone who picks a winner uses.

The best of several looks better than it is on the facts that picked it. So the facts are halved inside each memory
level by a hash of seed and id: every model has the same halves, and a fact added elsewhere moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from recollect.core.random import draw

Name = TypeVar("Name")


def halves(ids: Sequence[str], groups: Sequence[object], seed: int) -> tuple[set[str], set[str]]:
    """Ids of the half that chooses and of the half that scores, equal inside each group; an odd one scores."""
    members: dict[object, list[str]] = {}
    for fact_id, group in zip(ids, groups, strict=True):
        members.setdefault(group, []).append(fact_id)
    choosing, scoring = set(), set()
    for found in members.values():
        ordered = sorted(found, key=lambda fact_id: draw(seed, "halves", fact_id))
        choosing.update(ordered[: len(ordered) // 2])
        scoring.update(ordered[len(ordered) // 2 :])
    return choosing, scoring


def winner(scores: Mapping[Name, float]) -> Name:
    """The name with the greatest score on the choosing half; of equal ones the first (give the cheapest first)."""
    return max(scores, key=lambda name: scores[name])
