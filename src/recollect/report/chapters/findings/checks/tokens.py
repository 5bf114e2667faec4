"""The token level: divergence over sizes, what it goes with, and whether it forecasts forgetting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recollect.core.estimates import (
    LEAST_FOR_DIFFERENCE,
    LEAST_PAIRS,
    Cell,
    Claimed,
    Contrast,
    CorrelationDifference,
    RankCorrelation,
    Trainings,
    macro,
    spearman,
)
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.sizes import NO_MIDDLE, middle_of
from recollect.report.chapters.findings.checks.studied import Drifted, Studied
from recollect.report.page.text import choice as label

WELL_KNOWN = 4
LEAST_FACTS = 10
NO_KL = "the divergence was not measured: leave measure_drift on, with test facts of level 4"
MORE_CELLS = "fewer than {} trained cells were measured: add sizes or choices, with measure_drift on"


def divergence(study: Studied) -> Sequence[Check]:
    """KL falls to a middle size and then rises; the higher it is, the fewer level-4 facts are right."""
    fall, rise = (
        "fall of the divergence from the smallest size to the middle",
        "rise of it from the middle to the largest",
    )
    kl, middle = study.kl, middle_of(study)
    if kl is None or kl.count(WELL_KNOWN) < LEAST_FACTS:
        return [
            missing(fall, "nats", NO_KL),
            missing(rise, "nats", NO_KL),
            missing(_GOES_WITH, "correlation", NO_KL, "below"),
        ]
    if middle is None:
        return [missing(fall, "nats", NO_MIDDLE), missing(rise, "nats", NO_MIDDLE), _with_accuracy(study, kl)]
    return [
        _between(kl, fall, [(few, at) for at, few, _ in _ends(kl, middle) if few != at]),
        _between(kl, rise, [(many, at) for at, _, many in _ends(kl, middle) if many != at]),
        _with_accuracy(study, kl),
    ]


def _ends(kl: Trainings, middle: int) -> list[tuple[Cell, Cell, Cell]]:
    """Of every choice its middle, smallest and largest cell."""
    found = []
    for choice in dict.fromkeys(choice for choice, size in kl.scores if size == middle):
        sizes = [size for own, size in kl.scores if own == choice]
        found.append(((choice, middle), (choice, min(sizes)), (choice, max(sizes))))
    return found


def _between(kl: Trainings, what: str, pairs: Sequence[tuple[Cell, Cell]]) -> Check:
    """The mean over the pairs of the first's divergence less the second's."""
    if not pairs:
        return missing(what, "nats", NO_MIDDLE)
    weights: dict[Cell, dict[int, float]] = {}
    for first, second in pairs:
        weights[first] = macro((WELL_KNOWN,), 1 / len(pairs))
        weights[second] = macro((WELL_KNOWN,), -1 / len(pairs))
    rows = [
        (
            f"{label(first[0])}, {second[1]:,} against {first[1]:,}",
            kl.mean(first, macro((WELL_KNOWN,))) - kl.mean(second, macro((WELL_KNOWN,))),
        )
        for first, second in pairs
    ]
    return Check(what, "nats", Claimed(Contrast(kl, weights), "above"), rows=rows)


_GOES_WITH = "rank correlation over cells of the divergence with the accuracy on level-4 facts"


def _with_accuracy(study: Studied, kl: Trainings) -> Check:
    cells = [cell for cell in study.cells if cell in kl.scores]
    if len(cells) < LEAST_PAIRS or study.test.count(WELL_KNOWN) < LEAST_FACTS:
        return missing(_GOES_WITH, "correlation", MORE_CELLS.format(LEAST_PAIRS), "below")
    only = macro((WELL_KNOWN,))
    found = RankCorrelation(
        [kl.by_training(cell, only).tolist() for cell in cells],
        [study.test.by_training(cell, only).tolist() for cell in cells],
    )
    return Check(_GOES_WITH, "correlation", Claimed(found, "below"))


def forecast(study: Studied) -> Sequence[Check]:
    """Forgetting goes with the divergence on the task's own inputs more than with the size of the weights' change."""
    what = "rank correlation of forgetting with the divergence on the task's inputs less that with the weights' change"
    cells = [
        cell
        for cell, found in study.drifted.items()
        if all(None not in (one.kl_task, one.change, one.known) for one in found)
    ]
    if len(cells) < LEAST_FOR_DIFFERENCE:
        return [missing(what, "correlation", MORE_CELLS.format(LEAST_FOR_DIFFERENCE))]

    def each(pick: Callable[[Drifted], float | None]) -> list[list[float]]:
        return [[pick(one) or 0.0 for one in study.drifted[cell]] for cell in cells]

    forgotten = [[-known for known in cell] for cell in each(lambda one: one.known)]
    task, change = each(lambda one: one.kl_task), each(lambda one: one.change)
    with_task, with_change = RankCorrelation(forgotten, task), RankCorrelation(forgotten, change)
    found = CorrelationDifference(with_task, with_change, spearman(with_task.means[1], with_change.means[1]))
    rows = [
        ("with the divergence on the task's inputs", with_task.value),
        ("with the length of the weights' change", with_change.value),
    ]
    return [Check(what, "correlation", Claimed(found, "above"), rows=rows)]
