"""A piece of a training's update: examples that pass together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from recollect.train.trainer import Example


@dataclass(frozen=True)
class Piece:
    """Examples of one training that pass together, and how their dropout is drawn."""

    owner: int
    """The training's number in the pass."""
    examples: list[Example]
    weight: float
    """Of each answer token's loss: 1 / the update's."""
    dropout: float
    generator: torch.Generator
    """On the device that computes."""

    @property
    def longest(self) -> int:
        return max(len(ids) for ids, _ in self.examples)

    @property
    def tokens(self) -> int:
        """With padding."""
        return self.longest * len(self.examples)
