"""How many examples, by a data curve: what a few hundred bring, when more bring nothing, and what comes late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from recollect.core.estimates import Cell, Claimed, Contrast, Extreme, Weights, macro
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.extracted import NO_CURVE, Curved, Extracted
from recollect.report.chapters.findings.checks.sizes import LITTLE
from recollect.report.chapters.findings.checks.studied import BASE

FEW = (200, 100, 400)
"""The paper's size, and from where to where another one stands for it."""
THOUSAND = (1_000, 500, 2_000)
THOUSANDS = (6_500, 4_000, 8_000)
RARE = 1 / 3
"""An attribute is rare where at most this share of the pages has it; the paper's stands on a quarter."""
NO_VALUES = "no attribute, or memory level, has 10 test values or more: ask more pages"
NO_BASE = "the untouched base was not asked: add 0 to the sizes of the section curve"
Side = Literal["above", "below"]


def few_hundred(study: Extracted) -> Sequence[Check]:
    """About 200 examples gain over the base, and more than half of what any larger number gains."""
    curve = study.curve
    start = curve.near(*FEW) if curve else None
    gain = f"gain from the untouched base to {_size(start, FEW)} examples"
    most = f"gain to {_size(start, FEW)} examples less half of the largest gain to more of them"
    if why := _lacks(curve, start, "from 100 to 400: add 200", base=True):
        return [missing(gain, "points", why), missing(most, "points", why)]
    assert curve is not None
    assert start is not None
    levels, later = curve.entering, curve.after(start)
    first = Check(gain, "points", _claimed(curve, {start: 1, BASE: -1}), section="curve")
    if not later:
        return [first, missing(most, "points", _larger(start))]
    each = [_contrast(curve, {start: 1, BASE: -0.5, cell: -0.5}) for cell in later]
    base = curve.asked.mean(BASE, macro(levels))
    rows = [
        (f"gain from the base to {cell[1]:,} examples", curve.asked.mean(cell, macro(levels)) - base)
        for cell in [start, *later]
    ]
    return [first, Check(most, "points", Claimed(Extreme("smallest", each), "above"), rows=rows, section="curve")]


def saturated(study: Extracted) -> Sequence[Check]:
    """The score rises from about 1,000 examples to about 6,500, and hardly after."""
    curve = study.curve
    thousand, thousands = (curve.near(*THOUSAND), curve.near(*THOUSANDS)) if curve else (None, None)
    rise = f"gain from {_size(thousand, THOUSAND)} to {_size(thousands, THOUSANDS)} examples"
    flat = f"largest gain from {_size(thousands, THOUSANDS)} to more examples (little: below {100 * LITTLE:g} points)"
    lacks = _lacks(curve, thousands, "from 4,000 to 8,000: add 6500")
    first: Check
    if why := lacks or _lacks(curve, thousand, "from 500 to 2,000: add 1000"):
        first = missing(rise, "points", why)
    else:
        assert curve is not None
        assert thousand is not None
        assert thousands is not None
        first = Check(rise, "points", _claimed(curve, {thousands: 1, thousand: -1}), section="curve")
    if lacks:
        return [first, missing(flat, "points", lacks, "below", LITTLE)]
    assert curve is not None
    assert thousands is not None
    later = curve.after(thousands)
    if not later:
        return [first, missing(flat, "points", _larger(thousands), "below", LITTLE)]
    each = [_contrast(curve, {cell: 1, thousands: -1}) for cell in later]
    rows = [(f"{thousands[1]:,} to {cell[1]:,} examples", one.value) for cell, one in zip(later, each, strict=True)]
    claimed = Claimed(Extreme("largest", each), "below", LITTLE)
    return [first, Check(flat, "points", claimed, rows=rows, section="curve")]


def rare_late(study: Extracted) -> Sequence[Check]:
    """What is gained after about 1,000 examples is gained on attributes that few pages have."""
    curve = study.curve
    start = curve.near(*THOUSAND) if curve else None
    end = curve.after(start)[-1] if curve and start and curve.after(start) else None
    until = f"{end[1]:,}" if end else "the most"
    what = f"gain from {_size(start, THOUSAND)} to {until} examples on rare attributes less that on the others"
    why = _lacks(curve, start, "from 500 to 2,000: add 1000")
    if not why and start is not None and end is None:
        why = _larger(start)
    rare, other = _by_share(curve) if curve else ((), ())
    if not why and not _has_pages(curve):
        why = "facts have no attributes: this needs product pages"
    elif not why and not (rare and other):
        why = "rare attributes (on at most a third of the pages) and others need 10 test values each: ask more pages"
    if why or curve is None or start is None or end is None:
        return [missing(what, "points", why)]
    weights: Weights = {
        cell: {**macro(rare, sign), **macro(other, -sign)} for cell, sign in ((end, 1.0), (start, -1.0))
    }
    rows = [
        (
            f"{curve.names[level]}, on {100 * curve.shares[level]:.0f} % of the pages",
            curve.asked.mean(end, {level: 1.0}) - curve.asked.mean(start, {level: 1.0}),
        )
        for level in (*rare, *other)
    ]
    return [Check(what, "points", Claimed(Contrast(curve.asked, weights), "above"), rows=rows, section="curve")]


def _has_pages(curve: Curved | None) -> bool:
    """Whether its values are attributes of pages."""
    return curve is not None and bool(curve.shares)


def _by_share(curve: Curved) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rare attributes and others, of those with enough values."""
    known = [level for level in curve.entering if level in curve.shares]
    rare = tuple(level for level in known if curve.shares[level] <= RARE)
    return rare, tuple(level for level in known if level not in rare)


def _lacks(curve: Curved | None, cell: Cell | None, sizes: str, base: bool = False) -> str:
    """What is missing for a check; "" for nothing."""
    if curve is None:
        return NO_CURVE
    if cell is None:
        return f"no size {sizes} to the sizes of the section curve"
    if not curve.entering:
        return NO_VALUES
    return NO_BASE if base and BASE not in curve.asked.scores else ""


def _larger(cell: Cell) -> str:
    return f"no size above {cell[1]:,}: add larger ones to the sizes of the section curve"


def _size(cell: Cell | None, near: tuple[int, int, int]) -> str:
    return f"{cell[1] if cell else near[0]:,}"


def _claimed(curve: Curved, times: Mapping[Cell, float]) -> Claimed:
    return Claimed(_contrast(curve, times), "above")


def _contrast(curve: Curved, times: Mapping[Cell, float]) -> Contrast:
    """The macro of each cell so many times, added up."""
    return Contrast(curve.asked, {cell: macro(curve.entering, one) for cell, one in times.items()})
