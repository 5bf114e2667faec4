"""Relations and their mapping templates: texts that turn a subject into a prompt whose continuation is the object.

A mapping prompt is continued by the object, so a template is of use up to the object's slot, and only where that slot
ends it. The published sets LAMA, ParaRel and BEAR also hold templates that begin with the object ("[Y] is the capital
of [X]."); these are left out, and a relation that has no other is an error by name.

| set     | file                                | one template                                               |
|---------|-------------------------------------|------------------------------------------------------------|
| LAMA    | relations.jsonl                     | {"relation": "P19", "template": "[X] was born in [Y] ."}     |
| ParaRel | P19.jsonl, or a folder of such      | {"pattern": "[X] was born in [Y].", …}                       |
| BEAR    | metadata_relations.json             | {"P19": {"templates": ["[X] was born in [Y].", …], …}, …}     |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from recollect.core.settings import read_yaml
from recollect.core.tables import check_value, decode, load_json, read_bytes, read_table
from recollect.errors import InputError
from recollect.facts.fact import Domain

SLOT = "[X]"
QA = "qa"  # the relation of question-answer data that has none: the subject is the question itself
_OBJECT = r"(?:\[Y\]|\[MASK\]|<mask>|<extra_id_0>|_{3,})"
_ANY = re.compile(_OBJECT)
_LAST = re.compile(rf"\s*{_OBJECT}[\s.!?…\"'”’]*$")
_MAX = 10_000_000  # bytes


@dataclass(frozen=True)
class Relation:
    """A relation: its plain question and its mapping templates, each with the slot [X] once."""

    id: str
    name: str
    domain: Domain
    question: str
    templates: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.templates:
            raise InputError(f"relation {self.id} has no mapping template; give at least one.")
        for text in (self.question, *self.templates):
            if not isinstance(text, str) or text.count(SLOT) != 1:
                raise InputError(
                    f"relation {self.id}: a template must contain the slot {SLOT} exactly once, but got {text!r}."
                )
            if cut_template(text, self.id) != text:
                raise InputError(
                    f"relation {self.id}: a question and a template must end before [Y], but got {text!r}."
                )
        for text in self.templates:
            if text != text.rstrip():
                raise InputError(
                    f"relation {self.id}: a template must not end in white space (the object brings its own), "
                    f"but got {text!r}."
                )
        if len(set(self.templates)) < len(self.templates):
            raise InputError(f"relation {self.id}: the templates must differ, but one occurs twice.")

    def prompts(self, subject: str, count: int | None = None) -> list[str]:
        """The mapping prompts of a subject, from the first `count` templates (all by default)."""
        return [template.replace(SLOT, subject) for template in self.templates[:count]]


@lru_cache(maxsize=1)
def shipped_relations() -> dict[str, Relation]:
    """The 24 relations of the studies and the generic "qa" one, with 21 templates of our own each."""
    folder = resources.files("recollect") / "facts" / "templates"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            relation = _relation(yaml.safe_load(file.read_text(encoding="utf-8")), file.name)
            found[relation.id] = relation
    return found


def read_relations(path: Path | None) -> dict[str, Relation]:
    """The shipped relations, with those of a user's file added or put in their place.

    The file maps a relation id to a list of templates, or to a mapping with `templates` and, if wanted, `name`,
    `domain` and `question`. A template that ends in the object's slot ([Y], [MASK], …) is cut before it: the model is
    to continue there. Template files of LAMA, ParaRel and BEAR (.jsonl, .json) are read as published, less the
    templates that do not end in the object. Raises InputError for a template that cannot be continued by its object.
    """
    relations = dict(shipped_relations())
    if path is None:
        return relations
    published = path.is_dir() or path.suffix.lower() in (".json", ".jsonl")
    for relation_id, value in (read_template_set(path) if published else read_yaml(path)).items():
        values = {"templates": value} if isinstance(value, list) else value
        if not isinstance(values, Mapping):
            raise InputError(f"{path}: {relation_id} must be a list of templates or a mapping, but got {value!r}.")
        known = relations.get(relation_id)
        defaults = {
            "name": known.name if known else relation_id,
            "domain": known.domain if known else "in-domain",
            "question": known.question if known else SLOT,
        }
        relations[relation_id] = _relation({"id": relation_id, **defaults, **values}, str(path))
    return relations


def relation_of(relations: Mapping[str, Relation], relation_id: str, templates: int) -> Relation:
    """Look a relation up and check that it has enough templates; InputError says how to give more."""
    if relation_id not in relations:
        raise InputError(
            f"no mapping templates for relation {relation_id!r}. Known: {', '.join(relations)}. "
            "Give yours with --template-file, or read the facts without a relation column."
        )
    relation = relations[relation_id]
    if len(relation.templates) < templates:
        raise InputError(
            f"relation {relation_id} has {len(relation.templates)} templates, but {templates} are asked for. "
            "Lower --templates or give more with --template-file."
        )
    return relation


def _relation(values: Mapping[str, object], where: str) -> Relation:
    unknown = set(values) - {"id", "name", "domain", "question", "templates"}
    if unknown:
        raise InputError(f"{where}: unknown key {sorted(unknown)[0]!r} in a relation.")
    domain = values["domain"]
    if domain not in ("in-domain", "out-of-domain"):
        raise InputError(f"{where}: domain must be in-domain or out-of-domain, but got {domain!r}.")
    templates = values.get("templates")
    if not isinstance(templates, list):
        raise InputError(f"{where}: {values['id']} must have a list of texts as templates, but got {templates!r}.")
    return Relation(
        id=str(values["id"]),
        name=str(values["name"]),
        domain=domain,
        question=str(values["question"]),
        templates=tuple(cut_template(text, str(values["id"])) for text in templates),
    )


def cut_template(text: Any, relation: str = "") -> Any:
    """A template without the object's slot at its end; InputError when the slot is elsewhere. Others stay."""
    if not isinstance(text, str) or not _ANY.search(text):
        return text
    cut = _LAST.sub("", text)
    if _ANY.search(cut):
        where = f"relation {relation}: " if relation else ""
        raise InputError(
            f"{where}the template {text!r} holds the object's slot before its end, so that no prompt can be continued "
            "by the object. Turn it round (the object last) or remove it."
        )
    return cut


def read_template_set(path: Path) -> dict[str, list[str]]:
    """Templates by relation of a published file or folder, each cut before its object.

    Raises InputError for a file of another kind, and for a relation of whose templates none ends in the object.
    """
    found = _folder(path) if path.is_dir() else _file(path)
    usable = {}
    for relation, templates in found.items():
        kept = [cut for text in templates if (cut := _usable(text)) is not None]
        if not kept:
            raise InputError(
                f"{path}: none of the {len(templates)} templates of {relation} ends in the object's slot [Y]. Add one."
            )
        usable[relation] = list(dict.fromkeys(kept))
    return usable


def _usable(text: str) -> str | None:
    try:
        cut = cut_template(text)
    except InputError:
        return None
    return cut if cut != text and cut.count("[X]") == 1 else None


def _folder(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in sorted(path.glob("*.jsonl")):
        found |= _file(file)
    if not found:
        raise InputError(f"{path} holds no .jsonl file of templates. Give a file, or a folder of ParaRel's.")
    return found


def _file(path: Path) -> dict[str, list[str]]:
    if path.suffix.lower() == ".json":
        value = load_json(decode(read_bytes(path, _MAX), str(path)), str(path))
        if fault := check_value(value)[1]:
            raise InputError(f"{path} holds {fault[1]}.")
        if not isinstance(value, dict):
            raise _other(path)
        return {relation: _listed(item, path) for relation, item in value.items()}
    found: dict[str, list[str]] = {}
    for _, values in read_table(path).rows:
        relation, text = values.get("relation", path.stem), values.get("template", values.get("pattern"))
        if not isinstance(relation, str) or not isinstance(text, str):
            raise _other(path)
        found.setdefault(relation, []).append(text)
    return found


def _listed(item: Any, path: Path) -> list[str]:
    templates = item.get("templates") if isinstance(item, Mapping) else item
    if not isinstance(templates, list) or not all(isinstance(text, str) for text in templates):
        raise _other(path)
    return templates


def _other(path: Path) -> InputError:
    return InputError(
        f"{path} is no template file: expected YAML, or rows with relation and template (LAMA), rows with pattern "
        "(ParaRel), or an object of relations with templates (BEAR)."
    )
