"""What a study and a grid have in common once they are finished."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from recollect.core.workspace.experiment import Failed, GridFound, StudyFound

if TYPE_CHECKING:
    from recollect.report import Results

Found = TypeVar("Found", StudyFound, GridFound)


@dataclass(frozen=True)
class Finished(Generic[Found]):
    """A finished folder: `path` holds report.html and results.json."""

    path: Path
    found: Found
    reused: int = field(default=0, compare=False)
    """Steps that were there already when this was asked for, here or in a study around it."""
    before: bool = field(default=False, compare=False)
    """Whether it was found finished."""

    @property
    def failed(self) -> tuple[Failed, ...]:
        """What has no result; the same settings run again try it again."""
        return self.found.failed

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    @cached_property
    def results(self) -> Results:
        """All that the report shows: scores of the base and of every cell, the best choice, drift and more."""
        from recollect.report import read_results

        return read_results(self.path)
