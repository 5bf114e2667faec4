"""What a judge is: it says of one output whether it is right, how much of it is, and why.

A judge of a kind of its own is one file with a subclass of `Judge`, and one line in `JUDGES` of `judges.py`; its test
calls `conformance.check_judge`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one output."""

    right: bool
    score: float
    """0 to 1; of a judge that knows only right and wrong 1 or 0."""
    reason: str = ""
    """Why, in a few words for a person who checks the judge."""

    @classmethod
    def of(cls, right: bool, reason: str = "") -> Verdict:
        """Of a judge that knows only right and wrong."""
        return cls(right, float(right), reason)


@dataclass(frozen=True)
class Asked:
    """What was asked, for the judges that need more than the accepted forms."""

    question: str = ""
    choices: tuple[str, ...] = ()
    """The texts of a multiple-choice question, in the order of their letters; empty for any other."""


NOTHING_ASKED = Asked()
COUNTED_WRONG = "can only be counted wrong"
GIVEN_IN_PART = "cannot be given whole"


@dataclass(frozen=True)
class Answer:
    """One output to judge."""

    output: str
    accepted: tuple[str, ...]
    asked: Asked = NOTHING_ASKED


class Judge(ABC):
    """Says whether an output is right, by the accepted forms of the answer."""

    version: str = "1"
    """Raised when the same output may get another verdict; part of the fingerprint of a step that judges by it."""
    graded: bool = False
    """Whether the score says more than right or wrong, so that its mean is worth stating."""

    needs: Literal["whole", "part", "other"] = "part"
    """What a right output gives of an accepted form: all of it, as far as it goes, or something of another length."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How it is asked for, with its options: "token-f1:0.6". Its results are kept under this name."""

    @abstractmethod
    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """The verdict on one output. Pure: the same arguments give the same verdict.

        An accepted form that is empty or blank says nothing and makes no output right.
        """

    def judge_all(self, answers: Sequence[Answer], progress: Callable[[int, int], None] | None = None) -> list[Verdict]:
        """The verdicts on many outputs, in their order; for a judge that works on several at a time."""
        return [self.judge(one.output, one.accepted, one.asked) for one in answers]

    def of_lengths(self, notes: Sequence[str]) -> list[str]:
        """Notes on forms that no completion can hold or write whole, as far as they are true of this judge."""
        if self.needs == "other":
            return []
        return [one if self.needs == "whole" else one.replace(COUNTED_WRONG, GIVEN_IN_PART) for one in notes]

    def check(self, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> str:
        """Why no output could ever be judged by these forms, in words that follow "the answer …"; empty where it can.

        Called before a model is asked anything.
        """
        return "" if any(form.strip() for form in accepted) else "is empty"
