"""Is the right answer preferred? Its place among the other answers of the relation, and a p-value.

Notable choices
- An answer's gain with a subject is its log-probability (the mean over templates) less its mean with the relation's
  other subjects. So length, tokens and popularity of an answer, which are the same with any subject, do not count.
- The hypothesis of a fact is that the model's gains have nothing to do with which answer is right. Then the right
  answer is as any answer of the facts of its relation, *each as often as it is one*, and its place among them is
  uniform, whatever the gains: a permutation test. The share of hidden facts comes from these places.
- A place is no finer than the relation has answers, too coarse to be called beside hundreds of others. So a gain is
  also measured in standard deviations of its row, and compared with those of all wrong answers of all rows of the
  relation: the p-value. That takes rows to differ in scale alone.
- Where half of the facts have one answer, nothing can be told from it. An answer of more than a given share of the
  facts is no candidate of that comparison, and facts that have it are undecided.
- A fact is looked at because the model never said its answer. An answer that it would have said cannot be that of such
  a fact, so each counts with the probability that none of the probe's draws is it. Without this the places of facts
  that the pocket has never seen are not uniform but too far back (docs/hidden.md has the figures).
- Answers that the judge cannot tell from the right one count as equal to it, on the safe side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


_NO_SPREAD = 1e-9
"""Of gains; in a row whose other answers differ by less, none is preferred."""


@dataclass(frozen=True)
class Place:
    """Where a fact's right answer stands."""

    gain: float
    """Of the right answer, in nats: how much more probable it is with this subject than with others."""
    rank: int
    """1 where no other answer has a greater gain."""
    candidates: int
    """Distinct other answers."""
    low: float
    """With `high`: under the hypothesis, the place is uniform over 0 to 1, and somewhere between these two."""
    high: float
    first: int
    """The answer with the greatest gain."""
    p_value: float | None = None
    """How often a wrong answer of the relation stands out as much; None where too few answers could tell."""

    @property
    def middle(self) -> float:
        """Of `low` and `high`; 0.5 on average under the hypothesis."""
        return (self.low + self.high) / 2

    @property
    def worse_half(self) -> float:
        """The chance that the place is in the worse half: a half on average under the hypothesis."""
        return float(np.clip((self.high - 0.5) / (self.high - self.low), 0, 1))


@dataclass(frozen=True)
class Preferences:
    """What a model makes of the answers of one relation; rows are subjects, columns answers."""

    said: Floats
    """Rows x answers: the mean probability over the templates, at the probe's temperature."""
    logs: Floats
    """Rows x answers: the mean log-probability."""
    right: Sequence[int]
    """The right answer of each row."""
    same: Bools
    """Answers x answers, which ones the judge cannot tell apart; true on the diagonal."""
    pool: Sequence[int]
    """How many facts of the relation have each answer, of those that give the candidates."""
    own: Sequence[int]
    """For each row, 1 where its own fact is among them, else 0."""

    def places(self, draws: int, rare: float) -> list[Place]:
        """The place of each row's right answer.

        draws: the probe's, none of which was right. rare: the greatest share of the facts that may have an answer that
        is called.
        """
        gains, weights = self.gains(), self.weights(draws)
        values = self.p_values(gains, weights, rare)
        return [self._place(row, gains[row], weights[row], value) for row, value in enumerate(values)]

    @property
    def wrong(self) -> Bools:
        """Rows x answers: those that the judge can tell from the right one."""
        found: Bools = ~self.same[np.asarray(self.right, dtype=np.int64)]
        return found

    def gains(self) -> Floats:
        """Rows x answers: each log-probability less its mean over the other rows that have another right answer.

        A row whose right answer it is would raise the mean of every answer but the one of the fact at hand, whose own
        row does not count: the hypothesis would no longer hold exactly. Zero where no such row is left.
        """
        values = np.where(self.wrong, self.logs, 0.0)
        rows = self.wrong.sum(axis=0) - self.wrong.astype(np.int64)
        mean = (values.sum(axis=0) - values) / np.maximum(rows, 1)
        found: Floats = np.where(rows > 0, self.logs - mean, 0.0)
        return found

    def weights(self, draws: int) -> Floats:
        """Rows x answers: for how many of the *other* facts it is right, times the probability (up to a factor of the
        row) that none of the draws says it. Of the right answer, with the fact itself."""
        unsaid = np.exp(-draws * (self.said - self.said.min(axis=1, keepdims=True)))
        counts = np.tile(np.asarray(self.pool, dtype=np.float64), (len(self.right), 1))
        counts[np.arange(len(self.right)), list(self.right)] += 1 - np.asarray(self.own, dtype=np.float64)
        found: Floats = counts * unsaid
        return found

    def p_values(self, gains: Floats, weights: Floats, rare: float) -> list[float | None]:
        """Of each row; None where its answer is not rare, or no wrong one is, or so few that none could be called."""
        total = max(1, sum(self.pool))
        seldom = np.array([self._facts_with(answer) <= rare * total for answer in range(len(self.pool))])
        others = np.where(self.wrong, weights, 0.0)
        heights = _standing(gains, others)
        chosen = self.wrong & seldom & (weights > 0)
        shares = np.where(chosen, weights, 0.0)
        rows = shares.sum(axis=1, keepdims=True)
        shares = np.where(rows > 0, shares / np.where(rows > 0, rows, 1.0), 0.0)
        count = int(chosen.sum())
        if (count + 1) * rare < 1:
            return [None] * len(self.right)
        null, share = heights[chosen], shares[chosen] / max(1, int((rows > 0).sum()))
        order = np.argsort(-null)
        above = np.concatenate([[0.0], np.cumsum(share[order])])
        own = heights[np.arange(len(self.right)), list(self.right)]
        as_high = above[np.searchsorted(-null[order], -own, side="right")]
        values = (count * as_high + 1) / (count + 1)
        return [
            min(1.0, float(value)) if seldom[answer] else None for value, answer in zip(values, self.right, strict=True)
        ]

    def _facts_with(self, answer: int) -> int:
        return int(np.asarray(self.pool)[self.same[answer]].sum())

    def _place(self, row: int, gains: Floats, weights: Floats, p_value: float | None) -> Place:
        answer = self.right[row]
        alike = self.same[answer]
        better = (gains > gains[answer]) & ~alike
        equal = (gains == gains[answer]) | alike
        total = float(weights.sum())
        among = ~alike & (weights > 0)
        shown = np.where(among | (np.arange(len(gains)) == answer), gains, -np.inf)
        return Place(
            gain=float(gains[answer]),
            rank=1 + int((better & among).sum()),
            candidates=int(among.sum()),
            low=float(weights[better].sum()) / total,
            high=min(1.0, float(weights[better | equal].sum()) / total),
            first=int(np.argmax(shown)),
            p_value=p_value,
        )


def _standing(gains: Floats, weights: Floats) -> Floats:
    """Each gain in standard deviations of the other weighted ones of its row, from their mean; 0 where they are one."""

    def rest(values: Floats) -> Floats:
        kept: Floats = (weights * values).sum(axis=1, keepdims=True) - weights * values
        return kept

    mass = rest(np.ones_like(gains))
    usable = mass > _NO_SPREAD * weights.max(axis=1, keepdims=True)
    mean = np.where(usable, rest(gains) / np.where(usable, mass, 1.0), 0.0)
    square = np.where(usable, rest(gains**2) / np.where(usable, mass, 1.0), 0.0)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    usable &= spread > _NO_SPREAD
    found: Floats = np.where(usable, (gains - mean) / np.where(usable, spread, 1.0), 0.0)
    return found
