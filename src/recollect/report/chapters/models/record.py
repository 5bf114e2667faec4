"""Record of the chapter on models beside each other: what each knows, and how they react to the same data.

Parts of a grid with one model and one set of data have one probe, whatever they train by: they are one model here. Of
reactions each way to train is a comparison of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

from pydantic import Field

from recollect.compare import LevelsFound, levels_found, read_probes
from recollect.core.estimates import Estimate, rank_agreement
from recollect.core.workspace import MANIFEST
from recollect.errors import InputError
from recollect.evaluate import Accuracy, EvaluateResult
from recollect.report.page.chapter import Source
from recollect.report.page.record import Count, Finite, Measured, Number, Record
from recollect.report.scores.parts import Part, model_names, parts_of
from recollect.report.scores.record import Choice
from recollect.report.scores.steps import study_cells

Mean = Literal["macro", "micro"]
_Cell = tuple[Choice, int]


class CellGains(Record):
    """What each of two models gained on one cell, seed by seed; fractions."""

    levels: Choice
    size: Count
    first: list[Finite]
    second: list[Finite]


class Agreement(Record):
    """How alike two models rank the same cells."""

    cells: Count
    value: Number
    """Spearman's; null where nothing varies."""
    interval: Measured | None
    """Null where nothing can be said."""
    ceiling: Number
    """About what two models that agree fully would show under this noise of trainings."""
    reason: str = ""


class Reaction(Record):
    """How alike two models react to the same data."""

    first: str
    second: str
    method: str
    mean: Mean
    """Of accuracy on the in-domain test facts; macro is over each model's own levels."""
    cells: list[CellGains]
    over_all: Agreement
    inside: Agreement | None = None
    """Inside a size; null where only one was trained."""


class OnData(Record):
    """Models on one set of facts."""

    data: str
    levels: LevelsFound | None
    reactions: list[Reaction] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


class ModelsFound(Record):
    """All comparisons of a grid's models."""

    sets: list[OnData]


def collect(source: Source) -> ModelsFound | None:
    """Of a grid with two models or more on the same facts; None of anything else."""
    if source.step != "grid":
        return None
    parts = [part for part in parts_of(source) if (part.path / "steps" / "probe" / MANIFEST).is_file()]
    names = model_names(parts)
    sets = [_on([part for part in parts if part.data == data], names) for data in dict.fromkeys(p.data for p in parts)]
    found = [one for one in sets if one is not None]
    return ModelsFound(sets=found) if found else None


def _on(parts: Sequence[Part], names: Mapping[str, str]) -> OnData | None:
    by_model = {part.model: part for part in reversed(parts)}
    models = [model for model in names if model in by_model]
    if len(models) < 2:
        return None
    levels, notes = None, list[str]()
    try:
        probes, notes = read_probes(
            [by_model[one].path / "steps" / "probe" for one in models], [names[m] for m in models]
        )
        levels = levels_found(probes, notes)
    except InputError as error:
        notes = [f"What the models know is not compared: {error}"]
    return OnData(data=parts[0].data_said, levels=levels, reactions=_reactions(parts, names), notes=notes)


def _reactions(parts: Sequence[Part], names: Mapping[str, str]) -> list[Reaction]:
    """Of each two models with the same way to train."""
    found = []
    for method in dict.fromkeys(part.method for part in parts):
        same = [part for part in parts if part.method == method]
        for one, other in combinations(same, 2):
            if one.model != other.model and (reaction := _reaction(one, other, method, names)):
                found.append(reaction)
    return found


def _reaction(one: Part, other: Part, method: str, names: Mapping[str, str]) -> Reaction | None:
    sides = [_accuracies(part) for part in (one, other)]
    if sides[0] is None or sides[1] is None:
        return None
    shared = [cell for cell in sides[0][1] if cell in sides[1][1]]
    if not shared:
        return None
    every = [accuracy for base, cells in (sides[0], sides[1]) for row in [[base], *cells.values()] for accuracy in row]
    mean: Mean = "macro" if all(accuracy.macro is not None for accuracy in every) else "micro"
    gains = [
        CellGains(levels=cell[0], size=cell[1], first=first, second=second)
        for cell in shared
        for first, second in [[_gains(base, cells[cell], mean) for base, cells in (sides[0], sides[1])]]
    ]
    sizes = [gain.size for gain in gains]
    return Reaction(
        first=names[one.model],
        second=names[other.model],
        method=method,
        mean=mean,
        cells=gains,
        over_all=_agreement(gains),
        inside=_agreement(gains, sizes) if len(set(sizes)) > 1 else None,
    )


def _accuracies(part: Part) -> tuple[Accuracy, dict[_Cell, list[Accuracy]]] | None:
    """Of the untouched base and of each cell, seed by seed, on the in-domain test facts; None where none were asked."""
    base = part.path / "steps" / "base"
    if not (base / MANIFEST).is_file() or (untouched := EvaluateResult(base).found.accuracy.get("test")) is None:
        return None
    found: dict[_Cell, list[Accuracy]] = {}
    for cell in study_cells(part.source):
        if (accuracy := cell.evaluation.found.accuracy.get("test")) is not None:
            found.setdefault((cell.levels, cell.size), []).append(accuracy)
    return untouched, found


def _gains(base: Accuracy, cell: Sequence[Accuracy], mean: Mean) -> list[float]:
    before = _of(base, mean).value
    return [_of(one, mean).value - before for one in cell]


def _of(accuracy: Accuracy, mean: Mean) -> Estimate:
    if mean == "macro" and accuracy.macro is not None:
        return accuracy.macro
    return accuracy.micro


def _agreement(gains: Sequence[CellGains], groups: Sequence[int] | None = None) -> Agreement:
    found = rank_agreement([one.first for one in gains], [one.second for one in gains], groups)
    return Agreement(
        cells=found.n, value=found.value, interval=found.interval, ceiling=found.ceiling, reason=found.reason
    )
