"""What a grid varies: its models, its data and its ways to train, each named by a text or by a mapping with its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer, model_validator

from recollect.core.settings import Fixed, Name, Settings
from recollect.evaluate import EvaluateSettings
from recollect.probe import ProbeSettings
from recollect.train import TrainSettings

Method = Literal["full", "lora"]
ProbeSection = Annotated[ProbeSettings, Fixed("model", "facts")]
TrainSection = Annotated[TrainSettings, Fixed("model", "seed")]
EvaluateSection = Annotated[EvaluateSettings, Fixed("model", "facts", "levels", "data")]


class Entry(Settings):
    """One entry of an axis. What it says beside its name goes before what the study says."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")] | None = None
    """What its parts are called by. Default: the last word of the model, file or method."""

    @classmethod
    def named_by(cls) -> str:
        """The field that a plain text stands for."""
        return next(name for name in cls.model_fields if name != "name")

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, values: Any) -> Any:
        """A text, or a path, alone is the model, the facts or the method."""
        return values if isinstance(values, Mapping | Entry) else {cls.named_by(): values}

    @model_serializer
    def _plain(self) -> Any:
        """As it is given, so that a setting to come gives no new name to a grid of today."""
        first = self.named_by()
        values = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        plain = {
            name: value.fingerprint_section() if isinstance(value, Settings) else value
            for name, value in values.items()
        }
        return plain[first] if set(plain) == {first} else plain

    def __str__(self) -> str:
        return str(self.model_dump(mode="json"))

    @property
    def said(self) -> str:
        """The model, the facts or the method, as it was named."""
        return str(getattr(self, self.named_by()))

    @property
    def short(self) -> str:
        """What its parts are called by: letters, digits and few signs, which every file system takes."""
        last = self.name or PurePath(self.said.replace("\\", "/").rstrip("/")).name
        stem = last if self.name else _without_ending(last)
        signs = (sign if sign.isascii() and (sign.isalnum() or sign in "._+-") else "-" for sign in stem)
        return "".join(signs).lstrip(".") or "-"


class ModelEntry(Entry):
    """One model of a grid."""

    model: Name
    """A folder, a Hugging Face name, or one that is shipped."""
    probe: ProbeSection = ProbeSettings()
    """Settings of `recollect probe` for this model alone."""
    train: TrainSection = TrainSettings()
    """Settings of `recollect train` for this model alone, such as its learning rate."""
    evaluate: EvaluateSection = EvaluateSettings()
    """Settings of `recollect evaluate` for this model alone."""


class DataEntry(Entry):
    """One set of facts of a grid."""

    facts: Name
    """A facts step directory, a data file, or one that is shipped."""


class MethodEntry(Entry):
    """One way to train of a grid."""

    method: Method
    """All parameters, or low-rank adapters on a frozen base."""
    train: Annotated[TrainSettings, Fixed("model", "seed", "method")] = TrainSettings()
    """Settings of `recollect train` for this way alone, such as its learning rate."""


def _without_ending(name: str) -> str:
    """A file's name without the ending of its kind; a model's name may have dots of its own (Llama-3.1)."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and ending.lower() in ("csv", "tsv", "json", "jsonl", "parquet", "yaml") else name
