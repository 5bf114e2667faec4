"""Templates with a slot for the object, and the published files of them: LAMA, ParaRel, BEAR.

A mapping prompt is continued by the object, so a template is of use up to the object's slot, and only where that slot
ends it. Published sets also hold templates that begin with the object ("[Y] is the capital of [X]."); these are left
out, and a relation that has no other is an error by name.

| set     | file                                | one template                                               |
|---------|-------------------------------------|------------------------------------------------------------|
| LAMA    | relations.jsonl                     | {"relation": "P19", "template": "[X] was born in [Y] ."}     |
| ParaRel | P19.jsonl, or a folder of such      | {"pattern": "[X] was born in [Y].", …}                       |
| BEAR    | metadata_relations.json             | {"P19": {"templates": ["[X] was born in [Y].", …], …}, …}     |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recollect.core.tables import check_value, decode, load_json, read_bytes, read_table
from recollect.errors import InputError

_OBJECT = r"(?:\[Y\]|\[MASK\]|<mask>|<extra_id_0>|_{3,})"
_ANY = re.compile(_OBJECT)
_LAST = re.compile(rf"\s*{_OBJECT}[\s.!?…\"'”’]*$")
_MAX = 10_000_000  # bytes


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
