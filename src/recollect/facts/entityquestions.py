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

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recollect.core.tables import BadRows, RowError, check_value, decode, digest, load_json, read_bytes
from recollect.errors import InputError
from recollect.facts.fact import Domain, Fact, Split
from recollect.facts.reading import Reading
from recollect.facts.relations import QA, SLOT, shipped_relations

MAX_MEMBER = 64 << 20  # bytes of one file of a folder or archive, unpacked
MAX_MEMBERS = 10_000
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
    with _open(path) as archive:
        root = _root(archive.names, path)
        templates = _templates(archive, root)
        reading = Reading(source="entityquestions", bad=bad or BadRows())
        for split, relation, domain in _files():
            name = f"{split}/{relation}.{split}.json"
            if root + name not in archive.names:
                reading.missing.append(name)
                continue
            forms = [parts for key, parts in templates.items() if key == relation or key.startswith(relation + "_")]
            rows = archive.load(root + name, name)
            for question, answers in _rows(rows, f"{path}: {root + name}", reading.bad):
                part = "train" if split == "train" else "test" if domain == "in-domain" else "ood"
                reading.row(part, question, answers)
                subject = _subject(question, forms)
                if len(answers) != 1:
                    reading.drop(NOT_ONE, part)
                elif subject is None:
                    reading.drop(NO_FIT, part)
                else:
                    forms_of = synonyms(answers[0])
                    reading.facts.append(Fact(relation, subject, answers[0], question, forms_of, domain, split))
        reading.fingerprint = digest(iter(archive.used))
    return reading


def is_entityquestions(path: Path) -> bool:
    """Whether a folder has the published layout."""
    try:
        with _open(path) as archive:
            return bool(_roots(archive.names))
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


def _templates(archive: _Archive, root: str) -> dict[str, tuple[str, str]]:
    """The text before and after [X], by template name. The file lies beside the splits or one folder up."""
    path, place = archive.path, root + TEMPLATES_FILE
    if place not in archive.names:
        place = "/".join([*root.split("/")[:-2], TEMPLATES_FILE])
    if place not in archive.names:
        raise InputError(f"{path} lacks {root}{TEMPLATES_FILE}, which tells the subject of each question. Add it.")
    found = archive.load(place, TEMPLATES_FILE)
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


@dataclass
class _Archive:
    """The files of a folder, three levels deep at most, or of a .zip that is read in place: nothing is extracted."""

    path: Path
    zipped: zipfile.ZipFile | None = None
    names: list[str] = field(default_factory=list)
    """Relative to the root, with "/" between the parts."""
    used: list[tuple[str, bytes]] = field(default_factory=list)
    """What was loaded, for the fingerprint."""

    def __post_init__(self) -> None:
        if self.zipped is None:
            found = (file for pattern in ("*", "*/*", "*/*/*") for file in self.path.glob(pattern) if file.is_file())
            self.names = sorted(file.relative_to(self.path).as_posix() for file in found)
            return
        members = self.zipped.infolist()
        if len(members) > MAX_MEMBERS:
            raise InputError(f"{self.path} holds {len(members):,} files; at most {MAX_MEMBERS:,} are read.")
        self.names = sorted(member.filename for member in members if not member.is_dir())

    def load(self, name: str, known_as: str) -> Any:
        """The value of a JSON file; it goes into the fingerprint as `known_as`."""
        data, where = self._read(name), f"{self.path}: {name}"
        self.used.append((known_as, data))
        try:
            value = load_json(decode(data, where), where)
        except InputError as error:
            raise InputError(f"{error} Download it again.") from None
        if fault := check_value(value)[1]:
            raise InputError(f"{where} holds {fault[1]}. Download it again.")
        return value

    def _read(self, name: str) -> bytes:
        """The bytes of a file; a zipped one's size is checked while it is unpacked."""
        if self.zipped is None:
            return read_bytes(self.path / name, MAX_MEMBER)
        try:
            with self.zipped.open(name) as member:
                data = member.read(MAX_MEMBER + 1)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as error:
            raise InputError(f"{self.path}: {name} cannot be unpacked: {error}. Download it again.") from None
        if len(data) > MAX_MEMBER:
            raise InputError(f"{self.path}: {name} unpacks to more than {MAX_MEMBER:,} bytes, so it is refused.")
        return data


@contextmanager
def _open(path: Path) -> Iterator[_Archive]:
    """A folder or a .zip; InputError when it is neither."""
    if path.is_dir():
        yield _Archive(path)
        return
    if not path.exists():
        raise InputError(f"no such file or folder: {path}. Check the path.")
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path} is not a readable .zip file ({error}). Download it again.") from None
    with file:
        yield _Archive(path, file)
