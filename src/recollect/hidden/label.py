"""From the places of all facts to labels, and to how many are hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recollect.core.estimates import Estimate, benjamini_hochberg, mean_score
from recollect.hidden.rank import Place

HIDDEN, ABSENT, UNDECIDED = "hidden", "absent", "undecided"
METHOD = (
    "place of the right answer among those of other facts of its relation, each as often as it is one and as the model "
    "leaves it unsaid, by how much more probable it is with this subject than with others"
)
_METHOD = "places in the worse half, doubled"


def labels(place: Sequence[Place | None], fdr: float) -> list[str]:
    """Hidden, absent or undecided (without a p-value), for each fact; None has no place."""
    decided = [at for at, one in enumerate(place) if one is not None and one.p_value is not None]
    values = benjamini_hochberg([one.p_value for one in place if one is not None and one.p_value is not None])
    found = [UNDECIDED] * len(place)
    for at, value in zip(decided, values, strict=True):
        found[at] = HIDDEN if value <= fdr else ABSENT
    return found


def hidden_share(place: Sequence[Place | None]) -> Estimate | None:
    """The share of hidden facts, without calling any (Storey 2002, with the threshold at a half).

    Where nothing is known, half of the places are in the worse half; facts that are hidden and rank in the better half
    leave there only half of the others. Hidden facts that rank in the worse half, and those with one of few answers,
    make it smaller: a lower bound. None without a place.
    """
    worse = [one.worse_half for one in place if one is not None]
    if not worse:
        return None
    mean = mean_score([worse], 0, 1)
    low, value, high = (min(1.0, max(0.0, 1 - 2 * end)) for end in (mean.high, mean.value, mean.low))
    return replace(mean, value=value, low=low, high=high, method=_METHOD)
