"""What a study and a curve tell: of the base before any cell, of the stage they are at, and at last on a page."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from recollect.core.progress import Detail, Progress
from recollect.core.settings import Settings
from recollect.core.workspace.experiment import ExperimentFound, FactsFound
from recollect.experiments.base import Base
from recollect.facts import FactSet


class Stage(Protocol):
    """Who shows what an experiment is at."""

    def __call__(
        self, what: str, unit: str, detail: Callable[[], Detail] | None = None
    ) -> AbstractContextManager[Progress | None]:
        """Called with what begins, its unit and who knows what is at work inside; gives its progress callback."""
        ...


def no_stage(
    what: str, unit: str, detail: Callable[[], Detail] | None = None
) -> AbstractContextManager[Progress | None]:
    """Of one whom nobody watches."""
    return nullcontext(None)


def unheard(text: str) -> None:
    """Of one whom nobody listens to."""


def known(settings: Settings, base: Base, facts: FactSet) -> ExperimentFound:
    """What is known before any cell; loads the base where it is not."""
    loaded = base.load()
    return ExperimentFound(
        given=tuple(sorted(settings.model_fields_set)),
        parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        facts=FactsFound(name=facts.name, **facts.counts()),
        machine=loaded.machine.line(),
    )


def write_page(path: Path, stage: Stage) -> None:
    """Write the page of a finished experiment from its steps, where it is missing.

    After the manifest: an experiment killed while its page is drawn has all its numbers. The report is imported late,
    so that what asks only for settings need not load every chapter.
    """
    from recollect.report import write_report

    if not (path / "report.html").is_file():
        with stage("writing the report", ""):
            write_report(path)
