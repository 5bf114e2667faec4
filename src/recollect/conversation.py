"""A conversation, whatever shape its row was published in: what every reader gives and every renderer takes.

Notable choices
- Content is one text. Readers join a list of text parts and drop rows with images or sound by name.
- Arguments of a tool call are an object, also where the row holds them as JSON text: templates print them themselves.
- What is trained on belongs to the conversation only where its row says so (OpenAI's `weight`); else a setting decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recollect.core.json_object import JsonObject

Role = Literal["system", "user", "assistant", "tool"]
Part = Literal["train", "test", "validation"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a function, as an assistant turn makes it."""

    name: str
    arguments: JsonObject
    """By parameter name, as plain JSON values."""
    id: str = ""
    """What the turn with the result names in its `call_id`; "" where the data has none."""

    def as_json(self) -> JsonObject:
        """The call in the shape that `apply_chat_template` of transformers takes."""
        call: JsonObject = {"type": "function", "function": {"name": self.name, "arguments": self.arguments}}
        return {"id": self.id, **call} if self.id else call


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says. An assistant turn has a content, a tool call, or both."""

    role: Role
    content: str
    reasoning: str = ""
    """What an assistant thought before it answered, where the row keeps it apart from the content."""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    """Of the function whose result a tool turn holds, or of a speaker."""
    call_id: str = ""
    """Of the call that a tool turn answers."""

    def as_json(self) -> JsonObject:
        """The turn in the shape that `apply_chat_template` of transformers takes.

        Reasoning stands under both names that templates read: `reasoning_content` and `thinking`.
        """
        message: JsonObject = {"role": self.role, "content": self.content}
        if self.reasoning:
            message |= {"reasoning_content": self.reasoning, "thinking": self.reasoning}
        if self.tool_calls:
            message["tool_calls"] = [call.as_json() for call in self.tool_calls]
        if self.name:
            message["name"] = self.name
        if self.call_id:
            message["tool_call_id"] = self.call_id
        return message


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one row, in order, with the tools that were offered."""

    id: str
    """The row's own id, else a hash of its content."""
    turns: tuple[Turn, ...]
    tools: tuple[JsonObject, ...] = ()
    """JSON schemas of the functions, as `apply_chat_template(tools=...)` takes them."""
    train_on: tuple[int, ...] | None = None
    """Indices of the assistant turns to learn, where the row itself says so; None: as the setting says."""
    source: str = ""
    """File and place of the row, e.g. "chat.jsonl: line 3"."""
    part: Part = "train"
    """Which part of its source it is in."""

    def as_messages(self) -> list[JsonObject]:
        """The turns in the shape that `apply_chat_template` of transformers takes.

        Examples:
            >>> from recollect.conversation import Conversation, Turn
            >>> talk = Conversation("1", (Turn("user", "Capital of Peru?"), Turn("assistant", "Lima")))
            >>> talk.as_messages()
            [{'role': 'user', 'content': 'Capital of Peru?'}, {'role': 'assistant', 'content': 'Lima'}]
        """
        return [turn.as_json() for turn in self.turns]

    @property
    def answers(self) -> tuple[int, ...]:
        """Indices of the assistant turns."""
        return tuple(index for index, turn in enumerate(self.turns) if turn.role == "assistant")
