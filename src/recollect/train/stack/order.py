"""In which order a training reads its examples, with the random numbers that it would have alone.

The transformers trainer leaves the order to accelerate's loader and to torch's global random state. Here each training
has that state of its own, and the same loader is asked for places in the list of examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, RandomSampler

from recollect.generate.random import library_seed
from recollect.train.settings import TrainSettings


@contextmanager
def as_global(generator: torch.Generator) -> Iterator[None]:
    """Let what draws from torch's global state on the CPU draw from a generator."""
    before = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
        generator.set_state(torch.get_rng_state())
    finally:
        torch.set_rng_state(before)


@dataclass
class Order:
    """The batches of a training; a batch is places in the list of examples."""

    examples: int
    settings: TrainSettings
    generator: torch.Generator
    """The training's own random state on the CPU, from which dropout draws as well."""

    def __post_init__(self) -> None:
        self.pieces = self.settings.gradient_accumulation
        self.piece = self.settings.batch_size // self.pieces
        """Examples of one piece of an update."""
        self.per_epoch = math.ceil(self.examples / self.piece)
        """Pieces of an epoch."""
        self.updates = math.ceil(self.per_epoch / self.pieces)
        """Updates of an epoch."""
        with as_global(self.generator):
            loader: DataLoader[int] = DataLoader(
                range(self.examples),  # type: ignore[arg-type]  # a list of places is a data set
                batch_size=self.piece,
                sampler=RandomSampler(range(self.examples)),
                collate_fn=list,
            )
            self._loader = prepare_data_loader(loader, use_seedable_sampler=True, put_on_device=False)
        self._epoch: int | None = None
        self._batches: list[list[int]] = []

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        if self.settings.max_steps is not None:
            return self.settings.max_steps
        return math.ceil(float(self.settings.epochs) * self.updates)

    def update(self, number: int) -> list[list[int]]:
        """The pieces of an update, counted from 0. They are asked for in order; the first may be any."""
        epoch, inside = divmod(number, self.updates)
        if epoch != self._epoch:
            with as_global(self.generator):
                self._loader.set_epoch(epoch)
                self._batches = list(self._loader)
            self._epoch = epoch
        return self._batches[inside * self.pieces : (inside + 1) * self.pieces]

    def within(self, number: int) -> bool:
        """Whether an update is not the first of its epoch."""
        return number % self.updates > 0

    def forget(self, number: int) -> None:
        """Draw the order anew if this update is the first of its epoch."""
        if not self.within(number):
            self._epoch = None

    def epoch_after(self, number: int) -> float:
        """How many epochs are read after an update, counted from 0, as the trainer writes it."""
        epoch, inside = divmod(number, self.updates)
        return epoch + min((inside + 1) * self.pieces, self.per_epoch) / self.per_epoch


def random_of(settings: TrainSettings, device: str) -> torch.Generator:
    """The random state with which a training's updates begin on a device."""
    generator = torch.Generator(device)
    generator.manual_seed(library_seed(settings.seed))
    return generator
