"""Which answers flipped between two runs on the same questions, and how many of the flips are more than chance.

The study of post-training forgetting (Harmon et al., arXiv 2510.17776) counts, sample by sample, right before and wrong
after (1→0, forgetting) and wrong before and right after (0→1, backward transfer): an average hides both, for one may
pay for the other. Where an answer can be guessed, two guesses flip too. It takes a model either to know an answer or to
guess among k choices, right with probability c = 1/k, and takes off what two guesses would give.

Derivation
- kk, ku, uk, uu: the shares of questions known in both runs, in the first alone, in the second alone, in neither.
- What is seen then has these expectations:

      1→0 = ku (1−c) + uu c (1−c)        0→0 = uu (1−c)²
      0→1 = uk (1−c) + uu c (1−c)

- Two guesses give the last term of each flip, uu c (1−c) = 0→0 · c / (1−c) = 0→0 / (k−1), whatever hangs together in
  what the two runs know. What is left, 1→0 − 0→0 / (k−1), is ku (1−c): forgotten, not guessed twice. It is 0 in
  expectation for two runs of one model whose guesses alone differ.
- The study's own published figures subtract (1−a)(1−b) / (k−1) with the accuracies a and b of the two runs. That is the
  same where "wrong before" and "wrong after" are independent. They are not: what a model does not know before it mostly
  does not know after. For two runs of one model that knows half of four-choice questions it leaves 4.7 points of flips
  that are all guesses (docs/compare.md), so the share of 0→0 that was observed stands in its place here; `study` keeps
  the published form beside it. Both are cut at 0, as there.
- c belongs to a question, so each question has its own score: 1 for a flip, −c/(1−c) for wrong twice, else 0; the share
  is their mean, with the interval of any mean score (`core.estimates.mean_score`). Where nothing can be guessed (c = 0)
  it is the plain share of flips.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recollect.core.estimates import Estimate, Pairs, by_cluster, design_effect, mcnemar, mean_score, paired
from recollect.core.workspace.result import Result
from recollect.errors import InputError


class Flip(Result):
    """One direction of flips."""

    count: int
    """Questions that flipped this way."""
    share: Estimate
    """Of all questions, less what two guesses would give; 0 to 1, cut at 0."""
    study: float
    """The same as 2510.17776 prints it: with (1−a)(1−b)/(k−1) taken off, which supposes that what is wrong before and
    what is wrong after are independent."""


class Flips(Result):
    """Two runs on the same questions: who was right."""

    n: int
    """Questions that both were asked."""
    both_right: int
    both_wrong: int
    right_to_wrong: Flip
    """Right in the first run, wrong in the second."""
    wrong_to_right: Flip
    chance: float
    """The mean probability, 0 to 0.5, that a guess is right; 0 where nothing can be guessed."""
    difference: Estimate
    """The second run's share of right answers less the first's, paired by question; −1 to 1. Where several questions
    are about one subject, the subject is the unit, of the shares above too."""
    p: float
    """McNemar's exact test of no difference, two-sided; corrected for subjects that repeat."""

    @property
    def net(self) -> int:
        """Questions gained less those lost."""
        return self.wrong_to_right.count - self.right_to_wrong.count


def count_flips(
    first: Sequence[bool],
    second: Sequence[bool],
    chance: Sequence[float] | None = None,
    units: Sequence[str] | None = None,
) -> Flips:
    """Compare the verdicts of two runs, question by question.

    chance: the probability that a guess is right, of each question, 0 to 0.5; nothing can be guessed without it.
    units: what each question was drawn with, such as its subject; alone by default. Raises InputError for lists of
    other lengths, for no question, and for a chance outside those bounds.
    """
    pairs = Pairs.of(first, second)
    if not pairs.n:
        raise InputError("there is no question that both models were asked.")
    drawn = list(range(pairs.n)) if units is None else list(units)
    guess = np.zeros(pairs.n) if chance is None else np.asarray(chance, dtype=float)
    if guess.shape != (pairs.n,) or not ((guess >= 0) & (guess <= 0.5)).all():
        raise InputError(f"chance must be one number from 0 to 0.5 for each of {pairs.n} questions, but got {chance}.")
    before, after = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    odds = np.round(guess / (1 - guess), 9)  # 1 / (k - 1), with the digits that `mean_score` keeps
    wrong_twice = ~before & ~after
    independent = float((1 - before.mean()) * (1 - after.mean()) * odds.mean())

    def flip(flipped: Any) -> Flip:
        scores = np.where(wrong_twice, -odds, flipped)
        least = -float(odds.max())
        found = by_cluster(mean_score([scores.tolist()], least, 1.0), scores.tolist(), drawn, least=least)
        value, low, high = (max(end, 0.0) for end in (found.value, found.low, found.high))
        share = Estimate(value, low, high, found.n, found.method, found.confidence)
        return Flip(count=int(flipped.sum()), share=share, study=max(0.0, float(flipped.mean()) - independent))

    change = (after.astype(float) - before).tolist()
    return Flips(
        n=pairs.n,
        both_right=pairs.both,
        both_wrong=pairs.neither,
        right_to_wrong=flip(before & ~after),
        wrong_to_right=flip(~before & after),
        chance=float(guess.mean()),
        difference=by_cluster(paired([pairs]), change, drawn, least=-1.0),
        p=mcnemar(pairs, design_effect(change, drawn)),
    )
