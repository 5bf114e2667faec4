"""Calls of tools and the schemas of the tools offered, as objects or as JSON text, with the nulls of tables left out.

A Parquet file gives every call the parameters of all calls, null where a call has none. So a null in an object stands
for nothing; in arguments written as JSON text a null is what was written, and stays.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from recollect.chat.formats.draft import short
from recollect.conversation import ToolCall
from recollect.core.json_object import JsonObject
from recollect.core.tables import RowError, check_value, load_json
from recollect.errors import InputError


def calls_of(value: Any, place: str) -> tuple[ToolCall, ...]:
    """The calls of a turn: a list of calls, or one, as OpenAI or TRL writes them; () for nothing."""
    if isinstance(value, str) and value.strip():
        value = loaded(value, f"{place}: the tool calls")
    if not value:
        return ()
    calls = value if isinstance(value, list) else [value]
    return tuple(_call(call, place) for call in calls if call is not None)


def tools_of(value: Any) -> tuple[JsonObject, ...]:
    """The schemas of the tools offered, each as {"type": "function", "function": {...}}; () for nothing."""
    if isinstance(value, str) and value.strip():
        value = loaded(value, "tools")
    if not value:
        return ()
    tools = [value] if isinstance(value, dict) else value
    if not isinstance(tools, list):
        raise RowError("tools unlike", f"tools must be a list of functions, but is {short(value)}.")
    found = []
    for tool in tools:
        tool = loaded(tool, "a tool") if isinstance(tool, str) else tool
        if not isinstance(tool, dict) or not (tool.get("function") or tool.get("name")):
            raise RowError("tools unlike", f"a tool must be an object with a name, but is {short(tool)}.")
        tool = plain(tool, "tools", nulls=False)
        found.append(tool if tool.get("function") else {"type": "function", "function": tool})
    return tuple(found)


def loaded(text: str, what: str) -> Any:
    """The value of a JSON text inside a row."""
    try:
        value = load_json(text, what)
    except InputError as error:
        raise RowError("JSON text that is no JSON", str(error)) from None
    _, fault = check_value(value)
    if fault:
        raise RowError(fault[0], f"{what} hold {fault[1]}.")
    return value


def plain(value: Any, what: str, *, nulls: bool) -> Any:
    """The value with JSON's own types only; without `nulls`, keys that hold null are left out."""
    if isinstance(value, dict):
        return {key: plain(item, what, nulls=nulls) for key, item in value.items() if nulls or item is not None}
    if isinstance(value, list):
        return [plain(item, what, nulls=nulls) for item in value]
    if isinstance(value, Decimal):
        value = float(value)
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise RowError("a tool value that is no JSON", f"{what} must be plain JSON, but hold {short(value)}.")


def _call(written: Any, place: str) -> ToolCall:
    call = loaded(written, f"{place}: a tool call") if isinstance(written, str) else written
    call = call if isinstance(call, dict) else {}
    function = call.get("function") or call
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise RowError(
            "a tool call without a name",
            f"{place}: a tool call must be an object with a function's name and arguments, but is {short(written)}.",
        )
    given = function.get("arguments", function.get("parameters"))
    what = f"{place}: the arguments of {name}"
    if isinstance(given, str):
        arguments = plain(loaded(given, what), what, nulls=True) if given.strip() else {}
    else:
        arguments = plain(given, what, nulls=False) if given is not None else {}
    if not isinstance(arguments, dict):
        raise RowError("tool call arguments that are no object", f"{what} must be an object, but are {short(given)}.")
    id = call.get("id")
    return ToolCall(name, arguments, id if isinstance(id, str) else "")
