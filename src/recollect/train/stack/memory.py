"""How many tokens pass at once: as many as are fast, and as memory has room for, which is measured."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

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
        self.most = max(1, min(self.most, int(_free(self.device) * _HEAD_ROOM / max(1.0, each))))

    def halve(self, largest: int) -> None:
        """After memory ran out with a batch of so many tokens."""
        self.measured = True
        self.most = max(1, min(self.most, largest) // 2)


def _free(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info()[0])
    import psutil

    return int(psutil.virtual_memory().available)


def give_back(device: str) -> None:
    """Let go of what nobody holds any more: optimizers and their schedules hold each other."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    said = str(error).lower()
    known = "out of memory" in said or "can't allocate memory" in said or "bad_alloc" in said
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and known)
