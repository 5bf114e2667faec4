"""The untouched base of an experiment's cells: in memory once, and in its place each model trained from it in turn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from recollect.drift import BaseSide
from recollect.models import LoadedModel, ModelRef, ModelSettings, find_model, held_for, load, machine_of
from recollect.models.resident import Resident


class Base:
    """The untouched base: loaded when it is first needed, once in each process, and sent to no other but by `share`."""

    def __init__(self, settings: ModelSettings, loaded: LoadedModel | None = None, ref: ModelRef | None = None) -> None:
        """ref: the model that the settings name, where it is found already."""
        self.settings, self._loaded, self._ref = settings, loaded, ref
        self._residents = dict[tuple[str, str, str], Resident]()
        self.side = BaseSide()
        """What it made of the texts of a drift, for the next one."""
        self._shared = False

    @property
    def name(self) -> str:
        """The model as it was named."""
        return self.settings.model

    def load(self) -> LoadedModel:
        """The model; every training starts from a copy of it."""
        self._loaded = self._loaded or load(self.settings, self._ref)
        return self._loaded

    @property
    def in_memory(self) -> bool:
        """Whether it is."""
        return self._loaded is not None

    @contextmanager
    def holding(self, settings: ModelSettings) -> Iterator[LoadedModel]:
        """The model of `settings`, trained from this base, in its place while the block is open; beside it where that
        cannot be (see `models.resident`)."""
        with ExitStack() as stack:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # adapters on transformers 5 warn of names to come
                if not self.in_memory:  # it gave its memory to a training's processes
                    loaded = load(settings)
                else:
                    loaded = stack.enter_context(self.resident(settings).holding(settings))
            yield loaded

    def resident(self, settings: ModelSettings) -> Resident:
        """The base as others' place, on the device and in the number format that a model of `settings` is asked in."""
        loaded, machine = self.load(), machine_of(settings, find_model(settings.model, settings.revision))
        key = (machine.device, machine.dtype, settings.quantize)
        if key not in self._residents:
            values = {"device": machine.device, "dtype": machine.dtype, "quantize": settings.quantize}
            self._residents[key] = Resident(held_for(self.settings.model_copy(update=values), loaded))
        return self._residents[key]

    def release(self) -> None:
        """Give its memory back; it is loaded again when it is needed."""
        self._loaded, self.side, self._shared = None, BaseSide(), False
        self._residents.clear()

    def share(self) -> None:
        """Have processes of this machine that it is sent to map the weights as they are in memory here, instead of
        reading them anew. Nobody may change them from now on, and nobody does: trainings copy them,
        other models take their place."""
        import torch.multiprocessing  # noqa: F401  # teaches pipes to send shared memory

        self.load().model.share_memory()
        self._shared = True

    def __reduce__(self) -> tuple[type[Base], tuple[ModelSettings, LoadedModel | None]]:
        return Base, (self.settings, self._loaded if self._shared else None)
