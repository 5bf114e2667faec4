"""What an experiment found, beside its steps: what its page needs of the base, the facts and the settings."""

from __future__ import annotations

from recollect.core.settings import Settings
from recollect.core.workspace.result import Result
from recollect.experiments.cell import Base
from recollect.facts import FactSet


class FactsFound(Result):
    """The fact set, and how many facts each part has."""

    name: str
    train: int = 0
    test: int = 0
    ood: int = 0


class ExperimentFound(Result):
    """Base of what a study or a curve found."""

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


def known(settings: Settings, base: Base, facts: FactSet) -> ExperimentFound:
    """What is known before any cell; loads the base where it is not."""
    loaded = base.load()
    return ExperimentFound(
        given=tuple(sorted(settings.model_fields_set)),
        parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        facts=FactsFound(name=facts.name, **facts.counts()),
        machine=loaded.machine.line(),
    )
