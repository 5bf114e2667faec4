"""What of the gain is the method's: against plain fine-tuning, against a random draw, and against luck.

Notable choices
- An interval over questions tells which of two models is better. That a way to train is better than another is a claim
  about other seeds, too, and those lie far apart: of shop pages that interval holds the difference in 54 % of simulated
  fits, not 95 (benchmarks/fit_luck.py). So the spread of the winner's seeds is added, squares to squares.
- The spread is taken as it is seen on validation. That holds the noise of those questions as well, which makes up for
  its being known from two or three trainings: coverage is 90 to 99 %. Without that noise it is 82 to 96, since the rest
  is often zero.
- Plain fine-tuning and the random draw are taken to be as lucky as the winner's settings; a mean of several is less so.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from recollect.core.estimates import Estimate
from recollect.core.estimates.intervals import widened
from recollect.core.numbers import estimate, number
from recollect.core.workspace.fit import FitFound
from recollect.experiments.fit.words import points, would_tell


def with_luck(found: FitFound, gap: Estimate) -> Estimate | None:
    """A difference from a single other training, with the spread between seeds in its interval; None where there were
    not two seeds to see it by."""
    if len(found.seeds) < 2:
        return None
    averaged = any(one.chosen and one.averaged for one in found.candidates)
    luck = statistics.stdev(found.seeds) / 100 * math.sqrt(1 + (1 / len(found.seeds) if averaged else 1))
    half = statistics.NormalDist().inv_cdf((1 + gap.confidence) / 2) * luck
    return widened(gap, half, f"{gap.method}, the luck of a training added")


def _counted(luck: Estimate | None) -> str:
    if luck is None:
        return " How far apart other seeds lie was not measured: the interval leaves the luck of a training out."
    return f" With the spread of these settings' seeds counted it is {estimate(luck, sign=True)}."


def against_plain(found: FitFound) -> Iterator[str]:
    """Whether amount, data and settings together paid."""
    plain = found.contender("plain")
    if plain is None or found.chosen != "ours" or plain.gap is None:
        return
    if plain.gap.sign > 0:
        luck = with_luck(found, plain.gap)
        if luck is None or luck.sign > 0:
            yield (
                f"Amount, data and settings together paid: {points(plain.gap)} over plain fine-tuning on all data."
                f"{_counted(luck)}"
            )
        else:
            yield (
                f"It has {points(plain.gap)} over plain fine-tuning on all data. So it is the better of the two, but "
                f"that may be the luck of a training.{_counted(luck)}"
            )
    elif plain.gap.sign < 0:
        yield f"Plain fine-tuning on all data is ahead on the test, {points(plain.gap)}; take that."
    else:
        yield (
            f"Against plain fine-tuning on all data the difference is {points(plain.gap)}, not more than chance."
            f"{would_tell(plain.power)}"
        )


def choice_of_data(found: FitFound) -> Iterator[str]:
    """What the choice of examples brought, against a random draw."""
    level, other = found.settings_of_ours.get("level"), found.contender("random")
    if other is None or found.chosen != "ours" or other.gap is None:
        return
    luck = with_luck(found, other.gap)
    more = _counted(luck) if other.gap.sign else would_tell(other.power)
    everything = found.best.examples >= found.sets.train
    if other.gap.sign and luck is not None and not luck.sign:
        which = "the same examples, which are all there are" if everything else "as many examples drawn at random"
        yield (
            f"Over another training on {which}, it has {points(other.gap)}: beyond the chance of the questions, but no "
            f"more than the luck of a training may be.{more}"
        )
        return
    if everything:
        told = {
            1: "that is what averages and the luck of the seed bring",
            -1: "averages or the luck of the seed did harm",
        }
        yield (
            f"Over another training on the same examples, which are all there are, it has {points(other.gap)}: "
            f"{told.get(other.gap.sign, 'not more than chance')}. No data were chosen.{more}"
        )
        return
    if any(one.chosen and one.kind in ("mean", "repair") for one in found.candidates):
        told = {1: "that is what the choice of data and the averaging bring together", 0: "not more than chance"}
        yield (
            f"Over one training on as many examples drawn at random it has {points(other.gap)}: "
            f"{told.get(other.gap.sign, 'the choice of data and the averaging did harm')}.{more}"
        )
        return
    levels = [count for count in found.levels.values() if count]
    if level in (None, "random") or len(levels) == 1:  # of one level only, nothing was to be chosen by
        told = {1: "the draw itself was lucky", -1: "the draw itself did harm"}
        yield (
            f"Over another random draw of the same size, trained alike, it has {points(other.gap)}: "
            f"{told.get(other.gap.sign, 'not more than chance, so what was gained is the settings')}.{more}"
        )
        return
    mix = "equal shares of all memory levels" if level == "mixed" else f"memory levels {level}"
    told = {1: "The choice of examples mattered", -1: "The choice of examples did harm"}
    said = told.get(other.gap.sign, "Which examples they are made no difference that can be told")
    yield f"{said}: {mix} against a random draw of the same size, {points(other.gap)}.{more}"


def seeds(found: FitFound) -> Iterator[str]:
    """How far the same settings, trained again, lie apart."""
    if len(found.seeds) > 1:
        spread = max(found.seeds) - min(found.seeds)
        yield (
            f"Trained {len(found.seeds)} times with other seeds, these settings scored "
            f"{', '.join(number(one) for one in found.seeds)} % on validation, {number(spread)} points apart: less "
            "than that between two trainings is no difference of settings."
        )
