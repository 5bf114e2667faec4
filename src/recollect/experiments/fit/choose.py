"""Which of several models is ours: by its score and by what it has forgotten, on validation questions alone.

Notable choices
- A model's value is its score less a charge for each point of forgetting (`FitSettings.forgetting`). The charge is a
  slope in the plane of the two, so the best value is always on the Pareto front: it is the front's point that a line of
  this slope touches.
- Where nobody says what forgetting may cost, the knee is told beside it: the point of the front that is farthest above
  the line between its two ends, each axis scaled to the front.
- A single training that was picked from many for its score was also lucky, a mean of several is less so. So where there
  is a mean (or a repair of one), a single training takes its place only when it is ahead by more than one standard
  error of their difference. A mean that is worth less than its members on average has no such claim (averaging did harm
  there), and neither has a repair of a single training, which was as lucky as that.
- Of equal values the simpler model wins: the plain one, then a single training, then a mean, then a repair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recollect.core.workspace.fit import Candidate

_ORDER = ("plain", "trial", "seed", "mean", "repair")


def _no_error(first: str, second: str) -> float:
    return 0.0


def on_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other beats in one without losing in the other, by rising forgetting."""
    best = [
        one
        for one in candidates
        if not any(
            other.score >= one.score
            and other.forgot <= one.forgot
            and (other.score, -other.forgot) != (one.score, -one.forgot)
            for other in candidates
        )
    ]
    return sorted(best, key=lambda one: (one.forgot, -one.score))


def knee(candidates: Sequence[Candidate]) -> Candidate | None:
    """The point of the front that is farthest above the line between its ends; None of fewer than three."""
    front = on_front(candidates)
    first, last = (front[0], front[-1]) if front else (None, None)
    if first is None or last is None or len(front) < 3 or last.score == first.score or last.forgot == first.forgot:
        return None

    def above(one: Candidate) -> float:
        across = (one.forgot - first.forgot) / (last.forgot - first.forgot)
        return (one.score - first.score) / (last.score - first.score) - across

    return max(front, key=above)


def choose(candidates: Sequence[Candidate], error: Callable[[str, str], float] = _no_error) -> tuple[Candidate, ...]:
    """The same with the front and the chosen one marked. error: of two candidates' difference, in points."""
    front, bend = {one.name for one in on_front(candidates)}, knee(candidates)
    best = _best(candidates)
    averaged = [one for one in candidates if one.averaged]
    if averaged and not best.averaged:
        mean = _best(averaged)
        best = best if best.value - mean.value > error(best.name, mean.name) else mean
    return tuple(
        one.model_copy(
            update={
                "front": one.name in front,
                "chosen": one.name == best.name,
                "knee": bend is not None and one.name == bend.name,
            }
        )
        for one in candidates
    )


def _best(candidates: Sequence[Candidate]) -> Candidate:
    """The highest value; of equal ones the simplest."""
    return max(candidates, key=lambda one: (round(one.value, 6), -_ORDER.index(one.kind)))
