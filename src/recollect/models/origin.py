"""Where a base model is from: its name on the hub, its licence, its languages; for model cards.

Known are only things that the folder, the hub's cache or our own lists say; nothing is guessed from a folder's name.
A base's model card is read as an attacker's: bounded, by the strict YAML loader, and only three of its entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recollect.core.json_object import JsonObject
from recollect.core.settings import read_section
from recollect.models.known import FETCHABLE, Licence
from recollect.models.store import read_source
from recollect.shipped import SHIPPED

CARD = "README.md"
_MOST = 1 << 20  # bytes of a model card that are read
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_CACHED = re.compile(r"models--([\w.\-]+?)(?:--([\w.\-]+))?")
_SPDX = {"Apache-2.0": "apache-2.0", "MIT": "mit"}
"""Licences as the hub names them."""


@dataclass(frozen=True)
class Origin:
    """What is known of where a base came from."""

    name: str
    """As people would say it: a hub name, a short name of ours, or the folder's last part."""
    hub_id: str = ""
    """Its name on the Hugging Face hub; "" where nobody knows."""
    revision: str = ""
    """The commit there; "" where nobody knows."""
    licence: str = ""
    """As the hub names it (apache-2.0, other); "" where nothing states one."""
    licence_name: str = ""
    licence_link: str = ""
    languages: tuple[str, ...] = ()
    note: str = ""
    """What is to be said of it besides, for people."""


def origin_of(given: str, folder: Path) -> Origin:
    """What is known of the base that was given as `given` and lies in `folder`."""
    if given in SHIPPED:
        return Origin(given, licence="apache-2.0", languages=("en",), note="It comes with Recollect.")
    card = front_matter(folder / CARD)
    hub_id, revision = hub_place(folder)
    source = read_source(folder)
    known = FETCHABLE.get(source.name if source else "")
    if known and source and not hub_id:
        named = _licence(known.licence)
        note = (
            f"Its weights are those of {known.original} as a 4-bit GGUF file holds them ({source.source}), widened to "
            "bfloat16: they differ from the original's."
        )
        return Origin(known.title, known.original, "", *named, languages=_languages(card), note=note)
    return Origin(
        hub_id or folder.name,
        hub_id,
        revision,
        _text(card, "license"),
        _text(card, "license_name"),
        _text(card, "license_link"),
        _languages(card),
    )


def hub_place(folder: Path) -> tuple[str, str]:
    """The hub name and the commit of a folder in the hub's cache; two empty texts for any other folder."""
    cached = _CACHED.fullmatch(folder.parent.parent.name) if folder.parent.name == "snapshots" else None
    if cached is None:
        return "", ""
    return "/".join(part for part in cached.groups() if part), folder.name


def licence_files(folder: Path) -> Iterable[Path]:
    """The files of a model's folder that its licence asks to be handed on."""
    for file in sorted(folder.iterdir()):
        named = re.fullmatch(r"(LICEN[CS]E|NOTICE|COPYING|USE_POLICY)([._-].*)?", file.name, re.IGNORECASE)
        if named and file.is_file() and file.stat().st_size <= _MOST:
            yield file


def front_matter(card: Path) -> JsonObject:
    """The entries at the top of a model card; {} where there are none that can be read."""
    try:
        if not card.is_file() or card.stat().st_size > _MOST:
            return {}
        found = _FRONT.match(card.read_text(encoding="utf-8", errors="replace"))
        values = read_section(found[1]) if found else {}
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _licence(known: Licence) -> tuple[str, str, str]:
    spdx = _SPDX.get(known.name)
    return (spdx, "", "") if spdx else ("other", known.name, known.url)


def _text(values: JsonObject, key: str) -> str:
    value = values.get(key)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) and len(value) <= 200 else ""


def _languages(values: JsonObject) -> tuple[str, ...]:
    value = values.get("language")
    listed = value if isinstance(value, list) else [value]
    return tuple(one for one in listed if isinstance(one, str) and re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]+)?", one))
