"""Chat data of a fit: conversations are learned whole, as `recollect train --data` does, and asked answer by answer.

Notable choices
- A chat file is read so where one of its conversations has more than a question and an answer (further turns, a system
  turn, tools), and the model has a chat template to write them in. Else a row is a question with its answer.
- The true turns stand before an answer that is asked, not those that the model said itself: so all models are asked the
  same, and one wrong answer is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recollect.chat.asking import asked_for, settled
from recollect.chat.read import chat_files, read_conversations
from recollect.chat.render import trained_turns
from recollect.chat.turns import asked, conversation_of, learned, questions
from recollect.conversation import Conversation
from recollect.core.numbers import many
from recollect.core.tables import BadRows, read_bytes, read_table
from recollect.core.workspace import MANIFEST
from recollect.engines import find_engine
from recollect.errors import InputError
from recollect.experiments.fit.settings import FitParts, FitSettings
from recollect.facts import Beside, Fact, FactSet, near_key
from recollect.facts.chat import shape_of
from recollect.shipped import SHIPPED

_ENDINGS = (".jsonl", ".json", ".parquet")


def read_talks(settings: FitSettings, parts: FitParts) -> FactSet | None:
    """The conversations of the data, each a fact; None where it has none that are more than a question and an answer,
    or the model cannot be given them. Raises InputError for rows that are no conversation."""
    path = Path(settings.data)
    if settings.data in SHIPPED or not _is_chat(path):
        return None
    conversations, read = read_conversations(path, settings.train.bad_rows)
    if not any(_more(one) for one in conversations) or not _takes(settings, parts):
        return None
    train_on = settings.train.train_on
    usable = [one for one in conversations if trained_turns(one, train_on)]
    sides: dict[str, list[Fact]] = {"train": [], "test": [], "validation": []}
    for one in usable:
        fact = learned(one, train_on)
        sides[one.part].append(fact if one.part == "train" else replace(fact, split="test"))
    notes = [_told(usable)]
    if lost := read.bad_rows.skipped + len(conversations) - len(usable):
        notes.append(f"{many(lost, 'conversation')} left out: not usable, or without a turn to learn.")
    beside = Beside(tuple(sides["validation"]), notes=tuple(notes))
    return FactSet((*sides["train"], *sides["test"]), path.stem, beside)


def _is_chat(path: Path) -> bool:
    """Whether the first row at a path is one of messages."""
    if not path.exists() or (path / MANIFEST).is_file():
        return False
    try:
        file = next((one for one in chat_files(path) if one.suffix.lower() in _ENDINGS), None)
        rows = [] if file is None else read_table(file, BadRows("skip"), read_bytes(file)).rows
    except InputError:
        return False  # who reads it as questions says why
    if not rows:
        return False
    shape = shape_of(rows[0])
    return shape in ("messages", "sharegpt") or (
        shape == "prompt-completion" and isinstance(rows[0].values.get("prompt"), list)
    )


def _more(conversation: Conversation) -> bool:
    """Whether it is more than one question and one answer."""
    return [turn.role for turn in conversation.turns] != ["user", "assistant"] or bool(conversation.tools)


def _takes(settings: FitSettings, parts: FitParts) -> bool:
    """Whether the model is asked and trained in its chat template."""
    prompt = settled(settings.train.asked_in(), find_engine(parts.evaluate).ref)
    return prompt == "chat" and asked_for(parts.evaluate) != "plain"


def _told(conversations: Sequence[Conversation]) -> str:
    counts = {
        "with a system turn": sum(any(turn.role == "system" for turn in one.turns) for one in conversations),
        "with tools": sum(bool(one.tools) or any(turn.role == "tool" for turn in one.turns) for one in conversations),
        "that end with the user": sum(one.turns[-1].role == "user" for one in conversations),
    }
    told = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
    answers = sum(len(one.answers) for one in conversations)
    return f"{many(len(conversations), 'conversation')} with {answers:,} turns of the assistant{told}."


def is_talks(facts: Sequence[Fact]) -> bool:
    """Whether these facts are conversations."""
    return any(fact.turns for fact in facts)


def answers_of(facts: Sequence[Fact], settings: FitSettings) -> list[Fact]:
    """What is asked of these facts: of a conversation its answers, else the fact itself."""
    found = (asked(fact, settings.ask_turns) if fact.turns else [fact] for fact in facts)
    return [one for group in found for one in group]


def not_learned(facts: Sequence[Fact], train: Sequence[Fact]) -> tuple[list[Fact], int]:
    """What of the asked answers no training conversation has in nearly the same words before it, and how many have."""
    if not is_talks(facts):
        return list(facts), 0
    known = {near_key(text) for fact in train if fact.turns for text in questions(fact)}
    left = [fact for fact in facts if near_key(fact.question) not in known]
    return left, len(facts) - len(left)


def turns_note(facts: Sequence[Fact], learned_ones: Sequence[Fact], settings: FitSettings) -> list[str]:
    """What is learned and asked of conversations, in words."""
    if not is_talks(learned_ones):
        return []
    of = len({fact.subject for fact in facts})
    turns = sum(len(trained_turns(conversation_of(fact), settings.train.train_on)) for fact in learned_ones)
    which = f"{'each' if settings.ask_turns == 'all' else 'the last'} turn of the assistant"
    return [
        f"Learned: {many(turns, 'answer')} of {many(len(learned_ones), 'conversation')}. Asked: {which}, "
        f"after the true turns before it, {many(len(facts), 'answer')} of {many(of, 'conversation')}, of which each "
        "counts as one cluster in the intervals."
    ]
