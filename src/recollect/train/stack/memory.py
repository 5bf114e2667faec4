"""How many tokens pass at once: as many as are fast, and as memory has room for, which is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from recollect.core.machine import free_memory

_HEAD_ROOM = 0.5
"""The share of free memory that a batch may take."""
FASTEST = {"cpu": 1 << 11}
"""Tokens of a batch from which more are no faster; on a GPU as many as there is room for."""
_MOST = 1 << 16


class NoRoom(Exception):
    """Even one training's own batch finds no memory beside the others' adapters."""


@dataclass
class Room:
    """The most tokens of a batch, padding included."""

    device: str
    most: int = 0
    measured: bool = False

    def __post_init__(self) -> None:
        self.measured = bool(self.most)
        if not self.most:
            self.most = FASTEST.get(self.device, _MOST)

    @contextmanager
    def measuring(self, model: Any, tokens: int) -> Iterator[None]:
        """Measure in the first batch what a token takes, and choose by it."""
        if self.measured:
            yield
            return
        kept: dict[int, int] = {}
        weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

        def note(value: torch.Tensor) -> torch.Tensor:
            storage = value.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return value

        with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
            yield
        self.measured = True
        each = sum(kept.values()) / max(1, tokens)
        self.most = max(1, min(self.most, int(free_memory(self.device) * _HEAD_ROOM / max(1.0, each))))

    def halve(self, largest: int) -> None:
        """After memory ran out with a batch of so many tokens."""
        self.measured = True
        self.most = max(1, min(self.most, largest) // 2)
