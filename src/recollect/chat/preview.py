"""A few conversations as the model will read them, with what is learned told from what is only read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from recollect.chat.examples import Example, Lesson
from recollect.chat.render import TrainOn, trained_turns
from recollect.chat.settings import ROWS
from recollect.conversation import Conversation, Turn
from recollect.core.workspace.result import Result

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LONGEST = 1_500  # characters of one piece that are kept
Kind = Literal["learned", "read", "beyond"]


class Piece(Result):
    """A stretch of a preview's text."""

    kind: Kind
    """learned: the loss counts it. read: the model is given it. beyond: learned, but over the length limit."""
    text: str


class Preview(Result):
    """One conversation as the model reads it: the examples that are made of it, one after the other."""

    id: str
    source: str
    """File and place of its row."""
    tokens: int | None
    """None without a model."""
    learned: int | None
    examples: list[list[Piece]]


def evenly(count: int, most: int = ROWS) -> list[int]:
    """At most `most` indices of `count`, evenly spread from the first to the last."""
    if count <= most:
        return list(range(count))
    return [round(at * (count - 1) / max(most - 1, 1)) for at in range(most)]


def chosen(lessons: Sequence[Lesson], limit: int, most: int = ROWS) -> list[int]:
    """At most `most` indices of lessons to show: evenly spread, with one cut and one of several examples if any."""
    found = evenly(len(lessons), most)
    rare = [
        [at for at, one in enumerate(lessons) if any(example.is_cut(limit) for example in one.examples)],
        [at for at, one in enumerate(lessons) if len(one.examples) > 1],
    ]
    more = [some[0] for some in rare if some and not set(some) & set(found)]
    more = more[: max(most - 1, 0)]
    return sorted({*found[: -1 - len(more)], *more, *found[-1:]}) if more else found


def tokens_preview(
    tokenizer: PreTrainedTokenizerBase, conversation: Conversation, lesson: Lesson, limit: int
) -> Preview:
    """A preview of the very tokens, with the template's own."""
    return Preview(
        id=conversation.id,
        source=conversation.source,
        tokens=lesson.tokens,
        learned=lesson.learned,
        examples=[_pieces(tokenizer, example, limit) for example in lesson.examples],
    )


def turns_preview(conversation: Conversation, train_on: TrainOn) -> Preview:
    """A preview of the turns, where no model is known whose template would write them."""
    learned = trained_turns(conversation, train_on)
    pieces = []
    for index, turn in enumerate(conversation.turns):
        pieces += [
            Piece(kind="read", text=f"{turn.role}: "),
            Piece(kind="learned" if index in learned else "read", text=_cut(_written(turn))),
            Piece(kind="read", text="\n"),
        ]
    return Preview(
        id=conversation.id, source=conversation.source, tokens=None, learned=None, examples=[_joined(pieces[:-1])]
    )


def _pieces(tokenizer: PreTrainedTokenizerBase, example: Example, limit: int) -> list[Piece]:
    kinds: list[Kind] = [
        "read" if not counts else "learned" if at < limit else "beyond" for at, counts in enumerate(example.mask)
    ]
    pieces, end, before = [], 0, ""
    for kind, run in groupby(kinds):
        end += len(list(run))
        text = str(tokenizer.decode(list(example.ids[:end]), clean_up_tokenization_spaces=False))
        # decoded from the start: alone, a token may lose the blank before it
        said = text.removeprefix(before) if text.startswith(before) else str(tokenizer.decode(list(example.ids[:end])))
        pieces.append(Piece(kind=kind, text=_cut(said)))
        before = text
    return pieces


def _written(turn: Turn) -> str:
    thought = f"<think>{turn.reasoning}</think>" if turn.reasoning else ""
    calls = [
        f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"
        for call in turn.tool_calls
    ]
    return "\n".join(part for part in (thought, turn.content, *calls) if part)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece."""
    return [
        Piece(kind=kind, text="".join(piece.text for piece in run))
        for kind, run in groupby(pieces, key=lambda piece: piece.kind)
    ]


def _cut(text: str) -> str:
    left = len(text) - _LONGEST
    if left <= 20:
        return text
    head, tail = text[: _LONGEST // 2], text[-_LONGEST // 2 :]
    return f"{head}… [{left:,} characters left out] …{tail}"
