"""What an exporter is: it writes a model in another form, and asks what it wrote.

Adding one: a file with a class that has the members of `Exporter`, and a line in `recollect.export.formats`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recollect.core.json_object import JsonObject
from recollect.core.machine import Machine
from recollect.export.settings import ExportSettings
from recollect.models import ModelRef
from recollect.models.origin import Origin


@dataclass(frozen=True)
class Prompt:
    """One question of the check."""

    question: str
    text: str
    """What the original reads: the fine-tuning prompt, or the chat template with the question in it."""
    messages: tuple[JsonObject, ...] = ()
    """The chat that `text` renders; () for a plain prompt."""


@dataclass(frozen=True)
class Job:
    """What is exported, and how."""

    settings: ExportSettings
    ref: ModelRef
    """The model, found and checked: a whole one, or an adapter with its base."""
    origin: Origin
    """Where its base is from."""
    machine: Machine
    """Where both sides of the check compute."""
    name: str
    """What the export is called: a file name without an ending."""


@dataclass(frozen=True)
class Written:
    """What an exporter wrote."""

    path: Path
    """What other programs are given: a folder or a file."""
    notes: tuple[str, ...] = ()
    """What a user must know to use it: the command that serves it, what was left out."""
    changed: str = ""
    """What happened to the weights, in a sentence for the card."""


class CannotAskError(Exception):
    """What was written cannot be run on this machine; the text says why, and what would run it."""


class Exporter(Protocol):
    """One form in which a model can be taken away."""

    whole: bool
    """Whether what comes out is a whole model, never an adapter."""

    def bound(self, settings: ExportSettings) -> float:
        """The least share of equal answers that is right for this form."""

    def check(self, job: Job) -> None:
        """Refuse before any work what cannot be written: InputError, ModelError or MissingExtra."""

    def write(self, job: Job, target: Path, work: Path) -> Written:
        """Write into `target`, an empty place for a folder; `work` is a place for what is needed on the way."""

    def ask(self, job: Job, written: Written, prompts: Sequence[Prompt]) -> list[str]:
        """The greedy answers of what was written, by the program it was written for. Raises CannotAskError."""
