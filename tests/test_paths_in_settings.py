"""The path that one step returned goes into the settings of the next as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from recollect.cli.demo import DemoSettings
from recollect.core.settings import Settings
from recollect.experiments.study.axes import Entry
from recollect.steps import STEPS

_A_PLACE = re.compile(r"\b(folder|directory|file|YAML)\b|\.(txt|jsonl)\b", re.IGNORECASE)
_NO_PLACE = {"revision", "relation_name", "base_id", "parity_bound", "executor", "weights"}
"""Settings that speak of a folder or a file and name neither."""
_REFUSED = {
    ("CompareSettings", "data"),
    *((entry, "name") for entry in ("Entry", "DataEntry", "MethodEntry", "ModelEntry")),
}
"""Settings of a wider class that this one takes from nobody, and names that are made of places."""


def _classes(base: type[Settings]) -> Iterator[type[Settings]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _classes(cls)


def _places() -> Iterator[tuple[type[Settings], str]]:
    """Every setting of every step whose help says that it names a file or a folder."""
    _ = DemoSettings, [entry.settings_class() for entry in STEPS]  # imported, so that the base knows them
    for cls in sorted(set(_classes(Settings)), key=lambda cls: cls.__name__):
        if cls.__module__.startswith("recollect."):
            for name, info in cls.model_fields.items():
                kind = info.annotation
                if (cls.__name__, name) in _REFUSED:
                    continue
                if not (kind is bool or get_origin(kind) is Literal or name in _NO_PLACE or cls.section(name)) and (
                    _A_PLACE.search(info.description or "")
                ):
                    yield cls, name


@pytest.mark.parametrize(
    ("cls", "name"), [pytest.param(*found, id=f"{found[0].__name__}.{found[1]}") for found in _places()]
)
def test_a_path_is_as_good_as_its_text_and_gives_the_same_step(cls: type[Settings], name: str, tmp_path: Path) -> None:
    required = {field: info.annotation for field, info in cls.model_fields.items() if info.is_required()}
    needed = {field: get_args(kind)[0] if get_origin(kind) is Literal else "here" for field, kind in required.items()}
    if name == "table":
        needed["source"] = "table"  # labels' tables go with it alone
    by_text, by_path = (cls.make(**{**needed, name: place}) for place in (str(tmp_path), tmp_path))
    assert by_path == by_text
    if not isinstance(by_path, Entry):  # which is a part of a grid's settings, and no step's own
        assert by_path.fingerprint_values() == by_text.fingerprint_values()


def test_the_settings_that_name_the_places_of_a_study_are_among_them() -> None:
    found = {f"{cls.__name__}.{name}" for cls, name in _places()}
    assert found >= {"EvaluateSettings.model", "StudySettings.facts", "FactsSettings.path", "SelectSettings.levels"}
    assert found >= {"ProbeSettings.template_file", "SearchSettings.storage", "DriftSettings.text"}
