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


def halves(
    ids: Sequence[str], groups: Sequence[object], seed: int, units: Sequence[object] | None = None
) -> tuple[set[str], set[str]]:
    """Ids of the half that chooses and of the half that scores, equal inside each group; an odd one scores.

    The best of several looks better than it is on the facts that picked it. Halved inside each memory level by seed and
    id, every model has the same halves, and a fact added elsewhere moves nothing. units: what each fact was drawn with,
    such as its subject, which is not divided and stands in the group of the first of its ids; alone by default. Where
    one has several facts, so that groups may be of a single one, the odd ones of all groups are halved, too.
    """
    together: dict[object, list[tuple[str, object]]] = {}
    for fact_id, group, unit in zip(ids, groups, ids if units is None else units, strict=True):
        together.setdefault(unit, []).append((fact_id, group))
    members: dict[object, list[list[str]]] = {}
    for found in together.values():
        first = min(found, key=lambda one: one[0])
        members.setdefault(first[1], []).append([first[0], *(one for one, _ in found if one != first[0])])
    choosing, odd = list[list[str]](), list[list[str]]()
    for several in members.values():
        ordered = sorted(several, key=lambda unit: draw(seed, "halves", unit[0]))
        choosing += ordered[: len(ordered) // 2]
        odd += ordered[2 * (len(ordered) // 2) :]
    if len(together) < len(ids):
        choosing += sorted(odd, key=lambda unit: draw(seed, "halves", unit[0]))[: len(odd) // 2]
    chosen = {one for unit in choosing for one in unit}
    return chosen, set(ids) - chosen


def winner(scores: Mapping[Name, float]) -> Name:
    """The name with the greatest score on the choosing half; of equal ones the first (give the cheapest first)."""
    return max(scores, key=lambda name: scores[name])
