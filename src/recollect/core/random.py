"""Draws addressed by a seed, a purpose and what is drawn: order, batches and other items change none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

LIMIT = "evaluate"
"""The purpose of the draws by which probe and evaluation take facts under a limit, so that they take the same."""

FIXED_SEED = 20_240_713
"""Of simulated intervals, which belong to no run: equal inputs must give equal ones. Any number would do."""

Item = TypeVar("Item")
Name = TypeVar("Name")


def draw(seed: int, purpose: str, *names: str) -> bytes:
    """16 random bytes, the same for the same arguments; two purposes (at most 16 bytes each) draw apart.

    >>> draw(0, "example", "Paris") == draw(0, "example", "Paris") != draw(0, "other", "Paris")
    True
    """
    text = "\x1f".join((str(seed), *names))
    return hashlib.blake2b(text.encode(), digest_size=16, person=purpose.encode()).digest()


def take(items: Sequence[Item], limit: int | None, seed: int, purpose: str, name: Callable[[Item], str]) -> list[Item]:
    """At most `limit` of the items, chosen by `draw` of their names, in their own order; all when `limit` is None.

    An item more or less changes at most one other choice.
    """
    if limit is None or limit >= len(items):
        return list(items)
    places = sorted(range(len(items)), key=lambda at: draw(seed, purpose, name(items[at])))[:limit]
    return [items[at] for at in sorted(places)]


def halves(ids: Sequence[str], groups: Sequence[object], seed: int) -> tuple[set[str], set[str]]:
    """Ids of the half that chooses and of the half that scores, equal inside each group; an odd one scores.

    The best of several looks better than it is on the facts that picked it. Halved inside each memory level by seed and
    id, every model has the same halves, and a fact added elsewhere moves nothing.
    """
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
