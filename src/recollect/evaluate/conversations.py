"""Held-out conversations: the model is given all up to an answer, and what it says is judged against that answer: the
last one of each conversation of `data`, or the one that each fact holds (`chat.turns`).

Notable choices
- The prompt is the very ids that a training on the conversation has before its last answer (`chat.render`), so what a
  training conditions on is what is asked.
- Of data with parts those of test and validation are asked, else all of it: the file is the held-out data.
- A model may think before it answers (`<think>…</think>`): what it thinks is kept apart and not judged. One that is
  still thinking at the end of its tokens has said nothing.
- A conversation whose last answer is a call of a tool, or nothing but one, has no text to judge by and is left out.
- The main judge is `token-f1` and the length of an answer that of the longest one, unless they are given: whole answers
  are seldom contained in others, and 16 tokens hold few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recollect.chat.read import read_conversations
from recollect.chat.render import render
from recollect.chat.turns import RELATION, conversation_of, with_exchanges
from recollect.conversation import Conversation
from recollect.core.numbers import many
from recollect.errors import InputError
from recollect.evaluate.settings import EvaluateSettings
from recollect.evaluate.shots import Example
from recollect.facts import Fact, FactSet
from recollect.generate import Engine
from recollect.generate.encoding import Paths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_THINKS, _THOUGHT = "<think>", "</think>"


@dataclass(frozen=True)
class Talks:
    """The conversations that are asked."""

    facts: FactSet
    """The last question and answer of each, under its id."""
    conversations: dict[str, Conversation]
    """By the same id, up to the last answer."""
    fingerprint: str
    """Of the bytes read."""
    notes: tuple[str, ...]
    """What was left out, for people."""

    def paths(self, asked: Sequence[Fact], engine: Engine, examples: Sequence[Sequence[Example]]) -> list[Paths]:
        """The prompt of each, after its examples, and its own answer. InputError for turns that the model's template
        refuses."""
        tokenizer: PreTrainedTokenizerBase | None = getattr(engine, "tokenizer", None)
        if tokenizer is None:
            raise InputError(f"the engine {engine.name!r} has no chat template, in which conversations are asked.")
        whole = [self.conversations[fact.id] for fact in asked]
        return [path_of(tokenizer, with_exchanges(one, shown)) for one, shown in zip(whole, examples, strict=True)]


def read_talks(settings: EvaluateSettings) -> Talks:
    """The conversations at `settings.data`. InputError where none has an answer to judge by."""
    assert settings.data is not None
    if settings.shots:
        raise InputError("shots are training facts before a question, but data asks conversations. Leave one out.")
    conversations, read = read_conversations(settings.data)
    parts = {one.part for one in conversations}
    split = parts != {"train"}
    facts: list[Fact] = []
    kept: dict[str, Conversation] = {}
    for one in conversations:
        last = _last_answer(one)
        if last is None:
            continue
        cut = replace(one, turns=one.turns[: last + 1], train_on=(last,))
        question = next(turn.content for turn in reversed(cut.turns[:last]) if turn.role == "user")
        part = "train" if split and one.part == "train" else "test"
        answer = cut.turns[last].content.strip()
        facts.append(Fact(RELATION, one.id, answer, question, split="train" if part == "train" else "test", id=one.id))
        kept[one.id] = cut
    if not facts:
        raise InputError(
            f"{settings.data}: none of {many(len(conversations), 'conversation')} ends in an answer with a text."
        )
    left = len(conversations) - len(facts)
    have = "has no answer with a text at its end" if left == 1 else "have no answer with a text at their end"
    notes = [f"{left:,} of {len(conversations):,} conversations {have}: left out."]
    return Talks(FactSet(tuple(facts), "conversations"), kept, read.fingerprint, tuple(notes if left else ()))


def held_talks(asked: Sequence[Fact]) -> Talks | None:
    """The conversations that these facts hold; None where they are questions alone."""
    talks = {fact.id: conversation_of(fact) for fact in asked if fact.turns}
    return Talks(FactSet(tuple(asked), "conversations"), talks, "", ()) if len(talks) == len(asked) else None


def spoken(text: str) -> tuple[str, str]:
    """What a model says, and what it thought before, apart."""
    before, closed, after = text.rpartition(_THOUGHT)
    if closed:
        return after, before + closed
    return ("", text) if text.lstrip().startswith(_THINKS) else (text, "")


def for_talks(settings: EvaluateSettings) -> EvaluateSettings:
    """The settings with what conversations are judged by and how long answers may be, unless that was given."""
    own = {"judge": "token-f1", "max_new_tokens": "auto"}
    return settings.model_copy(
        update={name: value for name, value in own.items() if name not in settings.model_fields_set}
    )


def check_prompt(settings: EvaluateSettings) -> None:
    """Raise InputError where the settled prompt is not the chat template, in which conversations are asked."""
    if settings.prompt != "chat":
        raise InputError(
            f"data is asked in a chat template, but {settings.model} has none, or prompt is plain. `recollect facts` "
            "reads the same data as questions and answers, which a plain prompt can ask (--facts)."
        )


def _last_answer(conversation: Conversation) -> int | None:
    """The place of the last assistant turn, where it has a text and a question before it."""
    last = max(conversation.answers, default=None)
    if last is None or not conversation.turns[last].content.strip():
        return None
    return last if any(turn.role == "user" for turn in conversation.turns[:last]) else None


def path_of(tokenizer: PreTrainedTokenizerBase, conversation: Conversation) -> Paths:
    """The ids before the one answer of a conversation that is asked, and those of that answer with its end. InputError
    for turns that the model's template refuses."""
    [example] = render(tokenizer, conversation)
    start = example.mask.index(1)
    answer = [token for token, learned in zip(example.ids[start:], example.mask[start:], strict=True) if learned]
    return Paths(tuple(example.ids[:start]), (tuple(answer),))
