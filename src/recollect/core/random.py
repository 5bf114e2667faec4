"""Draws addressed by a seed, a purpose and what is drawn: order, batches and other items change none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


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
