"""Which column of a table is what: by the user's mapping ("question=q,object=answer"), else by its usual name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def _lacking(path: str, role: str, present: Sequence[str]) -> str:
    hint = next((text for name, text in _NESTED.items() if name in present), f'Name it with --columns "{role}=...".')
    usual = ", ".join(USUAL[role])
    return f"{path} has no column for the {role} (usual names: {usual}). Its columns: {_list(present)}. {hint}"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:40]))
    return shown if len(names) <= 40 else f"{shown} and {len(names) - 40:,} more"
