"""What a model answered, beside what the others answered: scores, forgetting, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.core.estimates import (
    CONFIDENCE,
    Claimed,
    Estimate,
    Pairs,
    Spread,
    clustered,
    clustered_macro,
    decide,
    over_trainings,
    paired,
    proportion,
    questions_needed,
    units_needed,
)
from recollect.core.workspace.fit import Power
from recollect.evaluate import EvaluateResult
from recollect.evaluate.own_words import SURE
from recollect.experiments.curve import item_table
from recollect.experiments.search.validation import Knowledge, Scored, compare, known_table, pages_gain
from recollect.select import LEVELS

_Key = TypeVar("_Key", bound=str)
_WITHIN = 1.96
"""Standard errors on either side of a value that a 95 % interval holds."""
KNOWN_LEVELS = LEVELS[-2:]
"""Memory levels of what the base is said to know, as in `recollect drift`."""


@dataclass(frozen=True)
class Answers:
    """The finished evaluation of one model."""

    path: Path

    @cached_property
    def items(self) -> pl.DataFrame:
        """One row per item, in the order of their names: item, unit, group, right, part."""
        table = item_table(self.path).sort("item")
        return table.with_columns(pl.col("right") > 0.5)

    @cached_property
    def pages(self) -> bool:
        """Whether the items are values of pages."""
        return (self.path / "items.parquet").is_file()

    @cached_property
    def known(self) -> pl.DataFrame:
        """Items and the base's own words: item, unit, right, in the order of their names."""
        return known_table(self.path)

    @cached_property
    def clustered(self) -> bool:
        """Whether items belong together: values of a page, answers of a conversation, questions about a subject."""
        return self.pages or self.items["unit"].n_unique() < self.items.height

    def units(self, part: str = "test") -> NDArray[np.str_]:
        """What each item of a part belongs to."""
        return self.items.filter(part=part)["unit"].cast(pl.String).to_numpy().astype(np.str_)

    def of(self, knowledge: Knowledge) -> pl.DataFrame:
        """The rows of `known` that the base knew."""
        return self.known.filter(pl.col("item").is_in(list(knowledge.items)))

    def right(self, part: str = "test") -> NDArray[np.bool_]:
        """Verdicts of a part."""
        found: NDArray[np.bool_] = self.items.filter(part=part)["right"].to_numpy()
        return found

    def score(self, part: str = "test") -> Estimate | None:
        """The share of right answers; of pages the mean over attributes. None where nothing was asked. What belongs
        together is counted so by the interval."""
        table = self.items.filter(part=part)
        if not table.height:
            return None
        if self.pages:
            columns = (table[name].cast(pl.String).to_list() for name in ("unit", "group"))
            return clustered_macro(table["right"].to_list(), *columns)
        if self.clustered:
            return clustered(table["right"].to_list(), self.units(part).tolist())
        return proportion(int(table["right"].sum()), table.height)

    def lost(self, knowledge: Knowledge) -> NDArray[np.bool_]:
        """Of what was known and asked here, what is not answered."""
        found: NDArray[np.bool_] = ~self.of(knowledge)["right"].to_numpy()
        return found

    def forgot(self, knowledge: Knowledge) -> Estimate | None:
        """The share of it; None where nothing was known."""
        lost, units = self.lost(knowledge), self.of(knowledge)["unit"]
        if not len(lost):
            return None
        if self.clustered or units.n_unique() < len(units):
            return clustered(lost.tolist(), units.to_list())
        return proportion(int(lost.sum()), len(lost))


@dataclass(frozen=True)
class Gap:
    """What the second of two models has more than the first, on the same items; a `Measure` for `estimates.decide`."""

    first: NDArray[np.bool_]
    second: NDArray[np.bool_]
    scored: Scored | None = None
    """Of what belongs together (values of a page, answers of a conversation, questions about a subject), which is not
    independent: the first model is 0, the second 1."""

    luck: Spread | None = None
    """How far apart trainings lie; None where that is unknown, or of no interest."""
    trainings: tuple[int, ...] = ()
    """Of how many trainings each of the two is made, the untouched ones left out."""

    def at(self, confidence: float = CONFIDENCE) -> Estimate:
        """The difference with its interval over the questions and, where it is known, the luck of the trainings."""
        found = self.questions(confidence)
        return found if self.luck is None or not self.trainings else over_trainings(found, self.luck, *self.trainings)

    def questions(self, confidence: float = CONFIDENCE) -> Estimate:
        """The same over the questions alone, paired by question, or by what questions belong to."""
        if self.scored is not None:
            return pages_gain(self.scored, 1, 0, confidence)
        return paired([Pairs.of(self.first.tolist(), self.second.tolist())], confidence)

    @property
    def value(self) -> float:
        """The difference."""
        return self.at().value

    repeats = 1

    def mostly(self, confidence: float) -> Literal["facts"]:
        """What more of would narrow it."""
        return "facts"


def gap_of(first: Answers, second: Answers, part: str = "test") -> Gap | None:
    """The second's score less the first's; None where nothing was asked."""
    mine, others = first.right(part), second.right(part)
    if not len(mine):
        return None
    if first.pages:
        return Gap(mine, others, compare({0: first.path, 1: second.path}, part))
    return gap_between(mine, others, first.units(part))


def gap_between(first: NDArray[np.bool_], second: NDArray[np.bool_], units: NDArray[np.str_]) -> Gap:
    """The second's verdicts less the first's, on questions that belong to units (themselves, subjects, pages)."""
    if len(set(units.tolist())) == len(units):
        return Gap(first, second)
    groups = np.asarray(["all"] * len(first))
    return Gap(first, second, Scored({0: first, 1: second}, groups, units, pages=True, how=""))


def share_of(right: NDArray[np.bool_], units: NDArray[np.str_]) -> Estimate:
    """The share of right ones; what belongs to one unit (a subject, a conversation) is counted so by the interval."""
    if len(set(units.tolist())) == len(units):
        return proportion(int(right.sum()), len(right))
    return clustered(right.tolist(), units.tolist())


def lost_more(first: Answers, second: Answers, knowledge: Knowledge) -> Gap | None:
    """What the second has forgotten more of the known items, paired as their scores are; None of nothing."""
    mine, others = first.lost(knowledge), second.lost(knowledge)
    if not len(mine):
        return None
    return gap_between(mine, others, first.of(knowledge)["unit"].to_numpy().astype(np.str_))


def power_of(gap: Gap, confidence: float, unit: str = "") -> Power:
    """How many questions would tell, by the questions' own interval at this confidence; of what belongs together how
    many units. unit: what such a one is called, a subject by default."""
    alone = gap.questions(confidence)
    hidden = gap.luck is not None and bool(gap.trainings) and gap.luck.half(*gap.trainings, confidence=confidence)
    luck = hidden >= abs(alone.value)
    if gap.scored is not None:
        asked = len(set(gap.scored.units.tolist()))
        needed = units_needed(alone, asked)
        return Power(asked=asked, needed=needed, unit=unit or "subject", confidence=confidence, luck=luck)
    needed = questions_needed(Pairs.of(gap.first.tolist(), gap.second.tolist()), confidence=confidence)
    return Power(asked=len(gap.first), needed=needed, confidence=confidence, luck=luck)


def decided(gaps: Mapping[_Key, Gap]) -> dict[_Key, Estimate]:
    """Each difference with an interval corrected for how many are looked at together (Holm's steps)."""
    found = decide([Claimed(gap, "above") for gap in gaps.values()])
    return {name: one for name, (one, _) in zip(gaps, found, strict=True)}


def error_of(first: Answers, second: Answers) -> float:
    """The standard error of the difference of two scores on the same questions, in points."""
    if first.clustered:
        gap = gap_of(first, second)
        found = None if gap is None else gap.at()
        return 0.0 if found is None else 100 * (found.high - found.low) / (2 * _WITHIN)
    change = first.right().astype(float) - second.right()
    return 100 * float(np.std(change)) / math.sqrt(max(1, len(change)))


def what_it_expects(base: Answers, charge: float) -> Knowledge:
    """The tokens of its own words that the base is sure of: what it knows where it answers nothing."""
    words = EvaluateResult(base.path).expected()
    sure = [] if words is None else words.filter(pl.col("probability") >= SURE)["item"].to_list()
    return Knowledge(frozenset(sure), charge)


def what_it_knew(asked: Sequence[Answers], levels: pl.DataFrame | None, charge: float) -> Knowledge:
    """What the base had right in any of the prompts it was asked in, and the facts of its two highest levels."""
    items = {name for one in asked for name in one.items.filter("right")["item"].to_list()}
    if levels is not None:
        inside = {name for one in asked[:1] for name in one.items["item"].to_list()}
        known = levels.filter(pl.col("level").is_in(KNOWN_LEVELS))["fact_id"].to_list()
        items |= inside & set(known)
    return Knowledge(frozenset(items), charge)


def value_of(answers: Answers, knowledge: Knowledge) -> tuple[float, float, float]:
    """Score and forgetting in percent, and what everything is chosen by: the first less the charge for the second."""
    score, forgot = answers.score(), answers.forgot(knowledge)
    assert score is not None
    lost = 0.0 if forgot is None else 100 * forgot.value
    return 100 * score.value, lost, 100 * score.value - knowledge.charge * lost
