"""Which sizes to run next: those that a doubt names."""

from __future__ import annotations

from dataclasses import dataclass

from recollect.experiments.curve.contrast import Means
from recollect.experiments.curve.decide import Doubt, Finding, half_of

COUNT = 2
"""Sizes named at a time: after them the curve is judged again."""


@dataclass(frozen=True)
class Next:
    """A size worth running."""

    size: int
    why: str


def next_sizes(finding: Finding, means: Means, most: int | None) -> tuple[Next, ...]:
    """Sizes worth running after a finding: none when it is saturated or peaked; `most` is how many examples there are.

    A rising curve is to be carried on, to twice and four times its largest size. A size that was run already is named
    for more repeats. At most `COUNT`, except where every size lacks repeats.
    """
    largest = int(means.sizes[-1])
    if finding.name == "rising":
        within = [n for n in (2 * largest, 4 * largest) if most is None or n <= most]
        if not within and most is not None and most > largest:
            return (Next(most, "the curve still rises, and this is all there is"),)
        return tuple(Next(n, "the curve still rises") for n in within)
    found: dict[int, Next] = {}
    for doubt in finding.doubts:
        for one in _resolving(doubt, means):
            found.setdefault(one.size, one)
    single = any(doubt.kind == "single" for doubt in finding.doubts)
    return tuple(found.values()) if single else tuple(found.values())[:COUNT]


def _resolving(doubt: Doubt, means: Means) -> list[Next]:
    largest = int(means.sizes[-1])
    if doubt.kind == "single":
        return [Next(int(n), "another seed there") for n in means.sizes if n > 0]
    if doubt.kind == "gap":
        half = half_of(largest)
        return [Next(half, f"half of {largest:,}, so that the last doubling is measured")]
    return [Next(n, "more repeats there") for n in (doubt.last, doubt.first) if n > 0]
