"""A question and its answer in two columns; a number is written out, as in every table of facts.

What facts take for several forms of an answer, or for the number of a choice, is no answer to be learned as it stands.
"""

from __future__ import annotations

from recollect.chat.formats.draft import Draft, short, system_turn
from recollect.conversation import Turn
from recollect.core.json_object import JsonObject
from recollect.core.tables import CellError, RowError, cell_list, cell_text

_CHOICES = ("choices", "options")


def read(values: JsonObject, question_key: str, answer_key: str) -> Draft:
    """The two turns of a row, after its system turn where it has one."""
    for key in _CHOICES:
        if values.get(key):
            raise RowError(
                "choices beside the answer",
                f"{key} stands beside {answer_key}, which may be the number of a choice. Write the question with its "
                "choices, and the answer as it is to be said; or read the file as facts, which take the choice's text.",
            )
    return Draft(
        [
            *system_turn(values.get("system") or values.get("system_prompt")),
            Turn("user", _cell(values, question_key)),
            Turn("assistant", _cell(values, answer_key)),
        ]
    )


def _cell(values: JsonObject, key: str) -> str:
    try:
        if cell_list(values[key]) is not None:
            raise RowError(
                f"{key} is a list",
                f"{key} is a list ({short(values[key])}); which of it is to be said? Write one text, or read the file "
                "as facts, which take a list for forms of one answer.",
            )
        return cell_text(values[key])
    except CellError as error:
        raise RowError(f"{key} is {error.kind}", f"{key} {error}.") from None
