"""Differences between trainings: their spread is part of the interval, and without repeats none is stated.

Two trainings with the same settings and other seeds differ by points. That spread can only be measured by training
again, so one training each gives `NoRepeats`: a number, no interval, nothing to call a gain.

    half-width² = (the questions' half-width)² + (t · s · √(1/r₁ + 1/r₂))²       (Zou and Donner 2008)

s is the standard deviation of the trainings' scores around the mean of their cell, pooled over all cells given, and t
has the freedom of that pool. All trainings answer the same questions; the questions' part comes from each question's
mean change. The part of s that is due to the questions is counted twice, on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from recollect.core.estimates.clusters import by_cluster
from recollect.core.estimates.differences import by_level, mean_score
from recollect.core.estimates.intervals import CONFIDENCE, LEAST_PER_LEVEL, Estimate, enough, widened, within
from recollect.errors import InputError

NO_REPEATS = "one training per cell: the spread between trainings is unknown, so no difference is stated"


@dataclass(frozen=True)
class NoRepeats:
    """A difference of which nothing can be said: at least one side was trained once."""

    value: float
    n: int
    reason: str = NO_REPEATS


@dataclass(frozen=True)
class Spread:
    """Between trainings of one cell: the pooled standard deviation of their scores (a fraction), and its freedom."""

    deviation: float
    freedom: int

    def half(self, *repeats: int, confidence: float = CONFIDENCE, candidates: int = 1) -> float:
        """Half-width of the interval of a mean over so many trainings, or of the difference of two such means.

        candidates: of how many cells this one was picked as the best. A lucky training is lucky on any questions, so
        the half-width then holds for all of them at once (Bonferroni).
        """
        from scipy.special import stdtrit  # scipy.stats takes half a second to import, and asks this

        outside = (1 - confidence) / candidates
        quantile = float(stdtrit(self.freedom, 1 - outside / 2))
        return quantile * self.deviation * math.sqrt(sum(1 / count for count in repeats))


def spread_of(cells: Sequence[Sequence[float]]) -> Spread | None:
    """The spread of the scores (fractions) of repeated trainings, pooled over the cells; None without any repeat.

    Pooling takes the spread to be the same in all cells.
    """
    whole = [list(cell) for cell in cells if cell]
    freedom = sum(len(cell) - 1 for cell in whole)
    squares = sum((score - fmean(cell)) ** 2 for cell in whole for score in cell)
    return Spread(math.sqrt(squares / freedom), freedom) if freedom else None


def trained_score(trainings: Sequence[Estimate], spread: Spread | None, *, candidates: int = 1) -> Estimate:
    """The mean of several trainings' scores on the same questions, with the spread between trainings in the interval.

    candidates: of how many cells this one was picked as the best (see `Spread.half`). Without a spread the interval is
    the questions' alone, and its method says so.
    """
    _some(trainings)
    value = fmean(one.value for one in trainings)
    low, high = fmean(one.low for one in trainings), fmean(one.high for one in trainings)
    own = Estimate(value, low, high, trainings[0].n, "questions only, one training", trainings[0].confidence)
    if spread is None:
        return own
    half = spread.half(len(trainings), confidence=own.confidence, candidates=candidates)
    return within(widened(own, half, "questions and trainings"), 0, 1)


def trained_difference(
    first: Sequence[Estimate], second: Sequence[Estimate], spread: Spread | None = None, *, first_trained: bool = True
) -> Estimate | NoRepeats:
    """Second cell minus first from the trainings' scores alone, where each fact's verdicts are not at hand.

    The questions count as if each side had its own, which is wider than `training_difference` where both have the same.
    `spread` is pooled over these two cells unless given. `first_trained=False`: the first is an untouched model.
    """
    _some(first)
    _some(second)
    value = fmean(one.value for one in second) - fmean(one.value for one in first)
    n = second[0].n
    cells = [[one.value for one in second], *([[one.value for one in first]] if first_trained else [])]
    spread = spread or spread_of(cells)
    if spread is None or min(len(cell) for cell in cells) < 2:
        return NoRepeats(value, n)
    one, other = trained_score(first, None), trained_score(second, None)
    low = value - math.hypot(other.value - other.low, one.high - one.value)
    high = value + math.hypot(other.high - other.value, one.value - one.low)
    questions = Estimate(value, low, high, n, "questions", second[0].confidence)
    half = spread.half(*(len(cell) for cell in cells), confidence=questions.confidence)
    return within(widened(questions, half, "questions and trainings"), -1, 1)


def over_trainings(questions: Estimate, spread: Spread, *repeats: int) -> Estimate:
    """A difference of two models over their questions, with the luck of their trainings in its interval, too.

    repeats: of how many trainings each trained side is made. The variances add up: on either side half / z stands for
    the questions' error, and Student's t has Welch and Satterthwaite's freedom, the questions' own taken as without
    end. Narrower than `widened` where the questions are most of it, and the same where the trainings do not differ.
    """
    from scipy.special import ndtri, stdtrit

    upper = (1 + questions.confidence) / 2
    luck = spread.deviation**2 * sum(1 / count for count in repeats)
    if not luck:
        return questions

    def half(alone: float) -> float:
        error = (alone / float(ndtri(upper))) ** 2
        freedom = spread.freedom * ((error + luck) / luck) ** 2
        return float(stdtrit(freedom, upper)) * math.sqrt(error + luck)

    low = questions.value - half(questions.value - questions.low)
    high = questions.value + half(questions.high - questions.value)
    found = Estimate(questions.value, low, high, questions.n, "questions and trainings", questions.confidence)
    return within(found, -1, 1)


def training_difference(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    levels: Sequence[int | None] | None = None,
    spread: Spread | None = None,
    *,
    least: int = LEAST_PER_LEVEL,
    first_trained: bool = True,
    candidates: int = 1,
    units: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate | NoRepeats:
    """Second cell minus first, every training asked the same facts: trainings × facts of verdicts (0, 1).

    With `levels`, one per fact, it is the macro difference over levels with at least `least` facts; without, micro.
    `units`, one per fact, is what each was drawn with, such as its subject (`by_cluster`); alone by default.
    `spread` (of scores by the same mean) is pooled over these two cells unless given. `first_trained=False`: the first
    is an untouched model. `candidates`: of how many cells one of the two was picked as the best (see `Spread.half`).
    Raises InputError when nothing can be compared.
    """
    _some(first)
    _some(second)
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.shape[1:] != other.shape[1:]:
        raise InputError(f"all trainings must answer the same facts, but got {one.shape[1]} and {other.shape[1]}.")
    places = _places(levels, one.shape[1], least)
    change = other.mean(axis=0) - one.mean(axis=0)
    questions = mean_score([change[place].tolist() for place in places], -1, 1, confidence)
    if units is not None:
        of_unit = [units[at] for place in places for at in place]
        of_level = [level for level, place in enumerate(places) for _ in place]
        scores = np.concatenate([change[place] for place in places]).tolist()
        questions = by_cluster(questions, scores, of_unit, of_level, least=-1.0)
    cells = [[float(np.mean([run[place].mean() for place in places])) for run in side] for side in (other, one)]
    if not first_trained:
        cells = cells[:1]
    spread = spread or spread_of(cells)
    if spread is None or min(len(cell) for cell in cells) < 2:
        return NoRepeats(questions.value, questions.n)
    half = spread.half(*(len(cell) for cell in cells), confidence=confidence, candidates=candidates)
    return within(widened(questions, half, "paired by fact, with the spread of trainings"), -1, 1)


def _places(levels: Sequence[int | None] | None, count: int, least: int) -> list[list[int]]:
    """Positions of the facts of each level that enters; one list of all for micro."""
    if levels is None:
        return [list(range(count))]
    found = by_level(list(range(count)), levels)
    entered, _ = enough({level: len(places) for level, places in found.items()}, least)
    if not entered:
        raise InputError(f"no memory level has {least} facts or more, so there is no macro difference.")
    return [[int(place) for place in found[level]] for level in entered]


def _some(trainings: Sequence[object]) -> None:
    if not len(trainings):
        raise InputError("a cell needs at least one training.")
