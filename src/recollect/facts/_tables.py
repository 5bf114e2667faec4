"""Facts from rows with named columns.

Notable choices
- A column is found by the user's mapping ("question=q,object=answer"), else by its usual names.
- `answers`, `synonyms`: a list, or a text with "|" between the forms (or a JSON list); the first answer
  is the object.
- Without a relation column a fact is a "qa" one: subject is the question, and the templates wrap it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from recollect.errors import InputError
from recollect.facts._fact import Domain, Fact, Split
from recollect.facts._reading import UNSPLIT, Reading
from recollect.facts._relations import QA, SLOT, shipped_relations
from recollect.facts._rows import Row

USUAL = {
    "question": ("question", "query", "prompt", "q"),
    "object": ("object", "answer", "target", "obj", "attribute", "completion", "output"),
    "answers": ("answers", "possible_answers", "gold_answers"),
    "subject": ("subject", "subj"),
    "relation": ("relation", "predicate", "property", "prop", "relation_id"),
    "synonyms": ("synonyms", "aliases", "object_aliases"),
    "split": ("split", "part"),
    "domain": ("domain",),
    "fact_id": ("fact_id",),
}
_SPLITS: dict[str, Split] = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "ood": "test",
}  # fmt: skip
_UNUSED_SPLITS = ("dev", "validation", "valid", "val")
UNUSED_SPLIT = "split not used (validation)"


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


def find_columns(present: Sequence[str], mapping: Mapping[str, str], path: str) -> dict[str, str]:
    """The column of each role: the user's, else the first usual name present, whatever its case."""
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
    if "object" not in found and "answers" not in found:
        raise InputError(_lacking(path, "object", present))
    if "relation" in found and "subject" not in found:
        raise InputError(
            f"{path} has a relation column ({found['relation']!r}) but no subject column. "
            f"Its columns: {_list(present)}. "
            'Name the subject with --columns "subject=...", or read without relations: --columns "relation=".'
        )
    if "question" not in found and "relation" not in found:
        raise InputError(_lacking(path, "question", present))
    return found


def read_table(
    rows: Sequence[Row], columns: Mapping[str, str], path: str, synonyms: Callable[[str], tuple[str, ...]]
) -> Reading:
    """The facts of the rows. `columns` is the user's mapping; `synonyms` gives more forms of an object.

    Raises InputError with the row's place for an empty or unusable value.
    """
    found = find_columns(list(dict.fromkeys(name for row in rows for name in row.values)), columns, path)
    reading = Reading(source="table", split_given="split" in found)
    for row in rows:
        where = f"{path}: {row.where}"
        cells = {role: row.values.get(name) for role, name in found.items()}
        split, domain = _split_and_domain(cells, where)
        forms = _answers(cells, where)
        relation, subject, question = _asked(cells, where)
        if domain is None:
            known = shipped_relations().get(relation)
            domain = known.domain if known else "in-domain"
        if split is None and reading.split_given:
            reading.row("validation", question, forms)
            reading.drop(UNUSED_SPLIT, "validation")
            continue
        accepted = tuple(form for form in dict.fromkeys((*forms[1:], *synonyms(forms[0]))) if form != forms[0])
        fact_id = _text(cells, "fact_id", where) if "fact_id" in cells else ""
        fact = Fact(relation, subject, forms[0], question, accepted, domain, split or "train", fact_id)
        reading.row(reading.part(fact) if reading.split_given else UNSPLIT, question, forms)
        reading.facts.append(fact)
    return reading


def _split_and_domain(cells: Mapping[str, Any], where: str) -> tuple[Split | None, Domain | None]:
    """Split (None: absent, or validation) and domain (None: by the relation) of a row."""
    domain: Domain | None = None
    if "domain" in cells:
        text = _text(cells, "domain", where)
        if text not in get_args(Domain):
            raise InputError(f"{where}: domain must be in-domain or out-of-domain, but got {text!r}.")
        domain = "in-domain" if text == "in-domain" else "out-of-domain"
    if "split" not in cells:
        return None, domain
    text = _text(cells, "split", where).lower()
    if text in _UNUSED_SPLITS:
        return None, domain
    if text not in _SPLITS:
        raise InputError(f"{where}: split must be train, test, ood or validation, but got {text!r}.")
    return _SPLITS[text], "out-of-domain" if text == "ood" else domain


def _asked(cells: Mapping[str, Any], where: str) -> tuple[str, str, str]:
    """Relation, subject and question of a row."""
    if "relation" not in cells:
        question = _text(cells, "question", where)
        return QA, question, question
    relation = _text(cells, "relation", where)
    subject = _text(cells, "subject", where)
    if "question" in cells:
        return relation, subject, _text(cells, "question", where)
    if relation not in shipped_relations():
        raise InputError(
            f"{where}: there is no question column, and relation {relation!r} is not one of ours, which "
            'would give the question. Add a question column (--columns "question=...").'
        )
    return relation, subject, shipped_relations()[relation].question.replace(SLOT, subject)


def _answers(cells: Mapping[str, Any], where: str) -> list[str]:
    """Object first, then the other forms of the row."""
    forms: list[str] = []
    if "object" in cells:
        value = cells["object"]
        forms += _forms(value, where, "object") if isinstance(value, list | dict) else [_text(cells, "object", where)]
    if "answers" in cells:
        forms += _forms(cells["answers"], where, "answers")
    if not forms:
        raise InputError(f"{where} has an empty answer. Fill it in or remove the row.")
    if cells.get("synonyms") is not None:
        forms += _forms(cells["synonyms"], where, "synonyms")
    return list(dict.fromkeys(forms))


def _forms(value: Any, where: str, role: str) -> list[str]:
    """A list, a text with "|", a JSON list, or an object as in SQuAD ("text") and TriviaQA ("value")."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            value = value.split("|")
    elif isinstance(value, str):
        value = value.split("|")
    elif isinstance(value, dict):
        value = value["text"] if "text" in value else [value.get("value"), *(value.get("aliases") or [])]
    if value is None:
        value = []
    if not isinstance(value, list):
        value = [value]
    return [text for item in value if (text := _plain(item, where, role))]


def _text(cells: Mapping[str, Any], role: str, where: str) -> str:
    text = _plain(cells[role], where, role)
    if not text:
        what = "answer" if role == "object" else role
        raise InputError(f"{where} has an empty {what}. Fill it in or remove the row.")
    return text


def _plain(value: Any, where: str, role: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{where}: {role} must be a text, but is {value!r}.")
    return str(value).strip()


def _lacking(path: str, role: str, present: Sequence[str]) -> str:
    usual = ", ".join(USUAL[role])
    return (
        f"{path} has no column for the {role} (usual names: {usual}). Its columns: {_list(present)}. "
        f'Name it with --columns "{role}=...".'
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
