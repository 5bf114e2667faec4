"""What a judge is: it says of one output whether it is right, how much of it is, and why.

A judge of a kind of its own is one file with a subclass of `Judge`, and one line in `JUDGES` of `judges.py`; its test
calls `conformance.check_judge`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


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


class Judge(ABC):
    """Says whether an output is right, by the accepted forms of the answer."""

    version: str = "1"
    """Raised when the same output may get another verdict; part of the fingerprint of a step that judges by it."""
    graded: bool = False
    """Whether the score says more than right or wrong, so that its mean is worth stating."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How it is asked for, with its options: "token-f1:0.6". Its results are kept under this name."""

    @abstractmethod
    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """The verdict on one output. Pure: the same arguments give the same verdict.

        An accepted form that is empty or blank says nothing and makes no output right.
        """

    def check(self, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> str:
        """Why no output could ever be judged by these forms, in words that follow "the answer …"; empty where it can.

        Called before a model is asked anything.
        """
        return "" if any(form.strip() for form in accepted) else "is empty"
