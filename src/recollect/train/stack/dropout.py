"""The dropout in front of the factors: each training draws its own, whoever passes beside it.

Notable choices
- On a CPU a piece draws one mask for each module, in the order in which the model calls them, over the piece padded to
  its own longest example, as the inputs lie in memory (transposed ones in another order): what PEFT draws of it alone.
- On a GPU, where thousands of small draws would take longer than the update, a piece draws once for all modules. Its
  numbers lie token by token, so that they do not depend on how far its neighbours pad it; but they are not PEFT's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch

from recollect.models.stacked import Run, Stacked
from recollect.train.stack.piece import Piece

Mask = tuple[torch.Tensor, torch.Tensor]
"""A mask of a run's inputs, and by what is left of each piece is scaled up, [adapters, 1, 1]."""


def dropout_of(pieces: Sequence[Piece], stacked: Stacked, device: str) -> Callable[[Run, torch.Tensor], Mask | None]:
    """What draws the masks of a batch of these pieces, whose rows are set already."""
    if device == "cpu":
        return OneByOne(pieces, stacked.rows.runs, device)
    return AtOnce(pieces, stacked, device)


def _inside(pieces: Sequence[Piece], runs: Sequence[Run]) -> dict[Run, list[tuple[Piece, int, int]]]:
    """The pieces of each run in which something is dropped, and their rows there."""
    ends = list(accumulate(len(piece.examples) for piece in pieces))
    spans = list(zip(pieces, [0, *ends], ends, strict=False))
    found = {}
    for run in runs:
        own = [(piece, start - run.start, stop - run.start) for piece, start, stop in spans if start >= run.start]
        own = [span for span in own if span[2] <= run.stop - run.start]
        if any(piece.dropout for piece, _, _ in own):
            found[run] = own
    return found


def _scale(own: Sequence[tuple[Piece, int, int]], device: str) -> torch.Tensor:
    return torch.tensor([1 / (1 - piece.dropout) for piece, _, _ in own], device=device).reshape(-1, 1, 1)


class OneByOne:
    """Piece by piece and module by module."""

    def __init__(self, pieces: Sequence[Piece], runs: Sequence[Run], device: str) -> None:
        self.inside = _inside(pieces, runs)
        self.scales = {run: _scale(own, device) for run, own in self.inside.items()}

    def __call__(self, run: Run, x: torch.Tensor) -> Mask | None:
        """A mask of the inputs [rows, n, in] of a run."""
        if run not in self.inside:
            return None
        mask = torch.empty_like(x)
        for piece, start, stop in self.inside[run]:
            self._draw(piece, mask[start:stop])
        return mask, self.scales[run].to(x.dtype)

    @staticmethod
    def _draw(piece: Piece, to: torch.Tensor) -> None:
        """Over the piece's own length; beyond it is padding."""
        if not piece.dropout:
            to.fill_(1.0)
        elif piece.longest == to.shape[1] and to.is_contiguous():
            to.bernoulli_(1 - piece.dropout, generator=piece.generator)
        else:
            shape = (to.shape[0], piece.longest, to.shape[2])
            lies = sorted(range(3), key=to.stride().__getitem__, reverse=True)
            own = torch.empty_permuted(shape, lies, dtype=to.dtype, device=to.device)
            to[:, : piece.longest] = own.bernoulli_(1 - piece.dropout, generator=piece.generator)
            to[:, piece.longest :] = 0.0


class AtOnce:
    """All modules of a piece in one draw."""

    def __init__(self, pieces: Sequence[Piece], stacked: Stacked, device: str) -> None:
        self.inside = _inside(pieces, stacked.rows.runs)
        longest = max(piece.longest for piece in pieces)
        self.drawn: dict[Run, torch.Tensor] = {}
        """[adapters, tokens, rows of an adapter, inputs of all modules]"""
        self.at = dict.fromkeys(self.inside, 0)
        """How many inputs the modules took that were called."""
        self.scales: dict[Run, torch.Tensor] = {}
        for run, own in self.inside.items():
            self.scales[run] = _scale(own, device)
            width = sum(place.inside for place in stacked.groups[run.group].places.values())
            rows = (run.stop - run.start) // run.adapters
            drawn = torch.ones(run.adapters, longest, rows, width, dtype=torch.bool, device=device)
            for to, (piece, _, _) in zip(drawn, own, strict=True):
                if piece.dropout:
                    to[: piece.longest].bernoulli_(1 - piece.dropout, generator=piece.generator)
            self.drawn[run] = drawn

    def __call__(self, run: Run, x: torch.Tensor) -> Mask | None:
        """A mask of the inputs [rows, n, in] of a run. A model that calls a module again begins anew."""
        if run not in self.inside:
            return None
        drawn, width = self.drawn[run], x.shape[-1]
        start = self.at[run] if self.at[run] + width <= drawn.shape[-1] else 0
        self.at[run] = start + width
        mask = drawn[..., start : start + width].transpose(1, 2)
        return mask.reshape(x.shape), self.scales[run].to(x.dtype)
