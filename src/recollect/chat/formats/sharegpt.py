"""ShareGPT: conversations of {from, value}, as LLaMA-Factory and Axolotl have them.

Notable choices
- A turn of function_call holds a call, or a list of calls, as JSON; it is a turn of the assistant, and joins one that
  stands right before it.
- Calls that an assistant writes as text in its own tags stay text, as the model wrote them.
"""

from __future__ import annotations

from dataclasses import replace

from recollect.chat.formats.draft import Draft, role_of, system_turn, text_of
from recollect.chat.formats.messages import learn_it
from recollect.chat.formats.tools import calls_of, tools_of
from recollect.conversation import Turn
from recollect.core.json_object import JsonObject
from recollect.core.tables import RowError

_CALLS = ("function_call", "tool_call", "tool_calls")


def read(values: JsonObject, messages: list[JsonObject]) -> Draft:
    """The turns of a row with `conversations`."""
    turns: list[Turn] = []
    learn: dict[int, bool] = {}
    for index, message in enumerate(messages):
        place = f"turn {index + 1}"
        turn = _turn(message, place)
        if turn.tool_calls and turns and turns[-1].role == "assistant":
            turns[-1] = replace(turns[-1], tool_calls=(*turns[-1].tool_calls, *turn.tool_calls))
        else:
            turns.append(turn)
        asked = learn_it(message, place)
        if asked is not None and turn.role == "assistant":
            learn[len(turns) - 1] = asked
    system = [] if any(turn.role == "system" for turn in turns) else system_turn(values.get("system"))
    turns[:0] = system
    train_on = tuple(
        index for index, turn in enumerate(turns) if turn.role == "assistant" and learn.get(index - len(system), True)
    )
    return Draft(turns, tools_of(values.get("tools")), train_on if learn else None)


def _turn(message: JsonObject, place: str) -> Turn:
    speaker = message.get("from")
    if speaker is None:
        raise RowError("turns unlike", f"{place} does not say whom it is from; it has {', '.join(message)}.")
    value = message.get("value", message.get("content"))
    if isinstance(speaker, str) and speaker.strip().lower() in _CALLS:
        calls = calls_of(value, place)
        if not calls:
            raise RowError("empty tool call", f"{place} is an empty {speaker}. Fill it in or remove the row.")
        return Turn("assistant", "", "", calls)
    return Turn(role_of(speaker, place), text_of(value, "value", place))
