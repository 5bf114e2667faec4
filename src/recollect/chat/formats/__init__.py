"""The shapes that chat data is published in, one file each, and which of them a row has.

| format            | keys                                                  | who writes it                            |
|-------------------|-------------------------------------------------------|------------------------------------------|
| messages          | messages: [{role, content, tool_calls, ...}], tools   | TRL, the Hub                             |
| openai            | the same with weight, functions, parallel_tool_calls  | OpenAI's fine-tuning files               |
| sharegpt          | conversations: [{from, value}], system, tools         | ShareGPT, LLaMA-Factory, Axolotl         |
| prompt-completion | prompt, completion: texts, or lists of messages       | TRL, OpenAI's older files                |
| alpaca            | instruction, input, output, system, history           | Alpaca, LLaMA-Factory, Dolly             |
| question-answer   | question, answer, system                              | tables of questions                      |

Notable choices
- A row is read by the keys that it fills, so a file may mix formats and have the union of their columns.
- A key that several formats have is no ground for any; the turns themselves say whether they are ShareGPT's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from recollect.chat.formats import alpaca, messages, prompt_completion, question_answer, sharegpt
from recollect.chat.formats.draft import Draft
from recollect.core.json_object import JsonObject
from recollect.core.tables import RowError

FormatName = Literal["messages", "openai", "sharegpt", "prompt-completion", "alpaca", "question-answer"]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)

_LISTS = ("messages", "conversations", "conversation")
_OF_OPENAI = ("parallel_tool_calls", "functions")
_PREFERENCE = (("chosen", "rejected"), ("preferred_output", "non_preferred_output"))


@dataclass(frozen=True)
class Found:
    """A row as its format reads it."""

    format: FormatName
    draft: Draft
    used: frozenset[str]
    """The columns that were read."""


@dataclass(frozen=True)
class _Keyed:
    """A format that is known by its columns: each by one of its names."""

    name: FormatName
    columns: tuple[tuple[str, ...], ...]
    """The columns it must have, each with the names it goes by."""
    more: tuple[str, ...]
    """Columns that it may have besides."""
    read: Callable[..., Draft]
    """Takes the row's values, and the names under which the columns were found."""


_KEYED = (
    _Keyed("prompt-completion", (("prompt",), ("completion", "response")), ("system", "tools"), prompt_completion.read),
    _Keyed(
        "alpaca",
        (("instruction",), ("output", "response")),
        ("input", "context", "system", "system_prompt", "history", "tools"),
        alpaca.read,
    ),
    _Keyed(
        "question-answer",
        (("question", "query"), ("answer", "response", "output")),
        ("system", "system_prompt"),
        question_answer.read,
    ),
)


def read_row(values: JsonObject) -> Found:
    """The turns of a row by the format whose keys it fills. RowError, without the row's place, names what is wrong."""
    for key in _LISTS:
        if _filled(values.get(key)):
            return _list_of_turns(values, key)
    for pair in _PREFERENCE:
        if all(_filled(values.get(key)) for key in pair):
            raise RowError(
                "a preference pair",
                f"{pair[0]} and {pair[1]} are a preference pair, which is no example to learn by heart. "
                "Write the prompt with the better answer as one conversation.",
            )
    names = [_names(format, values) for format in _KEYED]
    for filled in (True, False):  # one with empty columns, only where no other is whole: its error then names them
        for format, found in zip(_KEYED, names, strict=True):
            if all(name is not None and (not filled or _filled(values[name])) for name in found):
                draft = format.read(values, *found)
                return Found(format.name, draft, frozenset((*[name for name in found if name], *format.more)))
    raise _no_format(values, names)


def _list_of_turns(values: JsonObject, key: str) -> Found:
    turns = messages.list_of(values[key], key)
    if any("from" in turn and turn.get("from") is not None for turn in turns):
        return Found("sharegpt", sharegpt.read(values, turns), frozenset((key, "system", "tools")))
    openai = any(values.get(name) is not None for name in _OF_OPENAI) or any(
        turn.get(name) is not None for turn in turns for name in ("weight", "function_call")
    )
    used = frozenset((key, "system", "tools", *_OF_OPENAI))
    return Found("openai" if openai else "messages", messages.read(values, turns), used)


def _names(format: _Keyed, values: JsonObject) -> list[str | None]:
    """Under which name the row has each column of a format: a filled one before an empty one; None: it lacks it."""
    found: list[str | None] = []
    for aliases in format.columns:
        there = [name for name in aliases if values.get(name) is not None]
        found.append(next((name for name in there if _filled(values[name])), there[0] if there else None))
    return found


def _filled(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() != ""
    return value is not None and value != []


def _no_format(values: JsonObject, names: list[list[str | None]]) -> RowError:
    """What to say of a row that has the keys of no format: what the nearest lacks, where one is near."""
    for key in _LISTS:
        if values.get(key) is not None:
            return RowError(f"empty {key}", f"{key} is empty. Fill it in or remove the row.")
    has = ", ".join(name for name, value in values.items() if value is not None) or "nothing"
    for format, found in zip(_KEYED, names, strict=True):
        if found[0] is not None and found[1] is None:
            lacks = format.columns[1][0]
            return RowError(f"no {lacks}", f"{lacks!r} is missing, which {format.name} data must have. It has: {has}.")
    if values.get("text") is not None:
        return RowError(
            "text without turns",
            "'text' is running text, which does not say what is asked and what is answered. Give it as messages.",
        )
    known = "messages, conversations, prompt and completion, instruction and output, or question and answer"
    return RowError("no chat format", f"the keys are of no chat format: it must have {known}. It has: {has}.")
