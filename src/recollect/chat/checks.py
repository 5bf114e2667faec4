"""What is odd about conversations before any training: repeats, test questions among them, two answers to one prompt.

| check          | rule                                                                                          |
|----------------|-----------------------------------------------------------------------------------------------|
| duplicate      | turns and tools exactly those of an earlier conversation                                      |
| near duplicate | another, whose turns are nearly those of an earlier one (see `near`), system turns aside       |
| overlap        | its user turns, all or those up to one of its answers, are those of a test conversation, but  |
|                | for case, blanks, punctuation and Unicode form                                                |
| near overlap   | another, where these are nearly those of a test conversation                                  |
| conflict       | all up to the last answer is as in an earlier conversation, the answer is another             |

Validation counts as test. Duplicates and conflicts are looked for inside train.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

from recollect.chat.near import earlier_twins, normal, twins_among
from recollect.chat.read import content_id
from recollect.conversation import Conversation, Turn
from recollect.match import written_without_blanks

SCRIPTS = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Yi", "Javanese", "Balinese")
_ENTITY = regex.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_SCRIPTS = {name: regex.compile(rf"\p{{{name}}}") for name in SCRIPTS}

FREQUENT, FREQUENT_LEAST = 0.2, 5
"""An answer is frequent that ends at least this share, and this number, of the conversations."""


@dataclass(frozen=True)
class Oddities:
    """Of each train conversation, in their order."""

    duplicate_of: list[int | None]
    near_duplicate_of: list[int | None]
    overlap: list[bool]
    near_overlap: list[bool]
    conflict_with: list[int | None]


def oddities(train: Sequence[Conversation], test: Sequence[Conversation]) -> Oddities:
    """What is odd about train conversations, by themselves and beside those of test."""
    duplicates = _earlier_equal([content_id(one) for one in train])
    fresh = [at for at, twin in enumerate(duplicates) if twin is None]
    near: list[int | None] = [None] * len(train)
    for at, twin in zip(fresh, earlier_twins([_said(train[at]) for at in fresh]), strict=True):
        near[at] = None if twin is None else fresh[twin]
    overlap, near_overlap = _overlaps(train, test)
    return Oddities(duplicates, near, overlap, near_overlap, _conflicts(train))


def scripts_without_blanks(conversations: Iterable[Conversation]) -> dict[str, int]:
    """In how many conversations an answer holds letters of a script that puts no blank between words, by script."""
    found: Counter[str] = Counter()
    for one in conversations:
        text = "".join(one.turns[index].content for index in one.answers)
        if not text.isascii() and any(map(written_without_blanks, text)):
            found.update(name for name, pattern in _SCRIPTS.items() if pattern.search(text))
    return dict(found)


def frequent_answers(conversations: Sequence[Conversation]) -> dict[str, int]:
    """The answers that end at least `FREQUENT` of the conversations, and five or more, with their counts.

    Answers are one that differ only in case, blanks, punctuation and Unicode form; each as it is written most often.
    What is called beside an answer counts as part of it.
    """
    said = [_text(one.turns[one.answers[-1]]).strip() for one in conversations]
    keys = list(map(normal, said))
    found: dict[str, int] = {}
    for key, count in Counter(keys).most_common(int(1 / FREQUENT)):
        if count >= max(FREQUENT_LEAST, FREQUENT * len(said)):
            spelled = Counter(text for text, own in zip(said, keys, strict=True) if own == key)
            found[spelled.most_common(1)[0][0]] = count
    return found


def with_entities(conversations: Iterable[Conversation]) -> int:
    """How many conversations have an answer with HTML entities, as texts copied out of pages have them."""
    return sum(any(_ENTITY.search(one.turns[index].content) for index in one.answers) for one in conversations)


def _earlier_equal(keys: Sequence[str]) -> list[int | None]:
    first: dict[str, int] = {}
    found: list[int | None] = []
    for at, key in enumerate(keys):
        found.append(first.get(key))
        first.setdefault(key, at)
    return found


def _overlaps(train: Sequence[Conversation], test: Sequence[Conversation]) -> tuple[list[bool], list[bool]]:
    """Whether each train conversation asks what one of test asks, and whether it does so only nearly."""
    if not test:
        return [False] * len(train), [False] * len(train)
    tested = [_asked(one, len(one.turns)) for one in test]
    known = set(map(normal, tested))
    asked = [(at, _asked(one, stop)) for at, one in enumerate(train) for stop in one.answers]
    equal = {at for at, text in asked if normal(text) in known}
    nearly = {at for (at, _), twin in zip(asked, twins_among([text for _, text in asked], tested), strict=True) if twin}
    return [at in equal for at in range(len(train))], [at in nearly - equal for at in range(len(train))]


def _conflicts(conversations: Sequence[Conversation]) -> list[int | None]:
    """The earlier conversation with the same prompt whose last answer is another one."""
    first: dict[str, tuple[int, str]] = {}
    found: list[int | None] = []
    for at, one in enumerate(conversations):
        last = one.answers[-1]
        prompt = json.dumps([[turn.role, normal(_text(turn))] for turn in one.turns[:last]])
        answer = normal(_text(one.turns[last]))
        earlier, said = first.setdefault(prompt, (at, answer))
        found.append(earlier if said != answer else None)
    return found


def _said(conversation: Conversation) -> str:
    return "\n".join(_text(turn) for turn in conversation.turns if turn.role != "system")


def _asked(conversation: Conversation, stop: int) -> str:
    return "\n".join(turn.content for turn in conversation.turns[:stop] if turn.role == "user")


def _text(turn: Turn) -> str:
    calls = [f"{call.name} {json.dumps(call.arguments, ensure_ascii=False)}" for call in turn.tool_calls]
    return "\n".join([turn.content, *calls])
