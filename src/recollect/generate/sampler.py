"""Our sampler: all draws of a prompt share one prefill, and draws that said the same so far share one row.

Notable choices
- Draws are leaves of a tree: a row of the batch is a distinct text so far, and a draw points to its row. Draws part
  when their tokens differ. The distribution is that of independent draws; on a sure model it costs a fraction of them.
- Each draw's uniform number is addressed (see `random`), and picks its token by inverse cumulative probability
  (see `distribution`).
- On a GPU several tokens are drawn before anybody looks at them (`unseen`): a look waits for the device.
- No top-k, no top-p unless asked for: `top_k=0` means the whole vocabulary, always.
- A draw ends at a stop token, at `max_new_tokens`, or when `settled` says that its text decides the matter.
- `exclude` samples from the distribution *given that the text starts with none of a prompt's excluded continuations*,
  exactly, by reweighting the tokens on the excluded paths (`Trie`); this is the residual stratum of the hybrid probe.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from recollect.generate import distribution
from recollect.generate.distribution import Ints
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
    unseen: int = 1,
) -> list[list[int]]:
    """Draw one continuation per entry of `prompt_of_draw` (row of `state`), each with its own key; uses `state` up.

    Returns the drawn token ids per draw, without the stop token. `exclude` holds one trie per row of `state`.
    `unseen`: how many tokens to draw before looking at them; more than one saves waiting for a device, and draws the
    same.
    """
    import torch

    device = state.mask.device
    draws = _Draws(prompt_of_draw, how.max_new_tokens, stop_ids)
    paths = None if exclude is None else _Paths(exclude)
    step = 0
    while len(draws.alive):
        ahead = 1 if paths is not None else min(unseen, how.max_new_tokens - step)
        discounts = None if paths is None else paths.discounts()
        draws.said(step, _run(state, draws, keys, how, range(step, step + ahead), discounts).cpu().numpy())
        step += ahead
        if step == how.max_new_tokens or not len(draws.alive):
            break
        look = step // SETTLE_EVERY > (step - ahead) // SETTLE_EVERY
        parents, last = draws.part(step - 1, settled if look else None)
        if not len(parents):
            break
        if paths is not None:
            paths.follow(parents, last)
            paths = paths if paths.on_path() else None
        state.advance(torch.as_tensor(parents, device=device), torch.as_tensor(last, device=device))
    return [draws.drawn[draw, : draws.length[draw]].tolist() for draw in range(len(draws.drawn))]


def _run(
    state: State, draws: _Draws, keys: Keys, how: Sampling, steps: range, discounts: distribution.Discounts | None
) -> torch.Tensor:
    """The tokens [steps, living draws] of these steps, on the device and without a look at them.

    Over several steps every draw gets a row of its own, and those that have ended go on until somebody looks.
    """
    import torch

    numbers = np.stack([uniforms(keys[draws.alive], step) for step in steps])
    uniform = torch.as_tensor(numbers, device=state.mask.device)
    said = [
        distribution.pick(
            state.logits, uniform[0], draws.row, temperature=how.temperature, top_k=how.top_k, discounts=discounts
        )
    ]
    if len(steps) > 1:
        rows: torch.Tensor | None = torch.as_tensor(draws.row, device=state.mask.device)
        draws.row = np.arange(len(draws.alive))
        for number in uniform[1:]:
            state.advance(rows, said[-1])
            said.append(distribution.pick(state.logits, number, temperature=how.temperature, top_k=how.top_k))
            rows = None
    return torch.stack(said)


class _Draws:
    """What each draw said so far, and which row of the batch each living draw is at."""

    def __init__(self, prompts: Sequence[int], longest: int, stop_ids: Collection[int]) -> None:
        self.prompts = np.asarray(prompts, dtype=np.int64)
        self.drawn = np.full((len(self.prompts), longest), -1, dtype=np.int64)
        self.length = np.zeros(len(self.prompts), dtype=np.int64)
        self.alive = np.arange(len(self.prompts))
        self.row = self.prompts.copy()
        self._stops = np.asarray(sorted(stop_ids), dtype=np.int64)

    def said(self, step: int, tokens: Ints) -> None:
        """Note the tokens [n, living draws] from `step` on; those that said a stop token ended before it."""
        stopped = np.isin(tokens, self._stops)
        count = np.where(stopped.any(axis=0), stopped.argmax(axis=0), len(tokens))
        for at, told in enumerate(tokens):
            going = count > at
            self.drawn[self.alive[going], step + at] = told[going]
        self.length[self.alive] = step + count
        self.alive, self.row = self.alive[count == len(tokens)], self.row[count == len(tokens)]

    def part(self, step: int, settled: Decided | None) -> tuple[Ints, Ints]:
        """One row for each distinct text, less those that are settled: (its parent's row, its last token) by row."""
        last = self.drawn[self.alive, step]
        width = int(last.max()) + 1
        distinct, first, row = np.unique(self.row * width + last, return_index=True, return_inverse=True)
        if settled is not None:
            done = np.array(
                [
                    settled(int(self.prompts[draw]), self.drawn[draw, : step + 1].tolist())
                    for draw in self.alive[first].tolist()
                ],
                dtype=bool,
            )
            keep, renumber = ~done[row], np.cumsum(~done) - 1
            self.alive, distinct, row = self.alive[keep], distinct[~done], renumber[row[keep]]
        place = arrange(distinct // width)
        self.row = place[row]
        return _by_row(distinct // width, place), _by_row(distinct % width, place)


def arrange(parents: Ints) -> Ints:
    """A row for each child of the rows `parents` (ascending): the first rows of a batch, and as few moves as can be.

    A row's first child stays where its parent is, if that is within the new batch; the others take what is free.
    """
    place = np.empty(len(parents), dtype=np.int64)
    stays = (parents < len(parents)) & np.r_[True, parents[1:] != parents[:-1]][: len(parents)]
    place[stays] = parents[stays]
    free = np.ones(len(parents), dtype=bool)
    free[parents[stays]] = False
    place[~stays] = np.flatnonzero(free)
    return place


def _by_row(values: Ints, place: Ints) -> Ints:
    ordered = np.empty_like(values)
    ordered[place] = values
    return ordered


class _Paths:
    """Where each row of the batch is in the tree of its prompt's excluded continuations."""

    def __init__(self, tries: Sequence[Trie]) -> None:
        self._tries = tries
        self._trie = list(range(len(tries)))
        self._node = [0] * len(tries)  # -1 once off the tree

    def discounts(self) -> distribution.Discounts:
        """The factors on the next tokens of the rows that are still on an excluded path."""
        found = [
            (row, token, factor)
            for row, (trie, node) in enumerate(zip(self._trie, self._node, strict=True))
            if node >= 0
            for token, factor in self._tries[trie].discounts(node)
        ]
        row, token, factor = zip(*found, strict=True) if found else ((), (), ())
        return distribution.Discounts(
            np.array(row, dtype=np.int64), np.array(token, dtype=np.int64), np.array(factor, dtype=np.float64)
        )

    def on_path(self) -> bool:
        """Whether any row is still on an excluded path."""
        return max(self._node, default=-1) >= 0

    def follow(self, parents: Ints, tokens: Ints) -> None:
        """Each new row has read its token after its parent."""
        pairs = list(zip(parents.tolist(), tokens.tolist(), strict=True))
        self._node = [self._tries[self._trie[parent]].child(self._node[parent], token) for parent, token in pairs]
        self._trie = [self._trie[parent] for parent, _ in pairs]


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

    def discounts(self, node: int) -> list[tuple[int, float]]:
        """(token, factor on its probability) of every token that goes on at a node; the sum becomes 1 - q(node)."""
        return [(token, 1.0 - self._completed[child]) for token, child in self._children[node].items()]

    def child(self, node: int, token: int) -> int:
        """The node after `token`, or -1 when the text has left the tree (or had left it before)."""
        return -1 if node < 0 else self._children[node].get(token, -1)
