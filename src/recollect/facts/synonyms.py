"""Accepted other forms of an object: any of them counts as right, in probing and in scoring (docs/studies.md §2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path

import yaml

from recollect.core.settings import read_yaml
from recollect.errors import InputError

Synonyms = Mapping[str, tuple[str, ...]]


@lru_cache(maxsize=1)
def shipped_synonyms() -> Synonyms:
    """Our own table: object to its other accepted forms."""
    text = (resources.files("recollect") / "facts" / "synonyms.yaml").read_text(encoding="utf-8")
    return _checked(yaml.safe_load(text), "synonyms.yaml")


def read_synonyms(path: Path) -> Synonyms:
    """A user's table: a YAML mapping of an object to a list of texts. Raises InputError for anything else."""
    return _checked(read_yaml(path), str(path))


def synonyms_for(object: str, user_table: Synonyms | None = None) -> tuple[str, ...]:
    """The other accepted forms of an object: the user's entry if there is one (maybe empty), else ours."""
    if user_table is not None and object in user_table:
        return tuple(user_table[object])
    return shipped_synonyms().get(object, ())


def _checked(table: Mapping[str, object], where: str) -> Synonyms:
    checked = {}
    for name, forms in table.items():
        if not isinstance(forms, list) or not all(isinstance(form, str) and form.strip() for form in forms):
            raise InputError(f"{where}: {name!r} must have a list of texts, but has {forms!r}. Put texts in quotes.")
        checked[name] = tuple(dict.fromkeys(form.strip() for form in forms))
    return checked
