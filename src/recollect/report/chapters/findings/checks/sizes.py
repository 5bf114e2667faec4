"""How many examples: what about sixty bring, whether more bring anything, and whether more hurt."""

from __future__ import annotations

from collections.abc import Sequence

from recollect.core.estimates import Claimed, Contrast, Extreme, Trainings, Weights, macro
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.studied import BASE, Studied, entering
from recollect.report.page.text import choice as label

LITTLE = 0.02
"""A gain below 2 points is little, as in the data curve: the margin of equivalence."""
SIXTY = (60, 40, 120)
MIDDLE = (240, 160, 480)
"""The paper's size, and from where to where another one stands for it."""
NO_LEVEL = "no memory level has 10 test facts or more: use more facts"


def sixty_elicit(study: Studied) -> Sequence[Check]:
    """About 60 examples elicit what is stored; more bring little. In-domain and, where asked, out-of-domain."""
    parts = [("in-domain", study.test), *([("out-of-domain", study.ood)] if study.ood else [])]
    return [check for where, asked in parts for check in (_gain(study, where, asked), _after(study, where, asked))]


def _gain(study: Studied, where: str, asked: Trainings) -> Check:
    start, levels = study.near(*SIXTY), entering(asked)
    what = f"gain from the untouched base to {start or 60:,} examples, {where}"
    if not levels:
        return missing(what, "points", NO_LEVEL)
    if start is None:
        return missing(what, "points", "no size from 40 to 120: add 60 to --sizes")
    choices = study.choices(start)
    weights = {(choice, start): macro(levels, 1 / len(choices)) for choice in choices} | {BASE: macro(levels, -1)}
    base = asked.mean(BASE, macro(levels))
    rows = [(f"trained on {label(choice)}", asked.mean((choice, start), macro(levels)) - base) for choice in choices]
    return Check(what, "points", Claimed(Contrast(asked, weights), "above"), rows=rows)


def _after(study: Studied, where: str, asked: Trainings) -> Check:
    start, levels = study.near(*SIXTY), entering(asked)
    what = f"gain from {start or 60:,} examples to the largest size, {where} (little: below {100 * LITTLE:g} points)"
    if not levels:
        return missing(what, "points", NO_LEVEL, "below", LITTLE)
    pairs = [] if start is None else [(choice, start, _largest(study, choice)) for choice in study.choices(start)]
    pairs = [pair for pair in pairs if pair[2] > pair[1]]
    if not pairs:
        return missing(
            what, "points", "no size from 40 to 120 with a larger one: add 60 and 240 to --sizes", "below", LITTLE
        )
    weights: dict[tuple[str, int], dict[int, float]] = {}
    for choice, few, many in pairs:
        weights[choice, many] = macro(levels, 1 / len(pairs))
        weights[choice, few] = macro(levels, -1 / len(pairs))
    rows = [
        (f"trained on {label(choice)}, {few:,} to {many:,}", _difference(asked, (choice, many), (choice, few), levels))
        for choice, few, many in pairs
    ]
    return Check(what, "points", Claimed(Contrast(asked, weights), "below", LITTLE), rows=rows)


def more_hurts(study: Studied) -> Sequence[Check]:
    """More data can hurt: a peak at a middle size, a fall to the largest; and the gap of level 0 at the largest."""
    levels = entering(study.test)
    if not levels:
        return [missing("fall from a middle size to the largest", "points", NO_LEVEL)]
    return [*_peak(study, levels), _gap(study, levels)]


def middle_of(study: Studied) -> int | None:
    """The size that stands for the paper's 240: between the smallest and the largest."""
    inner = study.sizes[1:-1]
    inside = [size for size in inner if MIDDLE[1] <= size <= MIDDLE[2]]
    return min(inside, key=lambda size: abs(size - MIDDLE[0]), default=None)


NO_MIDDLE = "no size from 160 to 480 between a smaller and a larger one: add 60, 240 and 960 to --sizes"


def _peak(study: Studied, levels: tuple[int, ...]) -> list[Check]:
    middle, asked = middle_of(study), study.test
    at = f"{middle or 240:,} examples"
    fall, rise = (
        f"largest fall of a training choice from {at} to its largest size",
        f"rise from the smallest size to {at}",
    )
    if middle is None:
        return [missing(fall, "points", NO_MIDDLE), missing(rise, "points", NO_MIDDLE)]
    ends = [(choice, _smallest(study, choice), _largest(study, choice)) for choice in study.choices(middle)]
    falls = [(choice, most) for choice, _, most in ends if most > middle]
    rises = [(choice, few) for choice, few, _ in ends if few < middle]
    if not falls or not rises:
        return [missing(fall, "points", NO_MIDDLE), missing(rise, "points", NO_MIDDLE)]
    each = [_between(asked, (choice, middle), (choice, most), levels) for choice, most in falls]
    weights: dict[tuple[str, int], dict[int, float]] = {}
    for choice, few in rises:
        weights[choice, middle] = macro(levels, 1 / len(rises))
        weights[choice, few] = macro(levels, -1 / len(rises))
    fall_rows = [
        (f"trained on {label(c)}, {middle:,} to {most:,}", one.value)
        for (c, most), one in zip(falls, each, strict=True)
    ]
    rise_rows = [
        (f"trained on {label(c)}, {few:,} to {middle:,}", _difference(asked, (c, middle), (c, few), levels))
        for c, few in rises
    ]
    return [
        Check(fall, "points", Claimed(Extreme("largest", each), "above"), rows=fall_rows),
        Check(rise, "points", Claimed(Contrast(asked, weights), "above"), rows=rise_rows),
    ]


def _gap(study: Studied, levels: tuple[int, ...]) -> Check:
    what = "lead of level-2 over level-0 training at the largest size"
    both = [size for size in study.sizes if {"0", "2"} <= set(study.choices(size)) and size >= MIDDLE[1]]
    if not both:
        needs = f"levels 0 and 2 were not both trained at {MIDDLE[1]} examples or more: add them, or use more facts"
        return missing(what, "points", needs)
    size = both[-1]
    what = f"lead of level-2 over level-0 training at {size:,} examples"
    return Check(what, "points", Claimed(_between(study.test, ("2", size), ("0", size), levels), "above"))


def _between(asked: Trainings, first: tuple[str, int], second: tuple[str, int], levels: tuple[int, ...]) -> Contrast:
    """The macro of the first less that of the second."""
    weights: Weights = {first: macro(levels), second: macro(levels, -1)}
    return Contrast(asked, weights)


def _difference(asked: Trainings, first: tuple[str, int], second: tuple[str, int], levels: tuple[int, ...]) -> float:
    return _between(asked, first, second, levels).value


def _largest(study: Studied, choice: str) -> int:
    return max(size for own, size in study.cells if own == choice)


def _smallest(study: Studied, choice: str) -> int:
    return min(size for own, size in study.cells if own == choice)
