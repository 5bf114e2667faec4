"""Reader of EntityQuestions in its published layout, from a folder or a .zip (docs/studies.md §1; MIT licence).

    {train,dev,test}/Pxxx.{split}.json    a list of {"question": text, "answers": [text, ...]}
    relation_query_templates.json         {"Pxxx": "Which country is [X] located in?", "Pxxx_similar": ...}

Notable choices
- Train is read for the in-domain relations, test for all; dev, and out-of-domain train, are unused, as in the
  studies.
- Relations come in the order of their numbers. The totals are the same in any order; which of P131 and P276,
  that share a question form, keeps a repeated question is not: P131 comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recollect.core.tables import BadRows, RowError, check_value, decode, digest, load_json
from recollect.errors import InputError
from recollect.facts.fact import Domain, Fact, Split
from recollect.facts.files import Archive, open_archive
from recollect.facts.reading import Reading
from recollect.facts.relations import QA, SLOT, shipped_relations

TEMPLATES_FILE = "relation_query_templates.json"
NOT_ONE = "not exactly one answer"
NO_FIT = "question fits no template"
LAYOUT = f"{{train,test}}/Pxxx.{{train,test}}.json and {TEMPLATES_FILE}"


def read_entityquestions(path: Path, synonyms: Callable[[str], tuple[str, ...]], bad: BadRows | None = None) -> Reading:
    """All rows with exactly one answer. `synonyms` gives the other accepted forms of an object; `bad` takes bad rows.

    Rows with no or several answers, and questions that fit no template of their relation, are counted as
    dropped.
    Raises InputError for a source that is absent, unreadable or not laid out as published.
    """
    with open_archive(path) as archive:
        names = archive.names()
        root = _root(names, path)
        used: list[tuple[str, bytes]] = []

        def load(name: str) -> Any:
            data = archive.read(root + name)
            used.append((name, data))
            return _json(data, f"{path}: {root + name}")

        templates = _templates(load, archive, names, root, path, used)
        reading = Reading(source="entityquestions", bad=bad or BadRows())
        for split, relation, domain in _files():
            name = f"{split}/{relation}.{split}.json"
            if root + name not in names:
                reading.missing.append(name)
                continue
            where = f"{path}: {root + name}"
            forms = [parts for key, parts in templates.items() if key == relation or key.startswith(relation + "_")]
            for question, answers in _rows(load(name), where, reading.bad):
                part = "train" if split == "train" else "test" if domain == "in-domain" else "ood"
                reading.row(part, question, answers)
                if len(answers) != 1:
                    reading.drop(NOT_ONE, part)
                    continue
                subject = _subject(question, forms)
                if subject is None:
                    reading.drop(NO_FIT, part)
                    continue
                reading.facts.append(Fact(relation, subject, answers[0], question, synonyms(answers[0]), domain, split))
        reading.fingerprint = digest(iter(used))
    return reading


def is_entityquestions(path: Path) -> bool:
    """Whether a folder has the published layout."""
    try:
        with open_archive(path) as archive:
            return bool(_roots(archive.names()))
    except InputError:
        return False


def _files() -> Iterator[tuple[Split, str, Domain]]:
    relations = [relation for relation in shipped_relations().values() if relation.id != QA]
    relations.sort(key=lambda relation: int(relation.id[1:]))
    for relation in relations:
        if relation.domain == "in-domain":
            yield "train", relation.id, relation.domain
    for relation in relations:
        yield "test", relation.id, relation.domain


def _roots(names: list[str]) -> list[str]:
    """What may stand before "train/..." or "test/...", shortest first; only the 24 relations' files count."""
    roots = set()
    for split, relation, _ in _files():
        tail = f"{split}/{relation}.{split}.json"
        roots |= {name[: -len(tail)] for name in names if name == tail or name.endswith("/" + tail)}
    return sorted(roots, key=lambda root: (len(root), root))


def _root(names: list[str], path: Path) -> str:
    roots = _roots(names)
    if not roots:
        raise InputError(f"{path} does not have the layout of EntityQuestions: {LAYOUT}. Check --path or --source.")
    return roots[0]


def _templates(
    load: Callable[[str], Any],
    archive: Archive,
    names: list[str],
    root: str,
    path: Path,
    used: list[tuple[str, bytes]],
) -> dict[str, tuple[str, str]]:
    """The text before and after [X], by template name. The file lies beside the splits or one folder up."""
    if root + TEMPLATES_FILE in names:
        found = load(TEMPLATES_FILE)
    else:
        above = "/".join([*root.split("/")[:-2], TEMPLATES_FILE])
        if above not in names:
            raise InputError(f"{path} lacks {root}{TEMPLATES_FILE}, which tells the subject of each question. Add it.")
        data = archive.read(above)
        used.append((TEMPLATES_FILE, data))
        found = _json(data, f"{path}: {above}")
    if not isinstance(found, dict):
        raise InputError(f"{path}: {TEMPLATES_FILE} must map relations to templates, but holds {type(found).__name__}.")
    templates = {}
    for key, template in found.items():
        if not isinstance(template, str) or template.count(SLOT) != 1:
            raise InputError(f"{path}: {TEMPLATES_FILE}: {key} must contain {SLOT} exactly once, but is {template!r}.")
        before, after = template.split(SLOT)
        templates[key] = (before, after)
    return templates


def _subject(question: str, forms: list[tuple[str, str]]) -> str | None:
    for before, after in forms:
        if question.startswith(before) and question.endswith(after):
            subject = question[len(before) : len(question) - len(after)]
            if subject.strip():
                return subject
    return None


def _rows(items: Any, where: str, bad: BadRows) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(items, list):
        raise InputError(f"{where} must hold a list, but holds {type(items).__name__}.")
    for number, item in enumerate(items, start=1):
        try:
            yield _row(item, f"{where}: item {number}")
        except RowError as error:
            bad.add(f"{where.rsplit('/', 1)[-1]}: item {number}", error)


def _row(item: Any, where: str) -> tuple[str, list[str]]:
    if not isinstance(item, dict):
        raise RowError("not an object", f"{where} must be an object, but is {item!r}.")
    question, answers = item.get("question"), item.get("answers")
    if not isinstance(question, str) or not question.strip():
        raise RowError("no question", f"{where} must have a text as question, but has {question!r}.")
    if not isinstance(answers, list) or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise RowError("no list of answers", f"{where} must have a list of texts as answers, but has {answers!r}.")
    return question, answers


def _json(data: bytes, where: str) -> Any:
    try:
        value = load_json(decode(data, where), where)
    except InputError as error:
        raise InputError(f"{error} Download it again.") from None
    if fault := check_value(value)[1]:
        raise InputError(f"{where} holds {fault[1]}. Download it again.")
    return value
