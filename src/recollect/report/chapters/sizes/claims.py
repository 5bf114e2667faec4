"""What the papers behind Recollect found (docs/studies.md §3), and whether this run agrees: claim by claim.

Each claim is judged on the in-domain test facts; where a finding tests it, the page shows that verdict (`told`). Alone
it "agrees" only where intervals exclude the opposite, and "differs" only where they exclude the claim; without that,
and wherever trainings are compared without repeats, nobody can tell.
Where a claim is about several comparisons, more than half of them must be clear the same way: with 95 % intervals that
happens by chance in at most 5 % of studies, however the comparisons hang together (Markov's inequality).
"""

from __future__ import annotations

from collections.abc import Sequence

from recollect.core.numbers import signed
from recollect.report.page.results import Results
from recollect.report.scores.groups import Averaged, Group, groups
from recollect.report.scores.papers import NO_MIDDLE, ONCE, Claim, by_majority, claim, middle_of, published
from recollect.report.scores.record import LEVELS, Choice

LITTLE = 0.02
"""A gain below 2 points is "little", as in the data curve."""


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
    tell = claim(_sixty(), "About 60 examples elicit what the base knows; more bring little.", 1)
    sizes = sorted({group.size for group in found})
    start = min((size for size in sizes if 40 <= size <= 120), key=lambda size: abs(size - 60), default=None)
    if start is None or start == sizes[-1]:
        return tell("cannot tell", "This needs a size near 60 (40 to 120) and a larger one.")
    curves = [curve for curve in _curves(found) if start in curve and max(curve) > start]
    if not curves:
        return tell("cannot tell", f"No training choice was scored at {start:,} examples and at more.")
    gains = [curve[max(curve)].value - curve[start].value for curve in curves]
    bounds = [curve[max(curve)].minus(curve[start]) for curve in curves]
    if not any(bounds):
        return tell("cannot tell", f"{_range(gains)} from {start:,} examples to the most. {ONCE}")
    little = sum(bound is not None and bound[1] < LITTLE for bound in bounds)
    much = sum(bound is not None and bound[0] > LITTLE for bound in bounds)
    here = (
        f"{_range(gains)} from {start:,} examples to the most. For {little} of {len(curves)} training choices the "
        f"interval says less than {100 * LITTLE:g} points, for {much} more."
    )
    return tell(by_majority(little, much, len(curves)), here)


def _peak(found: Sequence[Group]) -> Claim:
    tell = claim(_levels(), "Scores peak at about 240 examples and fall with more.", 7, (0, 1))
    middle = middle_of({group.size for group in found})
    if middle is None:
        return tell("cannot tell", NO_MIDDLE)
    curves = [curve for curve in _curves(found) if middle in curve and len(curve) > 1]
    if not curves:
        return tell("cannot tell", f"No training choice was scored at {middle:,} and another size.")
    peaked = bent = 0
    for curve in curves:
        first, last = curve[min(curve)], curve[max(curve)]
        peaked += curve[middle].gains(first) and curve[middle].gains(last)
        bent += last.gains(curve[middle]) or first.gains(curve[middle])
    here = (
        f"{peaked} of {len(curves)} training choices rise clearly up to {middle:,} and fall clearly after it; {bent} "
        f"clearly do the opposite on one side. {ONCE if _once(curves) else ''}".rstrip()
    )
    return tell(by_majority(peaked, bent, len(curves)), here)


def _middle(found: Sequence[Group]) -> Claim:
    tell = claim(_levels(), "Examples of the middle level (level 2) give the best score overall.", 4, (1,))
    winners: list[tuple[int, str]] = []
    ahead = behind = 0
    for size in sorted({group.size for group in found}):
        scores = {g.levels: g.test.macro for g in found if g.size == size and g.levels.isdigit() and g.test.macro}
        if "2" not in scores or len(scores) < 3:
            continue
        others = [own for level, own in scores.items() if level != "2"]
        winners.append((size, max(scores, key=lambda level: scores[level].value)))
        ahead += all(scores["2"].gains(other) for other in others)
        behind += 2 * sum(other.gains(scores["2"]) for other in others) > len(others)
    if not winners:
        return tell("cannot tell", "This needs level 2 and at least two other levels at one size.")
    here = "Highest: " + ", ".join(f"level {level} at {size:,} examples" for size, level in winners) + ". "
    here += (
        f"Level 2 is clearly ahead of all others at {ahead} of {len(winners)} sizes, clearly behind most at {behind}."
    )
    return tell(by_majority(ahead, behind, len(winners)), here)


def _known_better(found: Sequence[Group]) -> Claim:
    tell = claim(_both(), "Facts the base remembers better are answered better, whatever the training data.", 2)
    pairs = [(g.test.by_level[1], g.test.by_level[4]) for g in found]
    both = [(low, high) for low, high in pairs if low and high]
    if not both:
        return tell("cannot tell", "No model was scored on test facts of both level 1 and level 4.")
    clear = sum(high.above(low) for low, high in both)
    here = f"{clear} of {len(both)} training choices answer level-4 facts clearly better than level-1 facts."
    against = sum(low.above(high) for low, high in both)
    if clear == len(both):
        return tell("agrees", here)
    return tell("differs", here) if 2 * against > len(both) else tell("cannot tell", here)


def _diagonal(found: Sequence[Group]) -> Claim:
    tell = claim(_both(), "Training on a test fact's own level tends to serve it best.", 3)
    tried = own = ahead = behind = 0
    for size in sorted({group.size for group in found}):
        rows = [group for group in found if group.size == size and group.levels.isdigit()]
        for level in LEVELS:
            scores = {int(row.levels): e for row in rows if (e := row.test.by_level[level]) is not None}
            if level not in scores or len(scores) < 3:
                continue
            others = [e for at, e in scores.items() if at != level]
            tried += 1
            own += scores[level].value > max(e.value for e in others)
            ahead += all(scores[level].gains(e) for e in others)
            behind += 2 * sum(e.gains(scores[level]) for e in others) > len(others)
    if not tried:
        return tell("cannot tell", "This needs at least three training levels at one size.")
    here = (
        f"Of {tried} columns of the heat maps the own level is highest in {own}, clearly ahead of all others in "
        f"{ahead} and clearly behind most of them in {behind}."
    )
    return tell(by_majority(ahead, behind, tried), here)


def _forgetting(found: Sequence[Group]) -> Claim:
    tell = claim(_both(), "Training on unknown facts (level 0) hurts the recall of well-known ones.", 4, (0,))
    both = [
        (size, scores["0"], scores["4"])
        for size in sorted({group.size for group in found})
        if {"0", "4"}
        <= set(scores := {g.levels: e for g in found if g.size == size and (e := g.test.by_level[4]) is not None})
    ]
    if not both:
        return tell("cannot tell", "This needs models trained on level 0 and on level 4 at one size.")
    size, low, high = both[-1]
    here = (
        f"At {size:,} examples level-4 facts are answered {100 * low.value:.1f} % of the time after training on "
        f"level 0 and {100 * high.value:.1f} % after level 4; trainings are compared here, not one with the base."
    )
    if low.minus(high) is None:
        return tell("cannot tell", f"{here} {ONCE}")
    if high.gains(low):
        return tell("agrees", here)
    return tell("differs", here) if low.gains(high) else tell("cannot tell", here + " The interval holds zero.")


def _once(curves: Sequence[dict[int, Averaged]]) -> bool:
    return all(one.trainings < 2 for curve in curves for one in curve.values())


def _range(gains: Sequence[float]) -> str:
    return f"The score moves by {signed(100 * min(gains))} to {signed(100 * max(gains))} points"


def _curves(found: Sequence[Group]) -> list[dict[int, Averaged]]:
    names: list[Choice] = list(dict.fromkeys(group.levels for group in found))
    return [{g.size: g.test.macro for g in found if g.levels == name and g.test.macro} for name in names]


def _sixty() -> str:
    return published().papers.sixty_data_points.source


def _levels() -> str:
    return published().papers.token_and_parameter_levels.source


def _both() -> str:
    papers = published().papers
    return f"{papers.sixty_data_points.name} and {papers.token_and_parameter_levels.name}"
