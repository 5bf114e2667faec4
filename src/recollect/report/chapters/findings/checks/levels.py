"""Which level serves which: better-known facts, a fact's own level, what low levels cost, and the middle level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from recollect.core.estimates import Cell, Claimed, Contrast, Extreme, macro
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.studied import SINGLE, Studied, entering
from recollect.report.page.text import choice as label

Sums = dict[Cell, dict[int, float]]
FEW_LEVELS = "three levels must be trained at one size: add 0, 2 and 4 to --choices"


def known_better(study: Studied) -> Sequence[Check]:
    """Better-memorised facts are answered better, whatever the training data: the slope over the test levels."""
    levels, what = entering(study.test), "smallest slope over the test levels of any training choice, points a level"
    if len(levels) < 3:
        return [missing(what, "points", "fewer than three memory levels have 10 test facts: use more facts")]
    centre = sum(levels) / len(levels)
    width = sum((level - centre) ** 2 for level in levels)
    slope = {level: (level - centre) / width for level in levels}
    each: list[tuple[str, Contrast]] = []
    for choice in dict.fromkeys(choice for choice, _ in study.cells):
        sizes = [size for own, size in study.cells if own == choice]
        weights = {(choice, size): {at: one / len(sizes) for at, one in slope.items()} for size in sizes}
        each.append((choice, Contrast(study.test, weights)))
    if not each:
        return [missing(what, "points", "no model was trained")]
    rows = [(f"trained on {label(choice)}", one.value) for choice, one in each]
    return [Check(what, "points", Claimed(Extreme("smallest", [one for _, one in each]), "above"), rows=rows)]


def own_level(study: Studied) -> Sequence[Check]:
    """The diagonal: training on a test fact's own level against training on the other levels."""
    levels, what = entering(study.test), "training on a test fact's own level less the mean of the other levels"
    sums: Sums = defaultdict(lambda: defaultdict(float))
    rows: dict[int, list[float]] = defaultdict(list)
    squares = []
    for size in study.sizes:
        both = [level for level in levels if str(level) in study.choices(size)]
        if len(both) >= 3:
            squares.append((size, both))
    for size, both in squares:
        share = 1 / len(both) / len(squares)
        for level in both:
            others = [other for other in both if other != level]
            sums[str(level), size][level] += share
            for other in others:
                sums[str(other), size][level] -= share / len(others)
            own = study.test.mean((str(level), size), {level: 1.0})
            rest = [study.test.mean((str(other), size), {level: 1.0}) for other in others]
            rows[level].append(own - sum(rest) / len(rest))
    if not squares:
        return [missing(what, "points", FEW_LEVELS)]
    shown = [(f"on test facts of level {level}", sum(found) / len(found)) for level, found in rows.items()]
    return [Check(what, "points", Claimed(Contrast(study.test, sums), "above"), rows=shown)]


def middle_best(study: Studied) -> Sequence[Check]:
    """Low-level data hurt the recall of well-known facts; level 2 is the best to train on overall."""
    return [_low_hurts(study), _middle(study)]


def _low_hurts(study: Studied) -> Check:
    known = tuple(level for level in entering(study.test) if level >= 3)
    what = "accuracy on well-known facts (level 3 and 4) after level-0 training less that after the other levels"
    if not known:
        return missing(
            what, "points", "neither level 3 nor level 4 has 10 test facts: use more facts or another model", "below"
        )
    sizes = [size for size in study.sizes if "0" in study.choices(size) and len(_others(study, size, "0")) >= 1]
    if not sizes:
        return missing(
            what, "points", "level 0 and another level must be trained at one size: add 0 and 2 to --choices", "below"
        )
    sums: Sums = defaultdict(lambda: defaultdict(float))
    rows = []
    for size in sizes:
        others = _others(study, size, "0")
        for choice, weight in [("0", 1.0), *((other, -1 / len(others)) for other in others)]:
            for level, own in macro(known, weight / len(sizes)).items():
                sums[choice, size][level] += own
        means = [study.test.mean((other, size), macro(known)) for other in others]
        rows.append((f"{size:,} examples", study.test.mean(("0", size), macro(known)) - sum(means) / len(means)))
    return Check(what, "points", Claimed(Contrast(study.test, sums), "below"), rows=rows)


def _middle(study: Studied) -> Check:
    levels, what = entering(study.test), "smallest lead of level-2 training over any other level, macro"
    rivals = {
        other: [size for size in study.sizes if {"2", other} <= set(study.choices(size))]
        for other in SINGLE
        if other != "2"
    }
    rivals = {other: sizes for other, sizes in rivals.items() if sizes}
    if not levels or len(rivals) < 2:
        return missing(what, "points", FEW_LEVELS if levels else "no memory level has 10 test facts or more")
    each = []
    for other, sizes in rivals.items():
        weights: Sums = {}
        for size in sizes:
            weights["2", size] = macro(levels, 1 / len(sizes))
            weights[other, size] = macro(levels, -1 / len(sizes))
        each.append((other, Contrast(study.test, weights)))
    rows = [(f"over level {other}", one.value) for other, one in each]
    return Check(what, "points", Claimed(Extreme("smallest", [one for _, one in each]), "above"), rows=rows)


def _others(study: Studied, size: int, own: str) -> list[str]:
    return [choice for choice in study.choices(size) if choice in SINGLE and choice != own]
