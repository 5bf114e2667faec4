"""Pieces of many trainings' updates side by side: rows, dropout and the loss of each.

Notable choices
- A piece stays whole and in its own order, so that its dropout masks are those it would draw alone (see `dropout`).
- Logits are computed where an answer stands and nowhere else: the output head is given those places only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from recollect.models.stacked import Stacked
from recollect.train.stack.dropout import dropout_of
from recollect.train.stack.piece import Piece as Piece


def together(pieces: Sequence[Piece], most: int) -> list[list[Piece]]:
    """Pieces of similar length as batches of at most `most` tokens with padding; one that is longer is alone."""
    batches: list[list[Piece]] = []
    rows = 0
    for piece in sorted(pieces, key=lambda piece: (piece.longest, piece.owner)):
        rows += len(piece.examples)
        if not batches or rows * piece.longest > most:
            batches.append([])
            rows = len(piece.examples)
        batches[-1].append(piece)
    return batches


@dataclass(frozen=True)
class Batch:
    """Pieces side by side, as tensors."""

    pieces: list[Piece]
    ids: torch.Tensor
    mask: torch.Tensor
    """Of what is no padding."""
    places: torch.Tensor
    """Where the next token is one of an answer, in the flat list of tokens."""
    labels: torch.Tensor
    """Those next tokens."""
    of: torch.Tensor
    """The piece that each of them is of."""

    @property
    def rows(self) -> list[int]:
        """The owner of each row."""
        return [piece.owner for piece in self.pieces for _ in piece.examples]


def as_batch(pieces: Sequence[Piece], pad: int, device: str) -> Batch:
    """The pieces as one batch, padded on the right."""
    longest = max(piece.longest for piece in pieces)
    rows = [example for piece in pieces for example in piece.examples]
    of_rows = [number for number, piece in enumerate(pieces) for _ in piece.examples]
    ids = [[*ids, *[pad] * (longest - len(ids))] for ids, _ in rows]
    real = [[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]
    answers = [
        (row * longest + place - 1, ids[place], of_rows[row])
        for row, (ids, mask) in enumerate(rows)
        for place in range(1, len(ids))
        if mask[place]
    ]
    places, labels, of = torch.tensor(answers, dtype=torch.long).reshape(-1, 3).T.contiguous().to(device)
    return Batch(list(pieces), torch.tensor(ids, device=device), torch.tensor(real, device=device), places, labels, of)


class Head:
    """What stands before the output head: it lets through the places of answers, as one row."""

    def __init__(self) -> None:
        self.places: torch.Tensor | None = None

    @contextmanager
    def on(self, model: Any) -> Iterator[Head]:
        """Put it there, for a while."""
        handle = model.get_output_embeddings().register_forward_pre_hook(self._only_answers)
        try:
            yield self
        finally:
            handle.remove()

    def _only_answers(self, _: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden, *others = inputs
        assert self.places is not None
        return hidden.flatten(0, 1).index_select(0, self.places)[None], *others


@dataclass(frozen=True)
class Told:
    """What a piece's pass tells."""

    loss: float
    entropy: float
    """Mean over its answer tokens."""
    accuracy: float


def pass_through(model: Any, stacked: Stacked, head: Head, batch: Batch, mixed: bool) -> dict[int, Told]:
    """Forward and backward of a batch: adds each row's gradient to its own adapter's; returns what each owner's piece
    tells."""
    stacked.rows.belong_to(batch.rows)
    stacked.rows.dropout = dropout_of(batch.pieces, stacked, batch.ids.device.type)
    head.places = batch.places
    device = batch.ids.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
        logits = model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits[0]
    scores = torch.log_softmax(logits.float(), dim=-1)
    losses = -scores.gather(1, batch.labels[:, None])[:, 0]
    weights = torch.tensor([piece.weight for piece in batch.pieces], device=device)
    total: Any = (losses * weights[batch.of]).sum()
    if total.requires_grad:  # else the model has called no module with an adapter
        total.backward()
    return _told(batch, scores.detach(), losses.detach())


def _told(batch: Batch, scores: torch.Tensor, losses: torch.Tensor) -> dict[int, Told]:
    kinds = torch.stack(
        [losses, -(scores.exp() * scores).sum(-1), (scores.argmax(-1) == batch.labels).float(), torch.ones_like(losses)]
    )
    sums = kinds.new_zeros(4, len(batch.pieces)).index_add_(1, batch.of, kinds).T.tolist()
    found = {}
    for piece, (loss, entropy, right, count) in zip(batch.pieces, sums, strict=True):
        found[piece.owner] = Told(loss * piece.weight, entropy / max(1, count), right / max(1, count))
    return found
