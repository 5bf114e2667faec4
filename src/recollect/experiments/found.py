"""What an experiment knows before any cell: of the base, the facts and the settings."""

from __future__ import annotations

from recollect.core.settings import Settings
from recollect.core.workspace.experiment import ExperimentFound, FactsFound
from recollect.experiments.cell import Base
from recollect.facts import FactSet


def known(settings: Settings, base: Base, facts: FactSet) -> ExperimentFound:
    """What is known before any cell; loads the base where it is not."""
    loaded = base.load()
    return ExperimentFound(
        given=tuple(sorted(settings.model_fields_set)),
        parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        facts=FactsFound(name=facts.name, **facts.counts()),
        machine=loaded.machine.line(),
    )
