"""A few of many, evenly from the first to the last: sizes, layers, lines and examples that a page has room for."""

from __future__ import annotations


def evenly(count: int, most: int) -> list[int]:
    """Places of at most `most` among `count`, the first and the last among them; of one alone the first."""
    if count <= most:
        return list(range(count))
    return [round(at * (count - 1) / max(1, most - 1)) for at in range(most)]
