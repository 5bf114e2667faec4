"""How a shop base is built."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from recollect.core.settings import Settings


class ShopSettings(Settings):
    """How a shop base is built."""

    seed: int = 0
    """Another seed makes other shops, another corpus and other starting weights."""
    documents: Annotated[int, Field(ge=100)] = 48_000
    """Pages in the corpus, each with its summaries; all are read once."""
    summaries: Annotated[int, Field(ge=1)] = 2
    """Summaries of each page."""
    copying_start: bool = True
    """Start with attention heads that can already copy. Without it, copying takes far more text to appear."""
    vocabulary: Annotated[int, Field(ge=300)] = 1024
    """Tokens in the tokenizer."""
    width: Annotated[int, Field(ge=64, multiple_of=16)] = 128
    """Hidden size; there are always four attention heads."""
    layers: Annotated[int, Field(ge=2)] = 4
    """Decoder layers."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Documents in a training step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Peak of the cosine schedule."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """AdamW weight decay."""

    @model_validator(mode="after")
    def _enough_for_a_step(self) -> Self:
        if self.documents < self.batch_size:
            raise ValueError(f"documents must be at least batch_size, but got {self.documents} and {self.batch_size}")
        return self
