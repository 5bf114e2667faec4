"""Which engines there are: a name, and how each finds a model. Adding one: a file with its class, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from recollect.core.machine import Machine
from recollect.errors import InputError
from recollect.generate import Engine, TransformersEngine
from recollect.models import LoadedModel, ModelSettings, check_held, load, machine_of, resolve


@dataclass(frozen=True)
class FoundModel:
    """A model that was found and checked, and is loaded only when there is something to ask it."""

    fingerprint: str
    """Of its weights: part of the fingerprint of every step that asks it."""
    load: Callable[[], Engine]
    number_format: str = ""
    """Where `dtype: auto` chose another one than float32 on a CPU: part of the fingerprint too, since the numbers
    differ. "" elsewhere."""

    @property
    def inputs(self) -> dict[str, str]:
        """What of the model decides the result of a step that asks it."""
        chosen = {"number_format": self.number_format} if self.number_format else {}
        return {"model": self.fingerprint, **chosen}


def _chosen_format(settings: ModelSettings, machine: Machine) -> str:
    automatic = settings.dtype == "auto" and machine.device == "cpu"
    return machine.dtype if automatic and machine.dtype != "float32" else ""


def _transformers(settings: ModelSettings, loaded: LoadedModel | None) -> FoundModel:
    if loaded is not None:
        check_held(settings, loaded)
        chosen = _chosen_format(settings, loaded.machine)
        return FoundModel(loaded.fingerprint, lambda: TransformersEngine(loaded), chosen)
    ref = resolve(settings)
    chosen = _chosen_format(settings, machine_of(settings, ref.folder))
    return FoundModel(ref.fingerprint, lambda: TransformersEngine(load(settings, ref)), chosen)


Finder = Callable[[ModelSettings, LoadedModel | None], FoundModel]
"""From the settings to a model; one that the caller has in memory already comes along, for those that can take it.

The fingerprint of a model folder is that of `recollect.models.ModelRef`: a study hands its model to every engine.
"""

ENGINES: dict[str, Finder] = {"transformers": _transformers}


def _check_engine(name: str) -> str:
    if name not in ENGINES:
        raise ValueError(f"must be one of {', '.join(ENGINES)}")
    return name


class EngineSettings(ModelSettings):
    """Which model, how to hold it, and what runs it. Part of every step that asks a model for text."""

    later_fields: ClassVar[set[str]] = {"engine"}

    engine: Annotated[str, AfterValidator(_check_engine)] = "transformers"
    """What runs the model; see `recollect.generate.engine` for how to add one."""


def find_engine(settings: EngineSettings, loaded: LoadedModel | None = None) -> FoundModel:
    """Find and check the model of the settings with their engine; `loaded` is that model where it is in memory.

    Raises ModelError for a broken or unsafe model, InputError for a model in memory that is not as the settings say, or
    that the engine would pass over for another one.
    """
    found = ENGINES[settings.engine](settings, loaded)
    if loaded is not None and loaded.fingerprint != found.fingerprint:
        raise InputError(
            f"the engine {settings.engine!r} asks the model {settings.model}, but the one in memory has other weights. "
            "Leave `loaded` out, save that model and name its folder, or take the engine transformers."
        )
    return found
