"""Who is taken by validation, before the test, and what is said where validation could not tell.

Notable choices
- Of equal values the cheapest is taken, and what is made of several trainings gives way to a single one only beyond one
  standard error, as among the candidates (`choose.py`).
- Validation is often too small to tell a prompt from a training. Then the training is taken, provided that it is ahead
  of the untouched base beyond an error: it needs no examples in every question. That is a convention, made after one
  fit (chats on SmolLM2, 34 validation questions) in which the prompt was taken and the training had more on the test.
  The untouched base needs no such proof: what is not shown to be better than it is not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recollect.core.numbers import number
from recollect.core.workspace.fit import CALLED, NAMES, Name
from recollect.experiments.fit.answers import Answers, error_of, value_of
from recollect.experiments.search.validation import Knowledge

UNTOUCHED: tuple[Name, ...] = ("base", "few-shot")


@dataclass(frozen=True)
class First:
    """The choice of validation."""

    name: Name
    ahead: Name | None = None
    """Another one that had more on validation, by less than an error."""
    by: float = 0.0
    """How much more, in points."""
    error: float = 0.0
    """The standard error of that."""

    @property
    def undecided(self) -> bool:
        """Whether validation could not tell."""
        return self.ahead is not None

    def why(self, charged: str) -> str:
        """In a sentence. charged: how forgetting counts, in words."""
        if self.ahead is None:
            return f"{CALLED[self.name]} scored best on the validation questions{charged}."
        reason = (
            "a training needs no examples in every question"
            if self.ahead == "few-shot"
            else "it is made of several trainings, and a single one that leads by so little was lucky as often as not"
        )
        return (
            f"Validation could not tell {CALLED[self.name]} from {CALLED[self.ahead]}, which had {number(self.by)} "
            f"points more there{charged} (standard error {number(self.error)}): {reason}."
        )


def worth(name: Name, answers: Answers, knowledge: Knowledge) -> float:
    """What a contender is chosen by; untouched weights have forgotten nothing."""
    score, _, value = value_of(answers, knowledge)
    return score if name in UNTOUCHED else value


def first_choice(knowledge: Knowledge, validated: Mapping[Name, Answers], *, averaged: bool = False) -> First:
    """The best on validation, but for what it cannot tell. averaged: ours is made of several trainings."""
    worths = {name: worth(name, validated[name], knowledge) for name in NAMES if name in validated}
    best = _best(worths)
    trained = {name: one for name, one in worths.items() if name not in UNTOUCHED}
    if best == "base" or not trained:
        return First(best)
    taken = _best(trained)
    if averaged and taken != "ours" and not _ahead(worths, validated, taken, "ours"):
        taken = "ours"
    if best == "few-shot" and (
        _ahead(worths, validated, best, taken) or not ("base" in worths and _ahead(worths, validated, taken, "base"))
    ):
        return First(best)
    if taken == best or round(worths[best] - worths[taken], 6) <= 0:
        return First(taken)
    return First(taken, best, worths[best] - worths[taken], error_of(validated[best], validated[taken]))


def _best(worths: Mapping[Name, float]) -> Name:
    """The highest; of equal ones the cheapest."""
    return max(worths, key=lambda name: (round(worths[name], 6), -NAMES.index(name)))


def _ahead(worths: Mapping[Name, float], validated: Mapping[Name, Answers], one: Name, other: Name) -> bool:
    """Whether one leads by more than the standard error of the difference in score."""
    return worths[one] - worths[other] > error_of(validated[one], validated[other])
