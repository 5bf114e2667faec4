"""Our sampler: all draws of a prompt share one prefill, and draws that said the same so far share one row.

Notable choices
- Draws are leaves of a tree: a row of the batch is a distinct text so far, and a draw points to its row. Draws part
  when their tokens differ. The distribution is that of independent draws; on a sure model it costs a fraction of them.
- Each draw's uniform number is addressed (see `random`), and picks its token by inverse cumulative probability.
- No top-k, no top-p unless asked for: `top_k=0` means the whole vocabulary, always.
- A draw ends at a stop token, at `max_new_tokens`, or when `settled` says that its text decides the matter.
- `exclude` samples from the distribution *given that the text starts with none of a prompt's excluded continuations*,
  exactly, by reweighting the tokens on the excluded paths (`Trie`); this is the residual stratum of the hybrid probe.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recollect.generate.engine import Decided, Ids, Sampling
from recollect.generate.random import Keys, uniforms
from recollect.generate.state import State

if TYPE_CHECKING:
    import torch

SETTLE_EVERY = 4  # tokens between two looks at the texts


def sample(
    state: State,
    prompt_of_draw: Sequence[int],
    keys: Keys,
    how: Sampling,
    stop_ids: Collection[int],
    exclude: Sequence[Trie] | None = None,
    settled: Decided | None = None,
) -> list[list[int]]:
    """Draw one continuation per entry of `prompt_of_draw` (row of `state`), each with its own key; uses `state` up.

    Returns the drawn token ids per draw, without the stop token. `exclude` holds one trie per row of `state`.
    """
    import torch

    draws, max_new_tokens = len(prompt_of_draw), how.max_new_tokens
    prompts = np.asarray(prompt_of_draw, dtype=np.int64)
    drawn = np.full((draws, max_new_tokens), -1, dtype=np.int64)
    length = np.zeros(draws, dtype=np.int64)
    alive = np.arange(draws)
    row = prompts.copy()  # row of `state` each living draw is at
    on_path: list[int] = [] if exclude is None else [0] * state.rows  # trie node of each row; -1 once off
    trie_of_row: list[int] = list(range(state.rows))
    stops = np.asarray(sorted(stop_ids), dtype=np.int64)
    vocabulary = state.logits.shape[1]

    for step in range(max_new_tokens):
        if not len(alive):
            break
        probabilities = token_probabilities(state.logits, how.temperature, how.top_k)
        if exclude is not None:
            for at, node in enumerate(on_path):
                if node >= 0:
                    exclude[trie_of_row[at]].discount(probabilities[at], node)
        tokens = _pick(probabilities, row, uniforms(keys[alive], step))
        ended = np.isin(tokens, stops)
        going = ~ended
        alive, row, tokens = alive[going], row[going], tokens[going]
        drawn[alive, step] = tokens
        length[alive] = step + 1
        if step + 1 == max_new_tokens or not len(alive):
            break
        # rows of the next step: the distinct (row, token) pairs
        pairs, first, row = np.unique(row * vocabulary + tokens, return_index=True, return_inverse=True)
        if settled is not None and (step + 1) % SETTLE_EVERY == 0:
            done = np.array(
                [settled(int(prompts[alive[at]]), drawn[alive[at], : step + 1].tolist()) for at in first],
                dtype=bool,
            )
            keep, renumber = ~done[row], np.cumsum(~done) - 1
            alive, pairs, row = alive[keep], pairs[~done], renumber[row[keep]]
            if not len(alive):
                break
        parents, said = pairs // vocabulary, pairs % vocabulary
        if exclude is not None:
            on_path = [
                exclude[trie_of_row[parent]].child(on_path[parent], token)
                for parent, token in zip(parents.tolist(), said.tolist(), strict=True)
            ]
            trie_of_row = [trie_of_row[parent] for parent in parents.tolist()]
        device = state.mask.device
        state.select(torch.as_tensor(parents, device=device))
        state.read(torch.as_tensor(said, device=device)[:, None])
    return [drawn[draw, : length[draw]].tolist() for draw in range(draws)]


def token_probabilities(logits: torch.Tensor, temperature: float, top_k: int = 0) -> torch.Tensor:
    """softmax(z / T) [rows, vocabulary] in float64, cut to the k most likely tokens when top_k > 0 (ties kept)."""
    import torch

    scaled = logits.double() / temperature
    if top_k:
        least = scaled.topk(min(top_k, scaled.shape[-1]), dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    return torch.softmax(scaled, dim=-1)


def _pick(
    probabilities: torch.Tensor, row: np.ndarray[Any, Any], uniform: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Inverse cumulative probability: the token of each draw from the distribution of its row."""
    import torch

    cumulative = probabilities.cumsum(dim=-1)
    # searchsorted wants the draws of a row side by side: a [rows, most draws of a row] table, padded with 0
    order = np.argsort(row, kind="stable")
    sorted_rows = row[order]
    starts = np.searchsorted(sorted_rows, np.arange(cumulative.shape[0]))
    place = np.arange(len(row)) - starts[sorted_rows]
    table = np.zeros((cumulative.shape[0], int(place.max()) + 1))
    table[sorted_rows, place] = uniform[order]
    wanted = torch.as_tensor(table, device=cumulative.device) * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, wanted, right=True).clamp_(max=cumulative.shape[1] - 1)
    tokens = np.empty(len(row), dtype=np.int64)
    tokens[order] = found.cpu().numpy()[sorted_rows, place]
    return tokens


def prefix_free(sequences: Sequence[Ids]) -> list[tuple[int, ...]]:
    """The sequences without repeats and without those that another one is a prefix of: disjoint events, same union."""
    distinct = sorted({tuple(sequence) for sequence in sequences if len(sequence)}, key=lambda ids: (len(ids), ids))
    kept: list[tuple[int, ...]] = []
    for sequence in distinct:
        if not any(sequence[: len(short)] == short for short in kept):
            kept.append(sequence)
    return kept


def starting_probability(sequences: Sequence[Ids], logprobs: Sequence[Sequence[float]]) -> float:
    """The closed form: the probability that a text starts with one of the prefix-free sequences, from their scores."""
    return Trie(sequences, logprobs).probability


class Trie:
    """Prefix tree of prefix-free token sequences with their teacher-forced log-probabilities, one per token.

    With children c of node v, p(c | v) from the model and q(leaf) = 1:  q(v) = sum_c p(c | v) q(c); q(root) is the
    closed form. Given that the text starts with *none* of the sequences, the next token at a node has the probability
    p(t | v) (1 - q(child t)) / (1 - q(v)), and p(t) off the tree (where q = 0): Bayes' rule, so sampling token by token
    is sampling from the conditional distribution exactly.
    """

    def __init__(self, sequences: Sequence[Ids], logprobs: Sequence[Sequence[float]]) -> None:
        self._children: list[dict[int, int]] = [{}]
        self._probability: list[float] = [1.0]  # of the node's token, given its parent
        for ids, values in zip(sequences, logprobs, strict=True):
            node = 0
            for token, value in zip(ids, values, strict=True):
                if token not in self._children[node]:
                    self._children[node][token] = len(self._children)
                    self._children.append({})
                    self._probability.append(math.exp(value))
                node = self._children[node][token]
        self._completed = [0.0] * len(self._children)
        for node in range(len(self._children) - 1, -1, -1):  # children come after their parent
            below = self._children[node]
            if below:
                self._completed[node] = min(
                    1.0,
                    math.fsum(self._probability[child] * self._completed[child] for child in below.values()),
                )
            else:
                self._completed[node] = 0.0 if node == 0 else 1.0

    @property
    def probability(self) -> float:
        """The probability that the text starts with one of the sequences."""
        return self._completed[0]

    def discount(self, probabilities: torch.Tensor, node: int) -> None:
        """Reweight the next-token probabilities [vocabulary] at a node, in place; the sum becomes 1 - q(node)."""
        for token, child in self._children[node].items():
            probabilities[token] *= 1.0 - self._completed[child]

    def child(self, node: int, token: int) -> int:
        """The node after `token`, or -1 when the text has left the tree (or had left it before)."""
        return -1 if node < 0 else self._children[node].get(token, -1)
