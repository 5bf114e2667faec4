"""What every format gives, and how it reads a text: never made of something that is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recollect.conversation import Role, Turn
from recollect.core.json_object import JsonObject
from recollect.core.tables import CellError, RowError, cell_text

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt", "bot", "bard", "bing"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response", "ipython"), "tool"),
}
"""What published data calls the four roles."""


@dataclass
class Draft:
    """The turns of a row as read, not yet checked for their order."""

    turns: list[Turn]
    tools: tuple[JsonObject, ...] = ()
    train_on: tuple[int, ...] | None = None


def role_of(name: Any, place: str) -> Role:
    """The role of a turn by the name its data gives it."""
    known = ROLES.get(name.strip().lower()) if isinstance(name, str) else None
    if known is None:
        raise RowError("an unknown role", f"{place}: the role must be one of {', '.join(ROLES)}, but is {short(name)}.")
    return known


def text_of(value: Any, what: str, place: str = "") -> str:
    """A text as it stands, "" for nothing; RowError for everything that is none, numbers included.

    place: where in the row it stands, for the error's line; its reason names `what` alone.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        kind = _kind(value)
        at = f"{place}: " if place else ""
        raise RowError(f"{what} is {kind}", f"{at}{what} must be a text, but is {short(value)} ({kind}).")
    return value


def system_turn(value: Any) -> list[Turn]:
    """The system turn of a row that has its text in a column of its own; none where that is empty."""
    text = text_of(value, "system")
    return [Turn("system", text)] if text.strip() else []


def _kind(value: Any) -> str:
    try:
        cell_text(value)
    except CellError as error:
        return error.kind
    return "a number"


def short(value: Any) -> str:
    """A value of any size in an error's line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
