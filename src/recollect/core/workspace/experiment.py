"""What an experiment found, beside its steps: what its page needs of the base, the facts and the settings.

Here, below the report, so that the experiments write it and the report reads it by attribute.
"""

from __future__ import annotations

from collections.abc import Iterable

from recollect.core.workspace.result import Result

STUDIES = "studies"
"""Where a grid keeps its parts, each the folder of a whole study."""


class FactsFound(Result):
    """The fact set, and how many facts each part has."""

    name: str
    train: int = 0
    test: int = 0
    ood: int = 0


class ExperimentFound(Result):
    """Base of what a study or a curve found."""

    title: str | None = None
    """Of its page; None in a folder of an earlier version, whose settings may have it."""
    notes: tuple[str, ...] = ()
    """What to know of the results, for a reader."""
    sources: dict[str, str] = {}
    """Where model, facts and levels came from."""
    given: tuple[str, ...] = ()
    """The settings that were given."""
    parameters: int | None = None
    """Of the base."""
    facts: FactsFound | None = None
    machine: str = ""
    """What the base was run on, in words."""
    seconds: float = 0.0


class Failed(Result):
    """A piece of work that failed while the rest went on."""

    name: str
    """Of the cell, such as "random-60-seed0"; in a grid with its part's before it: "smollm2-full/random-60-seed0"."""
    reason: str


def by_reason(failed: Iterable[Failed]) -> dict[str, list[str]]:
    """The names of what failed, by the reason, which several may have in common."""
    found: dict[str, list[str]] = {}
    for one in failed:
        found.setdefault(one.reason, []).append(one.name)
    return found


class StudyFound(ExperimentFound):
    """What a study found, beside its steps."""

    cells: int
    """Models trained."""
    preset: str | None = None
    """Of the trainings."""
    steps: int = 0
    """Step folders that it wanted, the failed ones among them."""
    reused: int = 0
    """Those that were there already, in this study or another."""
    failed: tuple[Failed, ...] = ()
    """Cells without a result; the same command tries them again."""


class GridPart(Result):
    """One study of a grid: one model, one set of data, one way to train."""

    name: str
    model: str
    """As it was named."""
    data: str
    """The facts, as they were named."""
    method: str
    """How it was trained: "full" or "lora"."""
    model_called: str = ""
    """What the study's file calls the model (`name:`); "" where it gives none."""
    data_called: str = ""
    """The same of the facts."""

    @property
    def folder(self) -> str:
        """Of the whole study, in the grid's folder; not `parts`, where a step keeps its scratch."""
        return f"{STUDIES}/{self.name}"


class GridFound(ExperimentFound):
    """What a study over several models, sets of data or methods found: its parts are studies, each whole in itself."""

    parts: tuple[GridPart, ...]
    cells: int
    """Models trained, in all parts."""
    steps: int = 0
    reused: int = 0
    failed: tuple[Failed, ...] = ()
