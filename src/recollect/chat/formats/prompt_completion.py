"""Prompt and completion, as TRL has them: two texts, or two lists of messages of which only the second is learned."""

from __future__ import annotations

from recollect.chat.formats.draft import Draft, system_turn, text_of
from recollect.chat.formats.messages import list_of, turns_of
from recollect.chat.formats.tools import tools_of
from recollect.conversation import Turn
from recollect.core.json_object import JsonObject
from recollect.core.tables import RowError


def read(values: JsonObject, prompt_key: str, completion_key: str) -> Draft:
    """The turns of a row; the blank that parts the two texts falls away."""
    prompt, completion = values[prompt_key], values[completion_key]
    tools = tools_of(values.get("tools"))
    if isinstance(prompt, list) != isinstance(completion, list):
        raise RowError(
            "prompt and completion unlike",
            f"{prompt_key} and {completion_key} must both be texts, or both lists of messages.",
        )
    if not isinstance(prompt, list):
        turns = [
            *system_turn(values.get("system")),
            Turn("user", text_of(prompt, prompt_key).strip()),
            Turn("assistant", text_of(completion, completion_key).strip()),
        ]
        return Draft(turns, tools)
    asked = turns_of(list_of(prompt, prompt_key)).turns
    answered = turns_of(list_of(completion, completion_key)).turns
    learned = tuple(len(asked) + at for at, turn in enumerate(answered) if turn.role == "assistant")
    if not learned:
        raise RowError(
            "no assistant turn", f"{completion_key} has no assistant turn. Add the answer or remove the row."
        )
    return Draft([*asked, *answered], tools, learned)
