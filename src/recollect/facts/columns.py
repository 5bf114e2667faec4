"""Which column of a table is what: by the user's mapping ("question=q,object=answer"), else by its usual name.

Multiple-choice rows (MMLU and the like): the answer is the number or letter of a choice, the fact is its text. Choices
are a list, an object with `text` and `label` (ARC), or columns named A, B, C, … Whether numbers count from 0 or from 1
is told from the whole file: an answer 0 means from 0, an answer as large as the number of choices means from 1. Where
neither occurs it must be said (`--choice-base`); it is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recollect.core.tables import CellError, Row, RowError, cell_list, cell_text
from recollect.errors import InputError

USUAL = {
    "question": ("question", "query", "prompt", "q"),
    "object": (
        *("object", "answer", "target", "obj", "obj_label", "attribute", "completion", "output"),
        *("answerkey", "correct_answer"),
    ),
    "answers": ("answers", "possible_answers", "gold_answers"),
    "choices": ("choices", "options"),
    "subject": ("subject", "subj", "sub_label"),
    "relation": ("relation", "predicate", "property", "prop", "relation_id", "predicate_id"),
    "synonyms": ("synonyms", "aliases", "object_aliases", "obj_aliases", "o_aliases"),
    "split": ("split", "part"),
    "domain": ("domain",),
    "fact_id": ("fact_id",),
}
_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
LETTERS = "ABCDEFGHIJ"
_NESTED = {
    "requested_rewrite": "CounterFact as published is nested: take subject, relation_id, prompt and target_true.str "
    "out of requested_rewrite, one column each.",
    "paragraphs": "SQuAD as published is nested: write one row per question, with the columns question and answers.",
    "mc1_targets": "TruthfulQA's mc1_targets and mc2_targets are nested: write the columns question and answers.",
}


def parse_columns(text: str) -> dict[str, str]:
    """The mapping written as "question=q,object=answer"; an empty name after "=" means: no such column."""
    columns = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        role, equals, name = (part.strip() for part in item.partition("="))
        if not equals or role not in USUAL:
            raise InputError(
                f'columns must be like "question=q,object=answer" with the names {", ".join(USUAL)}, but got {item!r}.'
            )
        columns[role] = name
    return columns


def find_columns(
    present: Sequence[str], mapping: Mapping[str, str], path: str, *, relation_said: bool = False
) -> dict[str, str]:
    """The column of each role: the user's, else the first usual name present, whatever its case.

    `relation_said`: the relation of all rows is known from elsewhere. Raises InputError when there is no answer, or
    neither a question nor a relation with its subject.
    """
    by_lower = {name.lower(): name for name in reversed(present)}
    found = {}
    for role, names in USUAL.items():
        if role in mapping:
            if mapping[role] and mapping[role] not in present:
                raise InputError(f"{path} has no column {mapping[role]!r} (for {role}). Its columns: {_list(present)}.")
            if mapping[role]:
                found[role] = mapping[role]
            continue
        taken = {name for other, name in mapping.items() if other != role}
        usual = (by_lower[name] for name in names if name in by_lower)
        column = next((name for name in usual if name not in taken), None)
        if column is not None:
            found[role] = column
    _check(found, present, path, relation_said)
    return found


def _check(found: Mapping[str, str], present: Sequence[str], path: str, relation_said: bool) -> None:
    if "object" not in found and "answers" not in found:
        raise InputError(_lacking(path, "object", present))
    related = "relation" in found or relation_said
    if related and "subject" not in found:
        which = f"a relation column ({found['relation']!r})" if "relation" in found else "a relation"
        raise InputError(
            f"{path} has {which} but no subject column. Its columns: {_list(present)}. "
            'Name the subject with --columns "subject=...", or read without relations: --columns "relation=".'
        )
    if "question" in found or related:
        return
    if "subject" in found:
        raise InputError(
            f"{path} has subjects ({found['subject']!r}) and answers, but neither a question nor a relation. Its "
            f"columns: {_list(present)}. Say the relation of all its rows with --relation-name P36 (or "
            '--relation-name file: each file is named by its relation), or name a column: --columns "relation=..." or '
            '"question=...".'
        )
    raise InputError(_lacking(path, "question", present))


def _named(path: str, role: str) -> str:
    return (
        f'Name it with --columns "{role}=..." of `recollect facts --path {path}`, whose --out every command takes as '
        "its data."
    )


def _lacking(path: str, role: str, present: Sequence[str]) -> str:
    hint = next((text for name, text in _NESTED.items() if name in present), _named(path, role))
    usual = ", ".join(USUAL[role])
    return f"{path} has no column for the {role} (usual names: {usual}). Its columns: {_list(present)}. {hint}"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:40]))
    return shown if len(names) <= 40 else f"{shown} and {len(names) - 40:,} more"


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

    def answer(self, row: Row, answer: Any, where: str) -> str | None:
        """The text of the choice a row's answer stands for; None when the row has no choices.

        Raises RowError when the answer is none of the choices.
        """
        choices = _choices(row, self.names, where)
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

    def texts(self, row: Row, where: str) -> tuple[str, ...]:
        """The texts of a row's choices; () when the row has none. Raises RowError for cells that are no choices."""
        choices = _choices(row, self.names, where)
        return () if choices is None else choices.texts


def with_choices(question: str, choices: Sequence[str]) -> str:
    """The question with its choices below, one a line: "A. red". More than there are letters for are left out."""
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False)]
    return "\n".join([question, *lines])


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
    for row in rows:
        where, values = row
        try:
            choices, text = _choices(row, names, where), _plain(values.get(column), where)
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


def _choices(row: Row, names: tuple[str, ...], where: str) -> Choices | None:
    values = row.values
    if len(names) > 1:
        texts = tuple(_plain(values.get(name), where) for name in names)
        return Choices(texts) if any(texts) else None
    value = values.get(names[0])
    if value is None or value == "":
        return None
    labels: tuple[str, ...] = ()
    if isinstance(value, Mapping) and "text" in value:
        named = value.get("label") or ()
        if not isinstance(named, Sequence):
            raise RowError(
                "labels are no list", f"{where}: the labels of choices must be a list, but are {str(named)[:60]!r}."
            )
        labels = tuple(_plain(label, where) for label in named)
        value = value["text"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Choices(tuple(_plain(item, where) for item in value), labels[: len(value)])
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
