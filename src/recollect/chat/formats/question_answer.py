"""A question and its answer in two columns; a number is written out, as in every table of facts."""

from __future__ import annotations

from recollect.chat.conversation import Turn
from recollect.chat.formats.draft import Draft, system_turn
from recollect.core.json_object import JsonObject
from recollect.core.tables import CellError, RowError, cell_text


def read(values: JsonObject, question_key: str, answer_key: str) -> Draft:
    """The two turns of a row, after its system turn where it has one."""
    return Draft(
        [
            *system_turn(values.get("system") or values.get("system_prompt")),
            Turn("user", _cell(values, question_key)),
            Turn("assistant", _cell(values, answer_key)),
        ]
    )


def _cell(values: JsonObject, key: str) -> str:
    try:
        return cell_text(values[key])
    except CellError as error:
        raise RowError(f"{key} is {error.kind}", f"{key} {error}.") from None
