"""One page that can be read, and the names of pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One page that can be read."""

    page_id: str
    url: str
    """Empty when not known."""
    read: Callable[[int], tuple[bytes, str | None]]
    """Gives at most that many bytes and one more, and the HTTP content type if known; raises InputError."""


def url_id(url: str) -> str:
    """The name of a page that is known by its address."""
    return hashlib.blake2b(url.encode("utf-8", "replace"), digest_size=16).hexdigest()


def unique(names: Iterable[str]) -> list[str]:
    """The names with a number after each repeat."""
    count: dict[str, int] = {}
    made = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        made.append(name if count[name] == 1 else f"{name}-{count[name]}")
    return made
