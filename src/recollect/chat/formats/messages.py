"""Lists of messages with role and content, as TRL, the Hub and OpenAI's fine-tuning files have them."""

from __future__ import annotations

import ast
import re
from typing import Any

from recollect.chat.formats.draft import Draft, role_of, short, system_turn, text_of
from recollect.chat.formats.tools import calls_of, loaded, tools_of
from recollect.conversation import ToolCall, Turn
from recollect.core.json_object import JsonObject
from recollect.core.tables import RowError

_REASONING = ("reasoning_content", "thinking", "reasoning")
_TEXT_PARTS = ("text", "input_text", "output_text")
_THOUGHT_PARTS = ("thinking", "reasoning")
_UNPARTED = re.compile(r"\}\s*\n\s*\{")  # NumPy prints objects in a list without commas; line ends in texts are escaped
_MEDIA = ("image", "audio", "video", "file")


def list_of(value: Any, key: str) -> list[JsonObject]:
    """The messages of a cell: a list of objects, or the text of one as JSON or as Python writes it."""
    if isinstance(value, str):
        value = _written(value, key)
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise RowError("turns unlike", f"{key} must be a list of objects with role and content, but is {short(value)}.")
    return value


def read(values: JsonObject, messages: list[JsonObject]) -> Draft:
    """The turns of a row with `messages`; OpenAI's weights say which answers are learned."""
    draft = turns_of(messages)
    system = system_turn(values.get("system")) if not any(turn.role == "system" for turn in draft.turns) else []
    if system:
        draft.turns[:0] = system
        draft.train_on = None if draft.train_on is None else tuple(at + 1 for at in draft.train_on)
    tools = tools_of(values.get("tools")) or tools_of(values.get("functions"))
    return Draft(draft.turns, tools, draft.train_on)


def turns_of(messages: list[JsonObject]) -> Draft:
    """The turns of a list of messages, without tools."""
    turns, learned, weighed = [], [], False
    for index, message in enumerate(messages):
        turn = _turn(message, f"message {index + 1}")
        learn = learn_it(message, f"message {index + 1}")
        weighed |= learn is not None and turn.role == "assistant"
        if turn.role == "assistant" and learn is not False:
            learned.append(index)
        turns.append(turn)
    return Draft(turns, (), tuple(learned) if weighed else None)


def _turn(message: JsonObject, place: str) -> Turn:
    if message.get("role") is None:
        raise RowError("turns unlike", f"{place} has no role, but has {', '.join(message)}.")
    role = role_of(message["role"], place)
    content, thought = _content(message.get("content"), place)
    reasoning = next((message[key] for key in _REASONING if message.get(key)), thought)
    calls: tuple[ToolCall, ...] = ()
    if role == "assistant":
        calls = calls_of(message.get("tool_calls"), place) or calls_of(message.get("function_call"), place)
        if not content and isinstance(message.get("refusal"), str):
            content = message["refusal"]
    return Turn(
        role,
        content,
        text_of(reasoning, "reasoning", place) if role == "assistant" else "",
        calls,
        text_of(message.get("name"), "name", place),
        text_of(message.get("tool_call_id"), "tool_call_id", place),
    )


def _content(value: Any, place: str) -> tuple[str, str]:
    """The text of a content and the reasoning among its parts; text parts are joined by line ends."""
    if not isinstance(value, list):
        return text_of(value, "content", place), ""
    texts, thoughts = [], []
    for part in value:
        if part is None:
            continue
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = str(part.get("type") or "text") if isinstance(part, dict) else "?"
        if kind in _TEXT_PARTS and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in _THOUGHT_PARTS:
            thoughts.append(_content(part.get(kind) or part.get("text"), place)[0])
        else:
            raise _no_text(kind, place)
    return "\n".join(texts), "\n".join(thoughts)


def _no_text(kind: str, place: str) -> RowError:
    media = next((name for name in _MEDIA if name in kind), None)
    if media:
        return RowError(f"{media} content", f"{place} holds {media} content ({kind}); only text can be learned here.")
    return RowError("a part that is no text", f"{place} holds a part of type {kind!r}; only text can be learned here.")


def learn_it(message: JsonObject, place: str) -> bool | None:
    """Whether the row asks to learn this message (OpenAI's weight, Axolotl's train); None where it says nothing."""
    weight = message.get("weight", message.get("train"))
    if weight is None or isinstance(weight, bool):
        return weight
    if weight not in (0, 1):
        raise RowError("a weight that is not 0 or 1", f"{place}: weight must be 0 or 1, but is {short(weight)}.")
    return bool(weight)


def _written(text: str, key: str) -> Any:
    """The list that a table's cell writes as text."""
    try:
        return loaded(text, key)
    except RowError as error:
        if error.reason != "JSON text that is no JSON":
            raise
    try:
        return ast.literal_eval(_UNPARTED.sub("}, {", text.strip()))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise RowError(
            "turns unlike", f"{key} must be a list of objects with role and content, but is the text {short(text)}."
        ) from None
