"""What a training is given of conversations: token ids and what of them is learned, by template or plain prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recollect.chat.asking import Written
from recollect.chat.render import TrainOn, render
from recollect.conversation import Conversation
from recollect.errors import InputError
from recollect.prompt import DEFAULT_TEMPLATE, encode_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Example:
    """One example: `mask` is 1 on each token that is learned."""

    ids: Sequence[int]
    mask: Sequence[int]

    @property
    def learned(self) -> int:
        """Tokens that are learned."""
        return sum(self.mask)

    def is_cut(self, limit: int) -> bool:
        """Whether a token that is to be learned stands beyond the first `limit` tokens."""
        return any(self.mask[limit:])


@dataclass(frozen=True, slots=True)
class Lesson:
    """All examples of one conversation."""

    examples: tuple[Example, ...]
    left_out: tuple[str, ...] = ()
    """What of the conversation the prompt does not hold."""

    @property
    def tokens(self) -> int:
        """Tokens of all its examples."""
        return sum(len(example.ids) for example in self.examples)

    @property
    def learned(self) -> int:
        """Tokens that are learned of them."""
        return sum(example.learned for example in self.examples)


def lesson(
    tokenizer: PreTrainedTokenizerBase,
    conversation: Conversation,
    prompted: Written,
    train_on: TrainOn = "all",
    template: str = DEFAULT_TEMPLATE,
) -> Lesson:
    """The examples of a conversation. InputError for one that its prompt, chat template or plain, cannot write."""
    if prompted == "chat":
        rendered = render(tokenizer, conversation, train_on)
        left_out = dict.fromkeys(name for one in rendered for name in one.left_out)
        return Lesson(tuple(Example(one.ids, one.mask) for one in rendered), tuple(left_out))
    turns = conversation.turns
    if [turn.role for turn in turns] != ["user", "assistant"] or conversation.tools or turns[1].tool_calls:
        raise InputError(
            f"{conversation.source or conversation.id}: this is more than one question and one answer, which the plain "
            "prompt has no place for. Take a model with a chat template, or leave it out."
        )
    ids, mask = encode_example(tokenizer, turns[0].content.strip(), turns[1].content.strip(), template)
    return Lesson((Example(ids, mask),))
