"""The accepted continuations of one prompt as a prefix tree, with the probability of completing one from each node.

With children c of node v, p(c | v) from the model and q(leaf) = 1:  q(v) = sum_c p(c | v) q(c).
q(root) is the closed form: the probability that the text starts with one of the continuations.
Given that it does *not*, the distribution of the next token at a node is p(t | v) (1 - q(child t)) / (1 - q(v)), and
p(t) off the tree (where q = 0): Bayes' rule, so sampling token by token is sampling from the conditional distribution
exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def prefix_free(sequences: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The sequences without repeats and without those that another one is a prefix of: disjoint events, same union."""
    distinct = sorted({tuple(sequence) for sequence in sequences if len(sequence)}, key=lambda ids: (len(ids), ids))
    kept: list[tuple[int, ...]] = []
    for sequence in distinct:
        if not any(sequence[: len(short)] == short for short in kept):
            kept.append(sequence)
    return kept


class Trie:
    """Prefix tree of prefix-free token sequences with their teacher-forced log-probabilities, one per token."""

    def __init__(self, sequences: Sequence[Sequence[int]], logprobs: Sequence[Sequence[float]]) -> None:
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
