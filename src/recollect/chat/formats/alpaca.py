"""Alpaca: instruction, input and output, with LLaMA-Factory's system and history, and Dolly's names."""

from __future__ import annotations

from typing import Any

from recollect.chat.formats.draft import Draft, system_turn, text_of
from recollect.chat.formats.tools import tools_of
from recollect.conversation import Turn
from recollect.core.json_object import JsonObject
from recollect.core.tables import RowError


def read(values: JsonObject, instruction_key: str, output_key: str) -> Draft:
    """The turns of a row: system, the earlier pairs, then instruction and input (a line each), and output."""
    more = next((key for key in ("input", "context") if values.get(key)), "input")
    asked = [text_of(values.get(key), key) for key in (instruction_key, more)]
    turns = [
        *system_turn(values.get("system") or values.get("system_prompt")),
        *_history(values.get("history")),
        Turn("user", "\n".join(text for text in asked if text.strip())),
        Turn("assistant", text_of(values[output_key], output_key)),
    ]
    return Draft(turns, tools_of(values.get("tools")))


def _history(value: Any) -> list[Turn]:
    if not value:
        return []
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise RowError("history unlike", "history must be a list of pairs of an instruction and its answer.")
    turns = []
    for asked, answered in value:
        turns += [Turn("user", text_of(asked, "history")), Turn("assistant", text_of(answered, "history"))]
    return turns
