"""Multiple-choice rows (MMLU and the like): the answer is the number or letter of a choice, the fact is its text.

Notable choices
- Whether numbers count from 0 or from 1 is told from the whole file: an answer 0 means from 0, an answer as large as
  the number of choices means from 1. Where neither occurs it must be said (`--choice-base`); it is never guessed.
- Choices are a list, an object with `text` and `label` (ARC), or columns named A, B, C, …
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recollect.core.tables import CellError, Row, RowError, cell_list, cell_text
from recollect.errors import InputError

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Choices:
    """The choices of a row, and the label of each where the data has labels."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChoiceColumns:
    """Where the choices of a table are and how their numbers count."""

    names: tuple[str, ...]
    """One column of lists, or the columns A, B, C, …"""
    base: int | None
    """What the first choice is called: 0, 1, or None where answers are no numbers."""

    def answer(self, values: Mapping[str, Any], answer: Any, where: str) -> str | None:
        """The text of the choice a row's answer stands for; None when the row has no choices.

        Raises RowError when the answer is none of the choices.
        """
        choices = _choices(values, self.names, where)
        if choices is None:
            return None
        text = _plain(answer, where)
        index = _index(choices, answer, text, self.base)
        if index is None:
            raise RowError(
                "answer is none of the choices",
                f"{where}: the answer {text!r} is none of the {len(choices.texts)} choices, by text, letter or number. "
                'Correct it, or read the answers as they stand: --columns "choices=".',
            )
        if not choices.texts[index]:
            raise RowError("the choice is empty", f"{where}: the choice {text!r} is empty. Fill it in.")
        return choices.texts[index]


def find_choices(
    rows: Sequence[Row], columns: Mapping[str, str], mapping: Mapping[str, str], base: int | None, path: str
) -> ChoiceColumns | None:
    """The choices of a table, or None when it has none. Raises InputError when it cannot be told how numbers count."""
    if mapping.get("choices") == "" or "object" not in columns:
        return None
    names = (columns["choices"],) if "choices" in columns else _letter_columns(rows)
    if not names:
        return None
    return ChoiceColumns(names, _base(rows, names, columns["object"], path) if base is None else base)


def _letter_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    present = {name for row in rows[:100] for name in row.values}
    names: list[str] = []
    for letter in LETTERS:
        if letter not in present:
            break
        names.append(letter)
    return tuple(names) if len(names) >= 2 else ()


def _base(rows: Sequence[Row], names: tuple[str, ...], column: str, path: str) -> int | None:
    """0, 1, or None when no answer is a number without being the text or label of a choice."""
    zero = last = numbers = both = 0
    for where, values in rows:
        try:
            choices, text = _choices(values, names, where), _plain(values.get(column), where)
        except RowError:
            continue  # reported when the row is read
        if choices is None or not text.isdecimal() or text in choices.labels:
            continue
        if isinstance(values.get(column), str) and text in choices.texts:
            both += int(text) <= len(choices.texts)
            continue
        numbers += 1
        zero += int(text) == 0
        last += int(text) == len(choices.texts)
    if zero and last:
        raise InputError(
            f"{path}: the answers in {column!r} count choices from 0 in {zero:,} rows and from 1 in {last:,} "
            '(0 and the number of choices both occur). Correct them, or --columns "choices=".'
        )
    if numbers and not zero and not last:
        raise InputError(
            f"{path}: the answers in {column!r} are numbers of choices, but whether they count from 0 or 1 cannot be "
            "told. Say --choice-base 0 or --choice-base 1."
        )
    if numbers and both:
        raise InputError(
            f"{path}: {both:,} answers in {column!r} may be the text of a choice or its number. Say --choice-base 0 or "
            '1 for numbers, or --columns "choices=" for texts.'
        )
    return 0 if zero else 1 if last else None


def _index(choices: Choices, answer: Any, text: str, base: int | None) -> int | None:
    """The place of the choice an answer stands for: by label, number, text, letter, in this order."""
    if text in choices.labels:
        return choices.labels.index(text)
    number = int(text) if text.isdecimal() and len(text) < 4 else None
    if base is not None and number is not None and 0 <= number - base < len(choices.texts):
        return number - base
    if text in choices.texts and not (number is not None and not isinstance(answer, str)):
        return choices.texts.index(text)
    letter = _LETTER.fullmatch(text)
    if letter and not choices.labels:
        index = ord(letter[1].upper()) - ord("A")
        return index if index < len(choices.texts) else None
    return None


def _choices(values: Mapping[str, Any], names: tuple[str, ...], where: str) -> Choices | None:
    if len(names) > 1:
        texts = tuple(_plain(values.get(name), where) for name in names)
        return Choices(texts) if any(texts) else None
    value = values.get(names[0])
    if value is None or value == "":
        return None
    labels: tuple[str, ...] = ()
    if isinstance(value, Mapping) and "text" in value:
        labels = tuple(_plain(label, where) for label in value.get("label") or ())
        value = value["text"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Choices(tuple(_plain(item, where) for item in value), labels)
    try:
        found = cell_list(value, numbers=True)
    except CellError as error:
        raise RowError(f"choices: {error.kind}", f"{where}: choices {error}.") from None
    if found is None:
        raise RowError(
            "choices are no list",
            f'{where}: choices must be a list, but are {str(value)[:60]!r}. Make them one, or --columns "choices=".',
        )
    return Choices(tuple(found), labels)


def _plain(value: Any, where: str) -> str:
    try:
        return cell_text(value)
    except CellError as error:
        raise RowError(f"choices: {error.kind}", f"{where}: a choice or its answer {error}.") from None
