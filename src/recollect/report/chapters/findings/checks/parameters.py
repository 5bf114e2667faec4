"""The parameter level: how concentrated the change is, what setting it back brings, and merging with the base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import Any, Literal

import numpy as np

from recollect.core.estimates import (
    LEAST_PER_LEVEL,
    Cell,
    Claimed,
    Contrast,
    Extreme,
    Trainings,
    macro,
    winner,
)
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.sizes import LITTLE
from recollect.report.chapters.findings.checks.studied import Climbed, Ladders, Studied, entering

MOST_OF_IT = 0.9
INTERPOLATION = "interpolation"
TUNED = ("tuned", 0.0)
NO_LADDER = "no model climbed the restoration ladder: name a choice in --repair"
MORE_LADDERS = "few models climbed the ladder: name more choices in --repair, or raise --repeats"
FEW_ASKED = "of no memory level 10 test facts or more were asked on the ladder: raise its limit, or use more facts"
FEW_JUDGE = (
    "half of the ladder's test facts judge, and of no memory level they are 10: raise its limit, or use more facts"
)
Rung = tuple[str, float]
Score = Callable[[Ladders, Climbed], Any]
"""Of the ladders of one cell, each fact's score (ladders x facts); None where they lack a rung for it."""


def restoring(study: Studied) -> Sequence[Check]:
    """The top 20 % hold over 90 % of the change; setting them back gains, more than controls; 60 % is a collapse."""
    return [_share(study), _gain(study), _ahead(study), _collapse(study)]


def _share(study: Studied) -> Check:
    what = "share of the summed relative change that the top 20 % of the weights hold"
    found = {
        cell: [one.share_top for one in several if one.share_top is not None] for cell, several in study.drifted.items()
    }
    found = {cell: shares for cell, shares in found.items() if shares}
    if not found:
        return missing(what, "share", "the change was not measured: leave measure_drift on", boundary=MOST_OF_IT)
    weight = 1 / len(found)
    # one made-up fact, whose score is the share itself: all that is left is the spread between trainings
    shares = Trainings({cell: np.asarray(one)[:, None] for cell, one in found.items()}, np.zeros(1, dtype=int))
    measure = Contrast(shares, {cell: {0: weight} for cell in found}, "spread between trainings", over_facts=False)
    rows = [(_name(cell), fmean(one)) for cell, one in found.items()]
    return Check(what, "share", Claimed(measure, "above", MOST_OF_IT), rows=rows)


def _gain(study: Studied) -> Check:
    what = "gain from setting back the 20 % most changed weights"
    return _on_ladders(study, what, lambda ladders, climbed: _less(climbed, ladders.main, 20), "above")


def _collapse(study: Studied) -> Check:
    what = "accuracy with 60 % set back less half of the tuned model's"

    def score(ladders: Ladders, climbed: Climbed) -> Any:
        rung = climbed.near(ladders.main, 60)
        return None if rung is None else _of(climbed, rung) - 0.5 * _of(climbed, TUNED)

    return _on_ladders(study, what, score, "below")


def _ahead(study: Studied) -> Check:
    what = "smallest lead of the main order at 20 % over a control of the same share"
    ladders = study.ladders
    if ladders is None:
        return missing(what, "points", NO_LADDER)
    orders = {order for one in ladders.cells.values() for order, _ in one.rungs} - {"base", "tuned", ladders.main}
    each: list[tuple[str, Contrast]] = []
    for order in sorted(orders):
        gained = _scores(ladders, partial(_lead, order))
        if gained is not None and entering(gained):
            each.append((order, _mean(gained)))
    if not each:
        return missing(what, "points", "no rung near 20 % with its controls: add 20 to the ladder's percentages")
    rows = [(f"over “{order}”", one.value) for order, one in each]
    return Check(what, "points", Claimed(Extreme("smallest", [one for _, one in each]), "above"), MORE_LADDERS, rows)


def merging(study: Studied) -> Sequence[Check]:
    """Merging with the base does not reliably repair: the best interpolation, chosen and judged on two halves."""
    what = (
        f"gain of the best interpolation with the base on facts that did not choose it (below {100 * LITTLE:g} points)"
    )
    ladders = study.ladders
    if ladders is None:
        return [missing(what, "points", NO_LADDER, "below", LITTLE)]
    choosing = np.asarray(ladders.choosing, dtype=bool)
    gained = _scores(ladders, lambda own, climbed: _chosen(own, climbed, choosing))
    if gained is None:
        return [missing(what, "points", "no interpolation was asked: use a ladder with its controls", "below", LITTLE)]
    judged = Trainings(
        {cell: scores[:, ~choosing] for cell, scores in gained.scores.items()},
        np.asarray(ladders.levels)[~choosing],
        least=-1.0,
        units=None if ladders.units is None else np.asarray(ladders.units)[~choosing],
    )
    if not entering(judged):
        return [missing(what, "points", FEW_JUDGE, "below", LITTLE)]
    rows = [(_name(cell), judged.mean(cell, macro(entering(judged)))) for cell in judged.scores]
    return [Check(what, "points", Claimed(_mean(judged), "below", LITTLE), MORE_LADDERS, rows)]


def _on_ladders(study: Studied, what: str, score: Score, side: Literal["above", "below"]) -> Check:
    ladders = study.ladders
    if ladders is None:
        return missing(what, "points", NO_LADDER, side)
    found = _scores(ladders, score)
    if found is None:
        return missing(what, "points", "the ladder lacks the rung: add 20 and 60 to the ladder's percentages", side)
    if not entering(found):
        return missing(what, "points", FEW_ASKED, side)
    rows = [(_name(cell), found.mean(cell, macro(entering(found)))) for cell in found.scores]
    return Check(what, "points", Claimed(_mean(found), side), MORE_LADDERS, rows)


def _scores(ladders: Ladders, score: Score) -> Trainings | None:
    """Of every ladder each fact's score; None where no ladder has the rungs for it."""
    found = {cell: one for cell, climbed in ladders.cells.items() if (one := score(ladders, climbed)) is not None}
    return Trainings(found, ladders.levels, least=-1.0, units=ladders.units) if found else None


def _mean(scores: Trainings) -> Contrast:
    """The mean over the cells of the macro."""
    weight = 1 / len(scores.scores)
    return Contrast(scores, {cell: macro(entering(scores), weight) for cell in scores.scores})


def _of(climbed: Climbed, rung: Rung) -> Any:
    return np.asarray(climbed.rungs[rung], dtype=float)


def _less(climbed: Climbed, order: str, percent: float) -> Any:
    rung = climbed.near(order, percent)
    return None if rung is None else _of(climbed, rung) - _of(climbed, TUNED)


def _lead(order: str, ladders: Ladders, climbed: Climbed) -> Any:
    main = climbed.near(ladders.main, 20)
    other = None if main is None else climbed.near(order, main[1], 0.5)
    return None if main is None or other is None else _of(climbed, main) - _of(climbed, other)


def _chosen(ladders: Ladders, climbed: Climbed, choosing: Any) -> Any:
    """Each ladder's own best interpolation on the choosing facts, less the tuned model."""
    percents = sorted(percent for order, percent in climbed.rungs if order == INTERPOLATION)
    if not percents:
        return None
    levels = np.asarray(ladders.levels)
    entered = [level for level in range(5) if (choosing & (levels == level)).sum() >= LEAST_PER_LEVEL]
    places = [choosing & (levels == level) for level in entered] or [choosing]
    rows = []
    for at in range(len(_of(climbed, TUNED))):
        runs = {percent: _of(climbed, (INTERPOLATION, percent))[at] for percent in percents}
        best = winner({percent: fmean(float(run[place].mean()) for place in places) for percent, run in runs.items()})
        rows.append(runs[best] - _of(climbed, TUNED)[at])
    return np.stack(rows)


def _name(cell: Cell) -> str:
    return f"{cell[1]:,} examples of level {cell[0]}" if cell[0].isdigit() else f"{cell[1]:,} examples, {cell[0]}"
