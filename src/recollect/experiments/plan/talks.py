"""Conversations in tokens, for the plan of a fit: each is learned whole and once, and asked answer by answer."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING, TypeVar

from recollect.chat.examples import lesson
from recollect.chat.turns import conversation_of, with_exchanges
from recollect.evaluate.conversations import path_of
from recollect.evaluate.shots import draw_examples
from recollect.experiments.fit.settings import FitParts
from recollect.experiments.plan.work import Lengths
from recollect.facts import Fact, FactSet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

T = TypeVar("T")
_SAMPLE = 256
"""Conversations, and answers, that are written out to count their tokens; of more every so many-th."""


def talk_lengths(facts: FactSet, parts: FitParts, tokenizer: PreTrainedTokenizerBase, shots: int) -> Lengths:
    """Mean tokens of the conversations that are learned and of the answers that are asked, as they will be written.

    facts: of a part of a fit, with its training conversations. shots: examples before a question, the same before all.
    Raises InputError for turns that the model's template refuses.
    """
    learned = [
        lesson(tokenizer, conversation_of(fact), "chat", parts.train.train_on)
        for fact in _some(facts.part("train").facts)
    ]
    asked: Sequence[Fact] = _some(facts.part("test").facts)
    paths = [path_of(tokenizer, conversation_of(fact)) for fact in asked]
    shown = None
    if shots:
        [before] = draw_examples(facts, asked[:1], shots, parts.evaluate.seed)
        longer = path_of(tokenizer, with_exchanges(conversation_of(asked[0]), before))
        shown = (len(longer.prompt) - len(paths[0].prompt)) / shots
    return Lengths(
        question=mean(len(path.prompt) for path in paths),
        answer=mean(len(path.right[0]) for path in paths),
        learned=mean(one.tokens for one in learned),
        examples=mean(len(one.examples) for one in learned),
        shown=shown,
        measured=True,
    )


def _some(facts: Sequence[T]) -> Sequence[T]:
    return facts[:: max(1, len(facts) // _SAMPLE)]
