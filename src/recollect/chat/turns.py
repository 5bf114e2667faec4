"""Conversations as facts: one that is learned, and one for each answer of it that is asked.

Notable choices
- A conversation is learned as a whole, as `recollect train --data` learns it, so it is one fact, however many answers
  it has: the last question and answer for people, and all of it in `Fact.turns`.
- It is asked answer by answer, each after the true turns before it. These are facts of one subject, the conversation:
  never divided, and in every interval one cluster.
- What is asked is what would be learned: the turns that a row names itself, else all or the last. A call of a tool, or
  an answer without words, has nothing to judge by and is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from pydantic import TypeAdapter

from recollect.chat.render import TrainOn, trained_turns
from recollect.conversation import Conversation, Turn
from recollect.facts import Fact

RELATION = "chat"
_STORED = TypeAdapter(Conversation)
_UNSTORED = {"source", "part"}
"""Where a row stood says nothing of what it holds."""


def learned(conversation: Conversation, train_on: TrainOn = "all") -> Fact:
    """The whole conversation as a fact of the train part, under its own id.

    Examples:
        >>> from recollect.conversation import Conversation, Turn
        >>> said = ("Capital of Peru?", "Lima", "Of Chile?", "Santiago")
        >>> talk = Conversation("1", tuple(Turn(*one) for one in zip(("user", "assistant") * 2, said)))
        >>> fact = learned(talk)
        >>> fact.id, fact.object, len(conversation_of(fact).turns)
        ('1', 'Santiago', 4)
        >>> [(one.id, one.object) for one in asked(fact)]
        [('1#1', 'Lima'), ('1#3', 'Santiago')]
    """
    last = trained_turns(conversation, train_on)[-1]
    return _fact(conversation, last, conversation.id, "train")


def asked(fact: Fact, which: TrainOn = "all") -> list[Fact]:
    """One fact of the test part for each answer of a learned conversation that can be judged by its words."""
    whole = conversation_of(fact)
    found = []
    for at in trained_turns(whole, which):
        turn = whole.turns[at]
        if turn.content.strip() and not turn.tool_calls and any(one.role == "user" for one in whole.turns[:at]):
            cut = replace(whole, turns=whole.turns[: at + 1], train_on=(at,))
            found.append(_fact(cut, at, f"{fact.id}#{at}", "test"))
    return found


def conversation_of(fact: Fact) -> Conversation:
    """The conversation that a fact holds."""
    return stored(fact.turns)


@lru_cache(maxsize=4096)
def stored(text: str) -> Conversation:
    """The conversation that `Fact.turns` writes."""
    return _STORED.validate_json(text)


def questions(fact: Fact) -> list[str]:
    """What comes before each answer of a fact's conversation, as `Fact.question` has it."""
    turns = conversation_of(fact).turns
    return [transcript(turns[:at]) for at, turn in enumerate(turns) if turn.role == "assistant"]


def last_asked(fact: Fact) -> str:
    """The last thing the user said before the answer; of a fact that is no conversation its question."""
    if not fact.turns:
        return fact.question
    before = conversation_of(fact).turns[:-1]
    return next((turn.content.strip() for turn in reversed(before) if turn.role == "user"), fact.question)


def exchange(fact: Fact) -> tuple[str, str]:
    """A question and its answer that stand for themselves, as an example for others: the first of a conversation."""
    if not fact.turns:
        return fact.question, fact.object
    turns = conversation_of(fact).turns
    for at, turn in enumerate(turns):
        if turn.role == "assistant" and turn.content.strip() and not turn.tool_calls:
            question = next((one.content for one in reversed(turns[:at]) if one.role == "user"), "")
            return question.strip(), turn.content.strip()
    return fact.question, fact.object


def with_exchanges(conversation: Conversation, shown: Sequence[tuple[str, str]]) -> Conversation:
    """A conversation with the exchanges of others before its own turns, after what the system says first."""
    turns = conversation.turns
    head = next((at for at, turn in enumerate(turns) if turn.role != "system"), 0)
    more = [turn for asks, says in shown for turn in (Turn("user", asks), Turn("assistant", says))]
    learned_turns = conversation.train_on
    moved = None if learned_turns is None else tuple(at + len(more) for at in learned_turns)
    return replace(conversation, turns=(*turns[:head], *more, *turns[head:]), train_on=moved)


def transcript(turns: Sequence[Turn]) -> str:
    """Turns for people to read, and to tell one question from another; a single question as it is."""
    if len(turns) == 1:
        return _words(turns[0])
    return "\n".join(f"{turn.role}: {_words(turn)}" for turn in turns)


def _words(turn: Turn) -> str:
    calls = [f"calls {call.name}" for call in turn.tool_calls]
    return " ".join(part for part in (turn.content.strip(), *calls) if part)


def _fact(conversation: Conversation, at: int, name: str, part: str) -> Fact:
    written = _STORED.dump_json(conversation, exclude=_UNSTORED, exclude_defaults=True).decode()
    return Fact(
        relation=RELATION,
        subject=conversation.id,
        object=_words(conversation.turns[at]) or "-",
        question=transcript(conversation.turns[:at]) or "-",
        split="train" if part == "train" else "test",
        id=name,
        turns=written,
    )
