"""What of the gain is the method's: against plain fine-tuning, against a random draw, and against luck.

Notable choices
- An interval over questions tells which of two models is better. That a way to train is better than another is a claim
  about other seeds, too (`luck.py`). Both intervals are said; "paid" and "mattered" are said by the wider.
- Where there were no two seeds it is said that luck is in neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import stdev

from recollect.core.numbers import number
from recollect.core.workspace.fit import CALLED, Contender, FitFound
from recollect.experiments.fit.luck import PRIOR, far_apart
from recollect.experiments.fit.words import UNKNOWN, UNTOLD, both, would_tell


def _luck(other: Contender) -> bool:
    """Whether the questions alone would say so, and the luck of a training may be all there is to it."""
    return (
        other.over_questions is not None
        and other.over_questions.sign != 0
        and other.gap is not None
        and other.gap.sign == 0
    )


def _unknown(other: Contender) -> str:
    return UNKNOWN if other.over_questions is None else ""


def against_plain(found: FitFound) -> Iterator[str]:
    """Whether amount, data and settings together paid."""
    plain = found.contender("plain")
    if plain is None or found.chosen != "ours" or plain.gap is None:
        return
    if plain.gap.sign > 0:
        yield (f"Amount, data and settings together paid: {both(plain)} over {CALLED['plain']}.{_unknown(plain)}")
    elif plain.gap.sign < 0:
        yield f"Plain fine-tuning on all data is ahead on the test, {both(plain)}; take that."
    elif _luck(plain):
        better = "better" if plain.gap.value > 0 else "worse"
        yield (
            f"Against {CALLED['plain']} the difference is {both(plain)}. So it is the {better} of these "
            "two models, but that may be the luck of a training."
        )
    else:
        yield (f"Against {CALLED['plain']} the difference is {both(plain)}: {UNTOLD}.{would_tell(plain.power)}")


def choice_of_data(found: FitFound) -> Iterator[str]:
    """What the choice of examples brought, against a random draw."""
    level, other = found.settings_of_ours.get("level"), found.contender("random")
    if other is None or found.chosen != "ours" or other.gap is None:
        return
    more = _unknown(other) if other.gap.sign else would_tell(other.power)
    everything = other.examples >= found.sets.train
    if _luck(other):
        which = "the same examples, which are all there are" if everything else "as many examples drawn at random"
        yield (
            f"Over another training on {which}, it has {both(other)}: beyond the chance of the questions, but the "
            "luck of a training may be as large."
        )
        return
    if everything:
        told = {
            1: "that is what averages and the luck of the seed bring",
            -1: "averages or the luck of the seed did harm",
        }
        yield (
            f"Over another training on the same examples, which are all there are, it has {both(other)}: "
            f"{told.get(other.gap.sign, UNTOLD)}. No data were chosen.{more}"
        )
        return
    if any(one.chosen and one.kind in ("mean", "repair") for one in found.candidates):
        told = {1: "that is what the choice of data and the averaging bring together", 0: UNTOLD}
        yield (
            f"Over one training on as many examples drawn at random it has {both(other)}: "
            f"{told.get(other.gap.sign, 'the choice of data and the averaging did harm')}.{more}"
        )
        return
    levels = [count for count in found.levels.values() if count]
    if level in (None, "random") or len(levels) == 1:  # of one level only, nothing was to be chosen by
        told = {1: "the draw itself was lucky", -1: "the draw itself did harm"}
        yield (
            f"Over another random draw of equal size, trained alike, it has {both(other)}: "
            f"{told.get(other.gap.sign, UNTOLD)}.{more}"
        )
        return
    mix = "equal shares of all memory levels" if level == "mixed" else f"memory levels {level}"
    told = {1: "The choice of examples mattered", -1: "The choice of examples did harm"}
    said = told.get(other.gap.sign, "Whether it matters which examples they are cannot be told")
    yield f"{said}: {mix} against {CALLED['random']}, {both(other)}.{more}"


def seeds(found: FitFound) -> Iterator[str]:
    """How far the same settings, trained again, lie apart."""
    if len(found.seeds) > 1:
        spread = max(found.seeds) - min(found.seeds)
        luck = (
            f"Two trainings that differ by {number(spread)} points or less may differ by luck alone, and one"
            if spread
            else "That they agree does not say that others would, and one"
        )
        yield (
            f"Trained {len(found.seeds)} times with other seeds, these settings scored "
            f"{', '.join(number(one) for one in found.seeds)} % on validation. {luck} that was picked for its score "
            "has it too high."
        )
        if far_apart(found.seeds):
            yield (
                f"These seeds lie far apart: their standard deviation is {number(stdev(found.seeds))} points, and "
                f"{number(100 * PRIOR)} were expected. So the intervals over the luck of a training are too narrow; "
                "more seeds would tell."
            )
