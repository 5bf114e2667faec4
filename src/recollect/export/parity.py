"""Whether an export answers as its original does: the same questions, greedily, text against text."""

from __future__ import annotations

from collections.abc import Sequence

from recollect.core.estimates import Estimate, proportion
from recollect.core.workspace.result import Result
from recollect.export.exporter import Prompt


class Differing(Result):
    """One question that original and export answer differently."""

    question: str
    original: str
    export: str


class Parity(Result):
    """How often an export and its original give the same answer."""

    equal: Estimate
    """The share of questions with the same text, with its interval."""
    differing: tuple[Differing, ...] = ()
    """The others, in the order in which they were asked."""
    equal_begin: float = 1.0
    """The mean share of an answer, in characters of the longer text, until the two first differ."""

    @property
    def share(self) -> float:
        """The share of equal answers."""
        return self.equal.value

    @property
    def n(self) -> int:
        """Questions asked."""
        return self.equal.n


def compare_answers(prompts: Sequence[Prompt], original: Sequence[str], export: Sequence[str]) -> Parity:
    """Compare the answers to the same prompts, text by text; blanks at either end do not count."""
    pairs = [(one.strip(), other.strip()) for one, other in zip(original, export, strict=True)]
    differing = [
        Differing(question=prompt.question, original=one, export=other)
        for prompt, (one, other) in zip(prompts, pairs, strict=True)
        if one != other
    ]
    begins = [_shared(one, other) for one, other in pairs]
    return Parity(
        equal=proportion(len(pairs) - len(differing), len(pairs)),
        differing=tuple(differing),
        equal_begin=sum(begins) / len(begins),
    )


def _shared(one: str, other: str) -> float:
    longest = max(len(one), len(other))
    if not longest:
        return 1.0
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return same / longest
