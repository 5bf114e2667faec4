"""What an experiment found, beside its steps: what its page needs of the base, the facts and the settings.

Here, below the report, so that the experiments write it and the report reads it by attribute.
"""

from __future__ import annotations

from recollect.core.workspace.result import Result


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


class StudyFound(ExperimentFound):
    """What a study found, beside its steps."""

    cells: int
    """Models trained."""
    preset: str | None = None
    """Of the trainings."""
