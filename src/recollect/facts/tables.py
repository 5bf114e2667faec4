"""Facts from rows with named columns.

Notable choices
- Every cell goes through `recollect.core.tables`: what is no text is understood or refused by name.
- `answers`, `synonyms`: a list, or a text with "|" between the forms; the first answer is the object.
- Without a relation a fact is a "qa" one: subject is the question, and the templates wrap it.
- A question that still holds a slot ([X], [Y], [MASK]) is a template, not a question, and refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from recollect.core.tables import BadRows, CellError, Row, RowError, cell_list, cell_text, float_column
from recollect.errors import InputError
from recollect.facts.columns import ChoiceColumns, find_choices, find_columns, with_choices
from recollect.facts.fact import Domain, Fact, Split
from recollect.facts.reading import Reading
from recollect.facts.relations import QA, SLOT, shipped_relations

Synonyms = Callable[[str], tuple[str, ...]]
_SPLITS: dict[str, Split] = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "ood": "test",
}  # fmt: skip
_UNUSED_SPLITS = ("dev", "validation", "valid", "val")
UNUSED_SPLIT = "split not used (validation)"
_SLOTS = re.compile(r"\[[XY]\]|\[MASK\]|<mask>|<extra_id_0>")


@dataclass(frozen=True)
class TableOptions:
    """How a table is read."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """The user's mapping, by role; other columns are found by their usual names."""
    relation: str = ""
    """The relation of every row, for a table without a relation column."""
    choice_base: int | None = None
    """What the number of the first choice is; None: told from the answers."""
    show_choices: bool = False
    """Choices are put below the question, lettered."""
    plain: bool = False
    """Answers are taken as they stand: a text that looks like a list is that text (chat data)."""
    floats: bool = False
    """Every cell is a text (CSV), so that a column of floats must be told from its texts."""


def read_facts_table(
    rows: Sequence[Row],
    path: str,
    synonyms: Synonyms,
    options: TableOptions = TableOptions(),
    bad: BadRows | None = None,
) -> Reading:
    """The facts of the rows. `synonyms` gives more forms of an object.

    A row with an empty or unusable value goes to `bad`, which raises RowError with the row's place or counts it.
    """
    bad = bad or BadRows()
    reading = Reading(source="table", bad=bad)
    found = _found(rows, options, path)
    choices = None if options.plain else find_choices(rows, found, options.columns, options.choice_base, path)
    reader = _RowReader(found, choices, options, synonyms, path)
    if options.floats and "object" in found:
        reader.whole_floats = float_column([str(row.values.get(found["object"]) or "").strip() for row in rows])
    reading.split_given, reading.own_ids, reading.columns = "split" in found, "fact_id" in found, found
    for row in rows:
        try:
            reader.read(row, reading)
        except RowError as error:
            bad.add(row.where, error)
    reading.notes += reader.notes()
    return reading


def _found(rows: Sequence[Row], options: TableOptions, path: str) -> dict[str, str]:
    """The column of each role: of those that some row fills where that suffices, else of all."""
    present = list(dict.fromkeys(name for row in rows for name in row.values))
    filled = {name for row in rows for name, value in row.values.items() if value is not None}
    said = bool(options.relation)
    try:
        used = [name for name in present if name in filled]
        return find_columns(used, options.columns, path, relation_said=said)
    except InputError:
        return find_columns(present, options.columns, path, relation_said=said)


class _Cells:
    """The cells of one row by their role; every text goes through the one rule of what a cell is."""

    def __init__(self, row: Row, columns: Mapping[str, str], path: str) -> None:
        self.row, self.where = row, f"{path}: {row.where}"
        self._values = {role: row.values.get(name) for role, name in columns.items()}

    def __contains__(self, role: str) -> bool:
        return role in self._values

    def value(self, role: str) -> Any:
        """The cell as it is; None for an empty or absent one."""
        return self._values.get(role)

    def plain(self, role: str) -> str:
        """The cell as a text."""
        try:
            return cell_text(self._values[role])
        except CellError as error:
            raise self.refused(error, role) from None

    def text(self, role: str) -> str:
        """The cell as a text that is not empty, and no list where one text is needed."""
        text = self.plain(role)
        if not text:
            raise self.empty(role)
        if text[0] in "[{(" and role in ("question", "subject"):
            try:
                listed = cell_list(text)
            except CellError:
                listed = None
            if listed is not None:
                what = f"{self.where}: {role} must be a text, but is a list: {text[:60]!r}."
                raise RowError(f"{role} is a list", what)
        return text

    def question(self) -> str:
        """The question, without an open slot."""
        question = self.text("question")
        if slot := _SLOTS.search(question):
            raise RowError(
                "question with an open slot",
                f"{self.where}: the question holds the slot {slot[0]}: {question[:80]!r}. Fill in the subject and "
                "leave the answer out, or give templates with --template-file when you probe.",
            )
        return question

    def split_and_domain(self) -> tuple[Split | None, Domain | None]:
        """Split (None: absent, or validation) and domain (None: by the relation)."""
        domain: Domain | None = None
        if "domain" in self:
            text = self.text("domain")
            if text not in get_args(Domain):
                raise RowError(
                    "unknown domain", f"{self.where}: domain must be in-domain or out-of-domain, but got {text!r}."
                )
            domain = "in-domain" if text == "in-domain" else "out-of-domain"
        if "split" not in self:
            return None, domain
        text = self.text("split").lower()
        if text in _UNUSED_SPLITS:
            return None, domain
        if text not in _SPLITS:
            raise RowError(
                "unknown split", f"{self.where}: split must be train, test, ood or validation, but got {text!r}."
            )
        return _SPLITS[text], "out-of-domain" if text == "ood" else domain

    def empty(self, what: str) -> RowError:
        """The refusal of a row that lacks something."""
        return RowError(f"empty {what}", f"{self.where} has an empty {what}. Fill it in or remove the row.")

    def refused(self, error: CellError, role: str) -> RowError:
        """The refusal of a row for one of its cells."""
        if error.kind == "an object without text or value":
            return RowError(
                "empty answer", f"{self.where} has an empty answer: {role} {error}. Fill it in or remove the row."
            )
        return RowError(f"{role} is {error.kind}", f"{self.where}: {role} {error}.")


@dataclass
class _RowReader:
    """One row to one fact."""

    columns: Mapping[str, str]
    choices: ChoiceColumns | None
    options: TableOptions
    synonyms: Synonyms
    path: str
    whole_floats: bool = False
    written_lists: int = 0
    from_choices: int = 0

    def read(self, row: Row, reading: Reading) -> None:
        cells = _Cells(row, self.columns, self.path)
        split, domain = cells.split_and_domain()
        forms = self._answers(cells)
        relation, subject, question = self._asked(cells)
        if domain is None:
            known = shipped_relations().get(relation)
            domain = known.domain if known else "in-domain"
        fact_id = cells.text("fact_id") if "fact_id" in cells else ""
        choices = self.choices.texts(cells.row, cells.where) if self.choices is not None else ()
        if self.options.show_choices:
            question = with_choices(question, choices)
        accepted = tuple(form for form in dict.fromkeys((*forms[1:], *self.synonyms(forms[0]))) if form != forms[0])
        if split is None and reading.split_given:
            fact = Fact(relation, subject, forms[0], question, accepted, "in-domain", "test", fact_id, choices)
            reading.validation.append(fact)
            reading.row("validation", question, forms)
            reading.drop(UNUSED_SPLIT, "validation")
            return
        fact = Fact(relation, subject, forms[0], question, accepted, domain, split or "train", fact_id, choices)
        reading.row(reading.part(fact), question, forms)
        reading.facts.append(fact)

    def _asked(self, cells: _Cells) -> tuple[str, str, str]:
        """Relation, subject and question of a row."""
        if "relation" not in cells and not self.options.relation:
            question = cells.question()
            return QA, question, question
        relation = cells.text("relation") if "relation" in cells else self.options.relation
        subject = cells.text("subject")
        if "question" in cells:
            return relation, subject, cells.question()
        if relation not in shipped_relations():
            raise RowError(
                "no question, and a relation that is not one of ours",
                f"{cells.where}: there is no question column, and relation {relation!r} is not one of ours, which "
                'would give the question. Add a question column (--columns "question=...").',
            )
        return relation, subject, shipped_relations()[relation].question.replace(SLOT, subject)

    def _answers(self, cells: _Cells) -> list[str]:
        """Object first, then the other forms of the row."""
        forms: list[str] = []
        if "object" in cells:
            forms += self._object(cells)
        if "answers" in cells:
            forms += self._forms(cells, "answers")
        if not forms:
            raise cells.empty("answer")
        if cells.value("synonyms") is not None:
            forms += self._forms(cells, "synonyms")
        return list(dict.fromkeys(forms))

    def _object(self, cells: _Cells) -> list[str]:
        if self.choices is not None:
            text = self.choices.answer(cells.row, cells.value("object"), cells.where)
            if text is not None:
                self.from_choices += 1
                return [text]
        forms = None if self.options.plain else self._list(cells, "object", numbers=False)
        if forms is None:
            text = cells.plain("object")
            forms = [text.removesuffix(".0") if self.whole_floats else text]
        if not any(forms) and "answers" not in self.columns:
            raise cells.empty("answer")
        return [form for form in forms if form]

    def _forms(self, cells: _Cells, role: str) -> list[str]:
        """A list, a text that is written as one, or a text with "|" between the forms."""
        forms = self._list(cells, role, numbers=True)
        if forms is None:
            forms = [part.strip() for part in cells.plain(role).split("|")]
        return [form for form in forms if form]

    def _list(self, cells: _Cells, role: str, *, numbers: bool) -> list[str] | None:
        try:
            forms = cell_list(cells.value(role), numbers=numbers)
        except CellError as error:
            raise cells.refused(error, role) from None
        self.written_lists += forms is not None and isinstance(cells.value(role), str)
        return forms

    def notes(self) -> list[str]:
        """What was read otherwise than it is written."""
        found = []
        if self.from_choices:
            base = None if self.choices is None else self.choices.base
            counted = "" if base is None else f", numbers counted from {base}"
            found.append(f"Answers taken as the text of the choice they name{counted}: {self.from_choices:,}.")
        if self.written_lists:
            found.append(f"Lists written as text, each item an accepted form: {self.written_lists:,} cells.")
        if self.whole_floats:
            found.append("The answers are floats; whole ones are read without .0 (1969.0 as 1969).")
        return found
