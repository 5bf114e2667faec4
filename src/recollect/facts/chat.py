"""Chat and instruction data: four usual shapes turned into question and answer.

| shape             | keys                                         | question and answer                 |
|-------------------|----------------------------------------------|-------------------------------------|
| prompt-completion | prompt, completion (texts, or message lists) | prompt; completion                  |
| messages          | messages: [{role, content}]                  | last user turn; last assistant turn |
| alpaca            | instruction, input, output                   | instruction and input; output       |
| sharegpt          | conversations: [{from, value}]               | as messages                         |

System turns, and the turns before the last question, are left out. Content with images or sound is refused: without
them a question is another one. What a training on whole conversations reads is in `chat`.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from recollect.core.numbers import many
from recollect.core.tables import BadRows, Row, RowError

Shape = Literal["prompt-completion", "messages", "alpaca", "sharegpt"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
_KEYS: dict[Shape, tuple[str, ...]] = {
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "prompt-completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
}
NO_TEXT = "content that is no text"
"""Why a row with an image in its content is refused."""
EARLIER = "earlier turns"
"""In the note on rows of which only the last question and its answer are taken."""
_TEXT_PARTS = ("text", "input_text", "output_text")
_USER = ("user", "human")
_ASSISTANT = ("assistant", "gpt", "model", "chatgpt", "bot")


def shape_of(row: Row) -> Shape | None:
    """The shape whose keys a row has and fills, or None: a row of a union of shapes has the keys of all."""
    return next((shape for shape, keys in _KEYS.items() if all(row.values.get(key) is not None for key in keys)), None)


def chat_rows(rows: list[Row], shape: Shape, path: str, bad: BadRows) -> list[Row]:
    """The rows with the columns `question` and `object`; other columns (split, relation, ...) are passed on.

    A row that lacks the shape's keys, a user turn or an assistant turn after it goes to `bad`.
    """
    out = []
    for row in rows:
        try:
            out.append(_chat_row(row, shape, path))
        except RowError as error:
            bad.add(row.where, error)
    return out


def left_out(rows: list[Row]) -> str:
    """What of the rows no question will hold, in words: system turns and earlier turns; "" where there are none."""
    roles = [_roles(row) for row in rows]
    counts = {
        "a system turn": sum(bool({"system", "developer"} & set(names)) for names in roles),
        EARLIER: sum(sum(name in _USER for name in names) > 1 for names in roles),
    }
    told = [f"{many(count, 'row')} {'has' if count == 1 else 'have'} {name}" for name, count in counts.items() if count]
    asked = "its question is" if sum(counts.values()) == 1 else "their questions are"
    return f"{' and '.join(told)}, without which {asked} asked." if told else ""


def _roles(row: Row) -> list[str]:
    """Who speaks in a row's turns, as far as they can be read."""
    turns = row.values.get("messages") or row.values.get("conversations") or row.values.get("prompt")
    found = (
        [turn.get("role", turn.get("from")) for turn in turns if isinstance(turn, dict)]
        if isinstance(turns, list)
        else []
    )
    return [name for name in found if isinstance(name, str)]


def _chat_row(row: Row, shape: Shape, path: str) -> Row:
    where, values = row
    place = f"{path}: {where}"
    missing = [key for key in _KEYS[shape] if values.get(key) is None]
    if missing:
        filled = ", ".join(key for key, value in values.items() if value is not None)
        raise RowError(
            f"no {missing[0]}", f"{place} lacks {missing[0]!r}, which {shape} data must have. It has: {filled}."
        )
    question, answer = _pair(row, shape, place)
    used = {key for keys in _KEYS.values() for key in keys} | {"input"}
    rest = {key: value for key, value in values.items() if key not in used}
    return Row(where, {**rest, "question": question, "object": answer})


def _pair(row: Row, shape: Shape, where: str) -> tuple[str, str]:
    """The question and the answer of a row that has the keys of `shape`."""
    values = row.values
    if shape == "messages":
        return _last_pair(values["messages"], "role", "content", where)
    if shape == "sharegpt":
        return _last_pair(values["conversations"], "from", "value", where)
    if shape == "alpaca":
        texts = [_text(values[key], where) for key in ("instruction", "input") if values.get(key)]
        return "\n".join(text for text in texts if text.strip()), _text(values["output"], where)
    prompt, completion = values["prompt"], values["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        return prompt, completion
    if not isinstance(prompt, list) or not isinstance(completion, list):
        raise RowError(
            "prompt and completion unlike",
            f"{where}: prompt and completion must both be texts, or both lists of messages.",
        )
    return _last_pair([*prompt, *completion], "role", "content", where)


def _last_pair(turns: Any, role: str, content: str, where: str) -> tuple[str, str]:
    if not isinstance(turns, list) or not all(isinstance(turn, dict) and role in turn for turn in turns):
        raise RowError("turns unlike", f"{where}: the turns must be a list of objects with {role!r} and {content!r}.")
    answers = [index for index, turn in enumerate(turns) if turn[role] in _ASSISTANT]
    if not answers:
        raise RowError("no assistant turn", f"{where} has no assistant turn. Remove the row or add the answer.")
    questions = [turn for turn in turns[: answers[-1]] if turn[role] in _USER]
    if not questions:
        raise RowError(
            "no user turn",
            f"{where} has no user turn before its last assistant turn. Remove the row or add the question.",
        )
    return _text(questions[-1].get(content), where), _text(turns[answers[-1]].get(content), where)


def _text(content: Any, where: str) -> str:
    """A text, or the texts of a list of content parts."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        other = next((kind for part in parts if (kind := part.get("type") or "text") not in _TEXT_PARTS), None)
        if other is not None:
            raise RowError(NO_TEXT, f"{where}: a turn holds a part of type {str(other)[:60]!r}, which is no text.")
        texts = [part.get("text") for part in parts]
        content = "\n".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, str):
        raise RowError("a turn without a text", f"{where}: a turn must hold a text, but holds {str(content)[:60]!r}.")
    return content
