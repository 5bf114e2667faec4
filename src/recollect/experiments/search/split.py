"""The validation slice that a search looks at, and the independent test set that it never sees.

Notable choices
- The in-domain test part is cut in two. Each relation and memory level gives the same share, so that the slice has the
  levels of the whole; inside them the order is a hash of (seed, unit), so facts added elsewhere change nothing.
- The unit is what an item was drawn with: a fact, or a page with all the questions about it.
- Everything that is not validation (the rest of test, and all of the out-of-domain part) is the independent test set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from recollect.core.random import draw
from recollect.errors import InputError
from recollect.facts import Fact, FactSet

LEAST = 4
"""Units that validation and test must have each, at the least."""


@dataclass(frozen=True)
class Slices:
    """The facts of a search by their use; the train part is in neither."""

    validation: FactSet
    test: FactSet
    """The rest of the in-domain test part, and the out-of-domain part."""


def split(
    facts: FactSet,
    level_of: Mapping[str, int] | None,
    *,
    share: float,
    most: int | None,
    seed: int,
    by_subject: bool = False,
) -> Slices:
    """Cut the test part: `share` of its units, at most `most`, validate; the rest tests.

    `level_of` gives levels by fact id; `by_subject` keeps all facts of one subject (a page) together. Raises
    InputError when either side would have fewer than four units.
    """
    units: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts.part("test"):
        units[fact.subject if by_subject else fact.id].append(fact)
    wanted = round(share * len(units))
    wanted = wanted if most is None else min(wanted, most)
    if min(wanted, len(units) - wanted) < LEAST:
        what = "pages" if by_subject else "facts"
        raise InputError(
            f"a search needs at least {LEAST} {what} to validate on and {LEAST} others to test on, but the fact set "
            f"{facts.name!r} has {len(units)} in its in-domain test part, of which validation would take {wanted}. "
            "Give more test facts, or change --validation-share."
        )
    strata: dict[tuple[str, int], list[str]] = defaultdict(list)
    for unit, members in units.items():
        level = -1 if level_of is None else level_of.get(members[0].id, -1)
        strata[members[0].relation, level].append(unit)
    chosen: set[str] = set()
    seen = 0
    for _, names in sorted(strata.items()):
        before, seen = seen, seen + len(names)
        count = _cut(seen, wanted, len(units)) - _cut(before, wanted, len(units))
        chosen.update(sorted(names, key=lambda name: draw(seed, "validation", name))[:count])
    validation = {fact.id for unit in chosen for fact in units[unit]}
    return Slices(
        FactSet(tuple(fact for fact in facts if fact.id in validation), f"{facts.name}/validation"),
        FactSet(tuple(fact for fact in facts if fact.part != "train" and fact.id not in validation), facts.name),
    )


def _cut(seen: int, wanted: int, of: int) -> int:
    """How many of the first `seen` units validate, so that the shares of all strata add up to `wanted`."""
    return (2 * seen * wanted + of) // (2 * of)
