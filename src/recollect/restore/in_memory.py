"""The two models of a ladder in memory: one after the other in the place of a base that is there already, or loaded."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from recollect.drift.sides import base_settings, load_base, load_tuned, tuned_settings
from recollect.models import LoadedModel
from recollect.models.resident import Resident
from recollect.restore.settings import LadderSettings


@dataclass(frozen=True)
class Sides:
    """Where the two models are in memory when they are needed: in the resident base's place, or loaded."""

    settings: LadderSettings
    base: str
    tuned: str
    resident: Resident | None
    held: ExitStack
    """Open while the ladder is climbed."""

    def load_base(self) -> LoadedModel:
        """The untouched base; before the tuned model."""
        if self.resident is not None and self.resident.is_base(base_settings(self.settings, self.base)):
            return self.resident.base
        return load_base(self.settings, self.base)

    def load_tuned(self) -> LoadedModel:
        """The tuned model, to be written over."""
        if self.resident is None:
            return load_tuned(self.settings, self.tuned)
        holding = self.resident.holding(tuned_settings(self.settings, self.tuned), written_over=True)
        return self.held.enter_context(holding)
