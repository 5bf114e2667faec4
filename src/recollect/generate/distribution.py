"""From logits to tokens: softmax(z / T), drawn from by blocks and read at single tokens, without a table of it.

Notable choices
- A draw's uniform number picks its token by inverse cumulative probability in two looks: the block of 256 columns by
  the blocks' sums, then the token inside that one block. No cumulative sum over a whole vocabulary is made.
- The weights exp((z - max z) / T) are made once, a few rows at a time, so that they stay in the processor's cache.
- Their number format is float64 up to `EXACT_UP_TO` tokens, where it costs nothing, and float32 beyond: an error of
  a few 1e-7 of a probability, under what bfloat16 logits leave out and far under what any number of draws could show.
  Sums of blocks, and what is compared with a uniform number, are float64 always.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

BLOCK = 256  # columns
EXACT_UP_TO = 8192  # tokens of a vocabulary
_WEIGHTS_AT_ONCE = {"cpu": 1 << 20}  # numbers of one table of weights: what fits into a processor's cache
_WEIGHTS_ELSEWHERE = 1 << 28
_BELOW_ONE = 1 - 2.0**-52


class Discounts(NamedTuple):
    """Factors on the probabilities of single tokens: `factor[i]` on that of `token[i]` in row `row[i]` (ascending)."""

    row: Ints
    token: Ints
    factor: Floats

    def of(self, first: int, past: int) -> Discounts:
        """Those of the rows from `first` up to `past`, which become rows from 0."""
        start, stop = np.searchsorted(self.row, (first, past))
        return Discounts(self.row[start:stop] - first, self.token[start:stop], self.factor[start:stop])


def number_format(vocabulary: int) -> torch.dtype:
    """The format that probabilities over so many tokens are computed in."""
    import torch

    return torch.float64 if vocabulary <= EXACT_UP_TO else torch.float32


def weights(logits: torch.Tensor, temperature: float, top_k: int = 0) -> torch.Tensor:
    """exp((z - max z) / T) [rows, blocks, BLOCK]: softmax(z / T) but for a factor of the row; 0 beyond the vocabulary.

    Cut to the k most likely tokens when top_k > 0 (ties kept).
    """
    import torch

    rows, vocabulary = logits.shape
    blocks = -(-vocabulary // BLOCK)
    made = torch.empty((rows, blocks * BLOCK), dtype=number_format(vocabulary), device=logits.device)
    made[:, vocabulary:] = 0
    inside = made[:, :vocabulary]
    inside.copy_(logits)
    inside.sub_(inside.amax(dim=-1, keepdim=True)).mul_(1 / temperature).exp_()
    if top_k:
        least = logits.topk(min(top_k, vocabulary), dim=-1).values[:, -1:]
        inside.masked_fill_(logits < least, 0)
    return made.view(rows, blocks, BLOCK)


def pick(
    logits: torch.Tensor,
    uniform: torch.Tensor,
    row: Ints | None = None,
    *,
    temperature: float,
    top_k: int = 0,
    discounts: Discounts | None = None,
) -> torch.Tensor:
    """The token of each draw [draws] by inverse cumulative probability, from softmax(z / T) of its row.

    `logits` [rows, vocabulary]; `uniform` [draws] float64 in [0, 1). `row` tells each draw's row; without it every row
    has one draw, in order, and nothing is asked of the device but work.
    """
    import torch

    found = torch.empty(len(uniform), dtype=torch.long, device=logits.device)
    for first, past, draws, rows in _slices(logits, row):
        made = weights(logits[first:past], temperature, top_k)
        if discounts is not None:
            _discount(made, discounts.of(first, past))
        found[draws] = _inverse(made, uniform[draws], rows)
    return found


def _slices(
    logits: torch.Tensor, row: Ints | None
) -> Iterator[tuple[int, int, torch.Tensor | slice, torch.Tensor | None]]:
    """(first row, last row + 1, the draws of these rows, the row of each counted from the first) of a few rows each."""
    import torch

    rows, vocabulary = logits.shape
    size = max(1, _WEIGHTS_AT_ONCE.get(logits.device.type, _WEIGHTS_ELSEWHERE) // vocabulary)
    order = None if row is None else np.argsort(row, kind="stable")
    for first in range(0, rows, size):
        past = min(rows, first + size)
        if row is None or order is None:
            yield first, past, slice(first, past), None
            continue
        start, stop = np.searchsorted(row, (first, past), sorter=order)
        if start < stop:
            draws = order[start:stop]
            yield (
                first,
                past,
                torch.as_tensor(draws, device=logits.device),
                torch.as_tensor(row[draws] - first, device=logits.device),
            )


def _discount(made: torch.Tensor, discounts: Discounts) -> None:
    import torch

    if len(discounts.row):
        row, token = (torch.as_tensor(ids, device=made.device) for ids in (discounts.row, discounts.token))
        factor = torch.as_tensor(discounts.factor, device=made.device, dtype=made.dtype)
        made[row, token // BLOCK, token % BLOCK] *= factor


def _inverse(made: torch.Tensor, uniform: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    """The token at which the cumulative weight passes the uniform number: never one of weight 0."""
    import torch

    cumulative = made.sum(dim=-1).double().cumsum(dim=-1)  # [rows, blocks]
    if rows is None:
        rows = torch.arange(len(made), device=made.device)
    else:
        cumulative = cumulative[rows]
    uniform = uniform.clamp(max=_BELOW_ONE)
    block, share = _passed(cumulative, uniform)
    inside, _ = _passed(made[rows, block].double().cumsum(dim=-1), share)
    return block * BLOCK + inside


def _passed(cumulative: torch.Tensor, uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first column whose cumulative weight is over uniform * total, and how far into it that is, in [0, 1)."""
    import torch

    wanted = (uniform * cumulative[:, -1])[:, None]
    column = torch.searchsorted(cumulative, wanted, right=True).clamp_(max=cumulative.shape[1] - 1)
    over = cumulative.gather(1, column)
    before = torch.where(column > 0, cumulative.gather(1, (column - 1).clamp(min=0)), 0.0)
    share = ((wanted - before) / (over - before)).clamp(0, _BELOW_ONE)
    return column[:, 0], share[:, 0]


def logprobs_of(logits: torch.Tensor, tokens: torch.Tensor, temperature: float) -> torch.Tensor:
    """ln softmax(z / T)[token] float64, of logits [rows, n, vocabulary] at tokens [rows, n], a few rows at a time."""
    import torch

    vocabulary = logits.shape[-1]
    flat, wanted = logits.reshape(-1, vocabulary), tokens.reshape(-1, 1)
    found = torch.empty(len(flat), dtype=torch.float64, device=logits.device)
    size = max(1, _WEIGHTS_AT_ONCE.get(logits.device.type, _WEIGHTS_ELSEWHERE) // vocabulary)
    for first in range(0, len(flat), size):
        part = slice(first, first + size)
        scaled = flat[part].to(number_format(vocabulary)) / temperature
        found[part] = torch.log_softmax(scaled, dim=-1).gather(1, wanted[part])[:, 0].double()
    return found.view(tokens.shape)
