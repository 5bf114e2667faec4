"""Several models: whether they know other facts, and whether those that know alike learn alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from recollect.core.estimates import (
    CONFIDENCE,
    LEAST_FOR_DIFFERENCE,
    Claimed,
    CorrelationDifference,
    Estimate,
    Extreme,
    RankCorrelation,
    Source,
    macro,
    total_variation,
)
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.sizes import NO_LEVEL
from recollect.report.chapters.findings.checks.studied import Studied, entering

MARGIN = 0.02
Pair = tuple[Studied, Studied]
_DIFFER = "smallest distance of two models' level distributions (total variation)"
_ALIKE = "rank correlation of the reactions of the two most alike models less that of the two least alike"


def distributions_differ(studies: Sequence[Studied]) -> Sequence[Check]:
    """The distribution over the memory levels differs between every two models, on the facts that both were asked."""
    if len(studies) < 2:
        return []
    pairs = _pairs(studies)
    if not pairs:
        return [missing(_DIFFER, "share", _needs(2), boundary=MARGIN)]
    each = [(_names(pair), _Distance(pair)) for pair in pairs]
    rows = [(name, found.value) for name, found in each]
    return [Check(_DIFFER, "share", Claimed(Extreme("smallest", [one for _, one in each]), "above", MARGIN), rows=rows)]


def alike_react_alike(studies: Sequence[Studied]) -> Sequence[Check]:
    """Models of similar distributions react alike to the same data: the closest two models against the farthest two."""
    if len(studies) < 2:
        return []
    pairs = sorted(_pairs(studies), key=lambda pair: _Distance(pair).value)
    if len(pairs) < 3:
        return [missing(_ALIKE, "correlation", _needs(3))]
    ends = pairs[0], pairs[-1]
    if min(len(_shared(pair)) for pair in ends) < LEAST_FOR_DIFFERENCE:
        return [
            missing(_ALIKE, "correlation", f"fewer than {LEAST_FOR_DIFFERENCE} cells in common: add sizes or choices")
        ]
    if not all(_entering(pair) for pair in ends):
        return [missing(_ALIKE, "correlation", NO_LEVEL)]
    close, far = (_reactions(pair) for pair in ends)
    rows = [(f"most alike: {_names(ends[0])}", close.value), (f"least alike: {_names(ends[1])}", far.value)]
    return [Check(_ALIKE, "correlation", Claimed(CorrelationDifference(close, far), "above"), rows=rows)]


def _pairs(studies: Sequence[Studied]) -> list[Pair]:
    """Every two models on the same data, each with its first study."""
    first: dict[tuple[str, str], Studied] = {}
    for study in studies:
        if study.memory:
            first.setdefault((study.model, study.data), study)
    return [
        (one, other)
        for one, other in combinations(first.values(), 2)
        if one.data == other.data and one.model != other.model and one.memory.keys() & other.memory.keys()
    ]


@dataclass(frozen=True)
class _Distance:
    """The total variation of two models' level distributions: the share of facts that would have to move."""

    pair: Pair
    repeats: int = 2
    """Nothing was trained for it."""

    @cached_property
    def value(self) -> float:
        """The distance."""
        return self.at(CONFIDENCE).value

    def at(self, confidence: float) -> Estimate:
        """With its interval; the facts are resampled, those that both models were asked."""
        one, other = self.pair
        facts = sorted(one.memory.keys() & other.memory.keys())
        first, second = (np.eye(5)[[study.memory[fact] for fact in facts]] for study in self.pair)
        return total_variation(first, second, confidence)

    def mostly(self, confidence: float) -> Source:
        """More facts narrow it."""
        return "facts"


def _shared(pair: Pair) -> list[tuple[str, int]]:
    return [cell for cell in pair[0].cells if cell in pair[1].cells]


def _entering(pair: Pair) -> tuple[int, ...]:
    """The levels with enough facts in both."""
    return tuple(level for level in entering(pair[0].test) if level in entering(pair[1].test))


def _reactions(pair: Pair) -> RankCorrelation:
    """Of both models' macro scores over the cells that both trained."""
    levels = macro(_entering(pair))
    first, second = ([study.test.by_training(cell, levels).tolist() for cell in _shared(pair)] for study in pair)
    return RankCorrelation(first, second)


def _names(pair: Pair) -> str:
    return f"{pair[0].model} and {pair[1].model}"


def _needs(count: int) -> str:
    return f"this needs at least {count} models on the same data: add models to the study's file"
