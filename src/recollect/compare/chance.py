"""How likely a guess is right: one over the number of answers that a question of its kind can have.

Notable choices
- The study of forgetting (arXiv 2510.17776) knows k from its benchmarks: four choices, c = 1/4. Facts come without one,
  so k is read off the true answers of the questions of a relation: how many kinds of answers there are, in effect.
- That number is Simpson's, free of bias: k = n (n−1) / Σ m (m−1), with m questions for each of the different answers.
  Of k choices that are equally frequent it is k, whatever n; answers that never repeat (capitals, birth places of few
  people) give no k at all, and nothing is taken off.
- k is at least 2, the study's least: of a relation with one frequent answer half would already be guesses.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from recollect.match.text import folded

MOST = 0.5
"""The greatest chance of a guess: of two choices."""


def chance_of_a_guess(relations: Sequence[str], answers: Sequence[str]) -> list[float]:
    """1/k of each question, from the relations and the true answers of all of them; 0 where no answer repeats."""
    by_relation: dict[str, list[str]] = defaultdict(list)
    for relation, answer in zip(relations, answers, strict=True):
        by_relation[relation].append(folded(answer))
    chances = {relation: _chance(found) for relation, found in by_relation.items()}
    return [chances[relation] for relation in relations]


def _chance(answers: Sequence[str]) -> float:
    n = len(answers)
    same = sum(count * (count - 1) for count in Counter(answers).values())
    return min(MOST, same / (n * (n - 1))) if n > 1 else 0.0
