"""Which token paths are right answers: an accepted form counts if its tokens, decoded, are judged right as text.

A tokenizer that lower-cases, normalises or lacks a word writes another text than it was given. What it wrote is judged,
by the one matcher (`match.contains`), as sampled and greedy answers are; so a form that it cannot write is no path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from recollect.generate.encoding import answer_ids, decode
from recollect.match import contains

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Paths:
    """One prompt's ids, and the ids of each accepted form after it whose text is right."""

    prompt: tuple[int, ...]
    right: tuple[tuple[int, ...], ...]

    @property
    def shortest(self) -> int | None:
        """Tokens of the shortest right path; None when the tokenizer can write no accepted form."""
        return min(map(len, self.right), default=None)


@dataclass(frozen=True)
class Unreachable:
    """Facts whose every accepted form is out of reach, by their answers: a score of 0 that says nothing of the model.

    `not_writable`: what comes out of the tokenizer is judged wrong (unknown words, changed letters).
    `too_long`: every form that it can write has more tokens than a completion may have.
    """

    not_writable: tuple[str, ...]
    too_long: tuple[str, ...]

    def notes(self, facts: int, limit: int) -> list[str]:
        """A line for each kind that occurs."""
        found = []
        if self.too_long:
            found.append(
                f"{_some(self.too_long, facts)} longer than max_new_tokens={limit} in this tokenizer, in every "
                "accepted form, and can only be counted wrong. Raise --max-new-tokens."
            )
        if self.not_writable:
            found.append(
                f"{_some(self.not_writable, facts)} not writable by this tokenizer (unknown words or changed letters), "
                "and can only be counted wrong. Leave the facts out or take another model."
            )
        return found


def accepted_paths(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], accepted: Sequence[Sequence[str]]
) -> list[Paths]:
    """For each prompt, its ids and the right paths of its accepted forms, in the order of the forms."""
    texts = [text for text, forms in zip(prompts, accepted, strict=True) for _ in forms]
    encoded = iter(answer_ids(tokenizer, texts, [form for forms in accepted for form in forms]))
    verdicts: dict[tuple[tuple[int, ...], tuple[str, ...]], bool] = {}
    found = []
    for forms in map(tuple, accepted):
        pairs = list(islice(encoded, len(forms)))
        right = []
        for _, ids in pairs:
            path = tuple(ids)
            if (path, forms) not in verdicts:
                verdicts[path, forms] = bool(path) and contains(decode(tokenizer, path), forms)
            if verdicts[path, forms]:
                right.append(path)
        found.append(Paths(tuple(pairs[0][0]), tuple(right)))
    return found


def unreachable(answers: Sequence[str], shortest: Sequence[int | None], limit: int) -> Unreachable:
    """Sort out the facts (by answer and tokens of its shortest right path) that no completion of `limit` can answer."""
    pairs = list(zip(answers, shortest, strict=True))
    return Unreachable(
        not_writable=tuple(answer for answer, length in pairs if length is None),
        too_long=tuple(answer for answer, length in pairs if length is not None and length > limit),
    )


def _some(answers: Sequence[str], facts: int) -> str:
    named = ", ".join(repr(answer[:60]) for answer in answers[:_NAMED])
    more = ", …" if len(answers) > _NAMED else ""
    return f"{len(answers):,} of {facts:,} answers ({named}{more}) {'is' if len(answers) == 1 else 'are'}"
