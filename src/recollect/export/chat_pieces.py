"""A chat template taken apart into what stands around each turn, for programs that cannot run it: Ollama.

Ollama renders chats with templates in Go's language, and knows those of some models by their text; for any other it
sends the last message bare. Most templates do nothing but put a fixed text around each turn. Those are found here by
rendering a few chats of marked words and looking what stands between them, and then checked: the pieces must give
exactly what the template gives, for chats of several lengths. A template that does more is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recollect.core.json_object import JsonObject

Render = Callable[[Sequence[JsonObject], bool], str]
"""(messages, whether an answer is to follow) -> text."""

_S, _U, _A, _V = "Qsystemq", "Qfirstq", "Qanswerq", "Qsecondq"


class NotInPiecesError(ValueError):
    """The template does more than put a fixed text around each turn; the text says what."""


@dataclass(frozen=True)
class Pieces:
    """What stands before and after the content of a turn, by role; and what opens an answer."""

    user: tuple[str, str]
    assistant: tuple[str, str]
    answer: str
    system: tuple[str, str] | None = None
    """None where the template has no place of its own for a system text."""
    default_system: str = ""
    """The system text that the template puts where a chat has none."""
    begin: str = ""
    """What stands before everything: mostly the begin token."""

    def render(self, messages: Sequence[JsonObject]) -> str:
        """The text of a chat that an answer is to follow."""
        turns = [(str(one["role"]), str(one["content"])) for one in messages]
        if self.default_system and turns[0][0] != "system":
            turns.insert(0, ("system", self.default_system))
        around = {"user": self.user, "assistant": self.assistant, "system": self.system or ("", "")}
        return self.begin + "".join(around[role][0] + text + around[role][1] for role, text in turns) + self.answer


def take_apart(render: Render, begin: str = "") -> Pieces:
    """The pieces of a chat template. begin: the text of the begin token. Raises NotInPiecesError."""
    user, answer_turn, second = _message("user", _U), _message("assistant", _A), _message("user", _V)
    one, two, three = (_rendered(render, chat) for chat in ([user], [user, answer_turn], [user, answer_turn, second]))
    opened = _rendered(render, [user], answer=True)
    if not (two.startswith(one) and three.startswith(two) and opened.startswith(one)):
        raise NotInPiecesError("it writes earlier turns otherwise once others follow")
    assistant, asked = _around(two[len(one) :], _A, "an assistant's turn"), _around(three[len(two) :], _V, "a user's")
    own = asked[0] + _U + asked[1]
    if not one.endswith(own):
        raise NotInPiecesError("it writes the first turn otherwise than later ones")
    head = one[: len(one) - len(own)]
    begun = begin if begin and head.startswith(begin) else ""
    pieces = Pieces(asked, assistant, opened[len(one) :], begin=begun)
    pieces = _with_system(render, pieces, head.removeprefix(begun))
    _check(render, pieces)
    return pieces


def _with_system(render: Render, pieces: Pieces, head: str) -> Pieces:
    """The pieces with the place of a system text, and the one that stands there by default: `head`."""
    own = pieces.user[0] + _U + pieces.user[1]
    try:
        text = _rendered(render, [_message("system", _S), _message("user", _U)])
        if not text.endswith(own):
            raise NotInPiecesError("a system text goes into a user's turn")
        system = _around(text[: len(text) - len(own)].removeprefix(pieces.begin), _S, "a system text")
    except NotInPiecesError:
        system = None
    default = ""
    if head:
        if system is None or not (head.startswith(system[0]) and head.endswith(system[1])):
            return Pieces(pieces.user, pieces.assistant, pieces.answer, begin=pieces.begin + head)
        default = head[len(system[0]) : len(head) - len(system[1])]
    return Pieces(pieces.user, pieces.assistant, pieces.answer, system, default, pieces.begin)


def _check(render: Render, pieces: Pieces) -> None:
    turns = [_message("user", "How are you?"), _message("assistant", "Well."), _message("user", "And  now,\nthen?")]
    chats = [turns[:1], turns, [*turns, _message("assistant", "1. So\n2. so."), turns[0]]]
    if pieces.system is not None:
        chats += [[_message("system", "Be brief."), *chat] for chat in chats]
    for chat in chats:
        if _rendered(render, chat, answer=True) != pieces.render(chat):
            raise NotInPiecesError(f"a chat of {len(chat)} turns comes out otherwise than its pieces")


def _rendered(render: Render, messages: Sequence[JsonObject], answer: bool = False) -> str:
    try:
        return render(messages, answer)
    except Exception as error:  # a template raises what it likes, for roles that it does not take
        raise NotInPiecesError(f"it refuses a plain chat: {str(error)[:200]}") from error


def _around(text: str, word: str, what: str) -> tuple[str, str]:
    before, found, after = text.partition(word)
    if not found or word in after:
        raise NotInPiecesError(f"{what} does not stand in it once")
    return before, after


def _message(role: str, content: str) -> JsonObject:
    return {"role": role, "content": content}
