"""The studies that a page compares: those of a grid, or the one study that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recollect.compare.asked import short_names
from recollect.core.workspace.experiment import GridFound, StudyFound
from recollect.report.page.chapter import Source


@dataclass(frozen=True)
class Part:
    """One model, one set of data and one way to train, studied."""

    name: str
    """Among the parts; "" for the one study of a page."""
    model: str
    data: str
    method: str
    """"full" or "lora"; "" where the study does not say."""
    source: Source
    """The study itself."""
    called: str = ""
    """What the grid's file calls its model; "" where it gives no name."""
    data_called: str = ""

    @property
    def model_said(self) -> str:
        """The model for a reader: as the grid's file calls it, else as it is named."""
        return self.called or self.model

    @property
    def data_said(self) -> str:
        """The facts for a reader."""
        return self.data_called or self.data

    @property
    def path(self) -> Path:
        """Its folder, whose `steps` hold the probe, the base's answers and those of each cell."""
        return self.source.path


def parts_of(source: Source) -> list[Part]:
    """The studies of a grid in its order, or the study itself; none of anything else."""
    if source.step == "grid":
        found = GridFound.read(source.path).parts
        return [
            Part(
                one.name,
                one.model,
                one.data,
                one.method,
                Source(source.path / one.folder, "study"),
                one.model_called,
                one.data_called,
            )
            for one in found
        ]
    if source.step == "study":
        sources = StudyFound.read(source.path).sources
        return [Part("", sources.get("model", ""), sources.get("facts", ""), "", source)]
    return []


def model_names(parts: Sequence[Part]) -> dict[str, str]:
    """What to call each model, all differently: as the grid's file calls it; else as its study is called where each has
    one, or by the last part of its own name."""
    models = list(dict.fromkeys(part.model for part in parts))
    own = short_names(models)
    if len(models) == len(parts):
        own = [part.name for part in parts]
    called = {part.model: part.called for part in parts if part.called}
    names = {model: called.get(model, name) for model, name in zip(models, own, strict=True)}
    return names if len(set(names.values())) == len(models) else dict(zip(models, own, strict=True))
