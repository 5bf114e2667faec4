"""Several models: whether they know other facts, and whether those that know alike learn alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from recollect.compare import ApartBeyondDraws, Graded
from recollect.core.estimates import (
    LEAST_FOR_DIFFERENCE,
    Claimed,
    CorrelationDifference,
    Extreme,
    RankCorrelation,
    apart_of,
    macro,
)
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.sizes import NO_LEVEL
from recollect.report.chapters.findings.checks.studied import Studied, entering

Pair = tuple[Studied, Studied]
_DIFFER = "smallest distance of two models' levels beyond what two probes of one model show"
_ALIKE = "rank correlation of the reactions of the two most alike models less that of the two least alike"
_UNSTATED = "a probe does not say what a second one would differ by: set probe.method to sampled or adaptive"


def distributions_differ(studies: Sequence[Studied]) -> Sequence[Check]:
    """The distribution over the memory levels differs between every two models, on the facts that both were asked."""
    if len(studies) < 2:
        return []
    pairs = _pairs(studies)
    if not pairs:
        return [missing(_DIFFER, "levels", _needs(2))]
    if any(one.graded is None or one.graded.fresh is None for pair in pairs for one in pair):
        return [missing(_DIFFER, "levels", _UNSTATED)]
    each = [(_names(pair), ApartBeyondDraws(*_graded(pair))) for pair in pairs]
    rows = [
        row
        for name, found in each
        for row in ((f"{name}: apart", found.distance.value), ("two probes of one of them, at most", found.by_draws))
    ]
    return [Check(_DIFFER, "levels", Claimed(Extreme("smallest", [one for _, one in each]), "above"), rows=rows)]


def alike_react_alike(studies: Sequence[Studied]) -> Sequence[Check]:
    """Models of similar distributions react alike to the same data: the closest two models against the farthest two."""
    if len(studies) < 2:
        return []
    pairs = sorted(_pairs(studies), key=_apart)
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
    """Every two models on the same data and by the same judge, each with its first study."""
    first: dict[tuple[str, str], Studied] = {}
    for study in studies:
        if study.graded is not None:
            first.setdefault((study.model, study.data), study)
    found = []
    for data in dict.fromkeys(study.data for study in first.values()):
        same = [(study, study.graded) for study in first.values() if study.data == data and study.graded is not None]
        every = set.intersection(*(set(graded.facts) for _, graded in same))
        facts = [fact for fact in same[0][1].facts if fact in every]  # those that all models were asked
        on_these = [replace(study, graded=graded.of(facts)) for study, graded in same if facts]
        found += [pair for pair in combinations(on_these, 2) if len({_judge(one) for one in pair}) == 1]
    return found


def _judge(study: Studied) -> object:
    return study.graded.judge if study.graded else None


def _graded(pair: Pair) -> tuple[Graded, Graded]:
    first, second = (study.graded for study in pair)
    assert first is not None
    assert second is not None
    return first, second


def _apart(pair: Pair) -> float:
    """How many levels the two lie apart."""
    first, second = _graded(pair)
    return float(apart_of(first.used.mean(axis=0), second.used.mean(axis=0)))


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
