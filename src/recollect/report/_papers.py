"""What the studies behind Recollect found (docs/studies.md §3), and whether this run agrees: claim by claim.

Each claim is judged on the in-domain test facts. "Cannot tell" means sizes missing or intervals that
overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recollect.report._groups import Estimate, Group, groups
from recollect.report._results import Results
from recollect.report._results_common import LEVELS, Choice

Agreement = Literal["agrees", "differs", "cannot tell"]
A, C = "study A (arXiv 2409.15825)", "study C (arXiv 2509.16596)"
BOTH = "studies A and C"


@dataclass(frozen=True)
class Claim:
    """A published finding beside this run's own numbers."""

    source: str
    finding: str
    agreement: Agreement
    here: str


def claims(results: Results) -> list[Claim]:
    """The findings in the order of the report."""
    found = groups(results)
    return [
        _flat(found),
        _peak(found),
        _middle(found),
        _known_better(found),
        _diagonal(found),
        _forgetting(found),
    ]


def _flat(found: Sequence[Group]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(A, "About 60 examples wake what the base knows; more bring little.", agreement, here)

    sizes = sorted({group.size for group in found})
    start = min((size for size in sizes if 40 <= size <= 120), key=lambda size: abs(size - 60), default=None)
    if start is None or start == sizes[-1]:
        return claim("cannot tell", "This needs a size near 60 (40 to 120) and a larger one.")
    curves = [curve for curve in _curves(found) if start in curve and max(curve) > start]
    if not curves:
        return claim("cannot tell", f"No training choice was scored at {start:,} examples and at more.")
    later = [(c[start], max((c[s] for s in c if s > start), key=lambda e: e.value)) for c in curves]
    gains = [best.value - first.value for first, best in later]
    clear = sum(best.above(first) for first, best in later)
    here = (
        f"The best larger size is {_points(min(gains))} to {_points(max(gains))} points from the score at "
        f"{start:,}; {clear} of {len(curves)} training choices gain clearly."
    )
    return claim("differs" if clear else "agrees", here)


def _peak(found: Sequence[Group]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "Scores peak at about 240 examples and fall with more.", agreement, here)

    sizes = sorted({group.size for group in found})
    middle = min((size for size in sizes if 160 <= size <= 360), key=lambda size: abs(size - 240), default=None)
    if middle is None or middle in (sizes[0], sizes[-1]):
        return claim("cannot tell", "This needs a size near 240 (160 to 360), a smaller one and a larger one.")
    curves = [curve for curve in _curves(found) if middle in curve and len(curve) > 1]
    if not curves:
        return claim("cannot tell", f"No training choice was scored at {middle:,} and another size.")
    peaks = sum(max(curve, key=lambda size: curve[size].value) == middle for curve in curves)
    falls = sum(curve[middle].above(curve[max(curve)]) for curve in curves)
    here = (
        f"{peaks} of {len(curves)} training choices peak at {middle:,}; "
        f"{falls} fall clearly from there to their largest size."
    )
    if 2 * peaks <= len(curves):
        return claim("differs", here)
    return claim("agrees" if falls else "cannot tell", here)


def _middle(found: Sequence[Group]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "Examples of the middle level (level 2) give the best score overall.", agreement, here)

    winners: list[tuple[int, str]] = []
    overlaps = True
    for size in sorted({group.size for group in found}):
        scores = {g.levels: g.test.macro for g in found if g.size == size and g.levels.isdigit() and g.test.macro}
        values = [e.value for e in scores.values()]
        if "2" in scores and len(scores) >= 3 and max(values) > min(values):
            best = max(scores, key=lambda level: scores[level].value)
            winners.append((size, best))
            overlaps = overlaps and not scores[best].above(scores["2"])
    if not winners:
        return claim(
            "cannot tell", "This needs level 2 and at least two other levels at one size, and scores that differ."
        )
    here = "Best level: " + ", ".join(f"level {level} at {size:,} examples" for size, level in winners) + "."
    if 2 * sum(level == "2" for _, level in winners) > len(winners):
        return claim("agrees", here)
    if overlaps:
        return claim("cannot tell", here + " Level 2's interval overlaps with the best one's at every size.")
    return claim("differs", here)


def _known_better(found: Sequence[Group]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        finding = "Facts the base remembers better are answered better, whatever the training data."
        return Claim(BOTH, finding, agreement, here)

    pairs = [(g.test.by_level[1], g.test.by_level[4]) for g in found]
    both = [(low, high) for low, high in pairs if low and high]
    if not both:
        return claim("cannot tell", "No model was scored on test facts of both level 1 and level 4.")
    clear = sum(high.above(low) for low, high in both)
    here = f"{clear} of {len(both)} training choices answer level-4 facts clearly better than level-1 facts."
    if clear == len(both):
        return claim("agrees", here)
    if any(low.above(high) for low, high in both):
        return claim("differs", here)
    return claim("cannot tell", here + " For the others the intervals overlap.")


def _diagonal(found: Sequence[Group]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(BOTH, "Training on a test fact's own level tends to serve it best.", agreement, here)

    tried = own = beaten = 0
    for size in sorted({group.size for group in found}):
        rows = [group for group in found if group.size == size and group.levels.isdigit()]
        for level in LEVELS:
            scores = {int(row.levels): e for row in rows if (e := row.test.by_level[level]) is not None}
            values = [e.value for e in scores.values()]
            if level in scores and len(scores) >= 3 and max(values) > min(values):  # a column of ties says nothing
                best = max(scores.values(), key=lambda e: e.value)
                tried += 1
                own += scores[level].value == best.value and values.count(best.value) == 1
                beaten += best.above(scores[level])
    if not tried:
        return claim("cannot tell", "This needs at least three training levels at one size, and scores that differ.")
    here = f"Of {tried} columns of the heat maps the own level is best in {own} and clearly beaten in {beaten}."
    if 2 * own > tried:
        return claim("agrees", here)
    return claim("differs" if 2 * beaten > tried else "cannot tell", here)


def _forgetting(found: Sequence[Group]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(BOTH, "Training on unknown facts (level 0) hurts the recall of well-known ones.", agreement, here)

    both = [
        (size, scores["0"], scores["4"])
        for size in sorted({group.size for group in found})
        if {"0", "4"}
        <= set(scores := {g.levels: e for g in found if g.size == size and (e := g.test.by_level[4]) is not None})
    ]
    if not both:
        return claim("cannot tell", "This needs models trained on level 0 and on level 4 at one size.")
    size, low, high = both[-1]
    here = (
        f"At {size:,} examples level-4 facts are answered {low.value:.1f} % of the time after training on "
        f"level 0 and {high.value:.1f} % after level 4."
    )
    if not low.apart(high):
        return claim("cannot tell", here + " The intervals overlap.")
    return claim("agrees" if high.above(low) else "differs", here)


def _curves(found: Sequence[Group]) -> list[dict[int, Estimate]]:
    names: list[Choice] = list(dict.fromkeys(group.levels for group in found))
    return [{g.size: g.test.macro for g in found if g.levels == name and g.test.macro} for name in names]


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
