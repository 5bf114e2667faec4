"""Results from values, or from a results.json of this or the schema before, checked chapter by chapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recollect.core.json_object import JsonObject
from recollect.core.workspace import check_stored
from recollect.errors import InputError
from recollect.report.chapters import chapters
from recollect.report.page.record import Record
from recollect.report.page.results import SCHEMA_VERSION, Results

RESULTS_FILE = "results.json"


def make_results(values: JsonObject, where: str = "the results") -> Results:
    """Results from plain values, of today's schema or of schema 2; a bad value raises InputError that says where."""
    values = values if "chapters" in values else _of_schema_2(values)
    kinds = {chapter.id: chapter.record for chapter in chapters() if chapter.record is not None}
    records: dict[str, Record] = {}
    faults = []
    if not isinstance(values["chapters"], dict):
        raise InputError(f"{where} cannot be used:\nchapters must be an object, but got {values['chapters']!r:.80}.")
    for name, found in values["chapters"].items():
        kind = kinds.get(name)
        if kind is None:
            faults.append(f"{name} is not a known chapter.")
            continue
        try:
            records[name] = kind.model_validate(found)
        except ValidationError as error:
            faults += _faults(error, f"{name}.")
    try:
        results = Results(**{**values, "chapters": records})
    except ValidationError as error:
        faults += _faults(error)
    if faults:
        raise InputError(f"{where} cannot be used:\n" + "\n".join(_first(faults)))
    return results


def read_results(path: Path) -> Results:
    """Read a results.json, or the one in a report folder; InputError says what is wrong with it and where.

    Examples:
        `study` is the folder of a `run_study`.

        >>> from recollect import read_results
        >>> sorted(read_results(study).chapters)
        ['elicits', 'examples', 'findings', 'flips', 'knows']
    """
    file = path / RESULTS_FILE if path.is_dir() else path
    check_stored(file)
    if not file.is_file():
        raise InputError(f"no such file: {file}. Give a {RESULTS_FILE} or the report folder that holds one.")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start}). Write it again with a study.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{file} is not valid JSON: {error}. Write it again with a study.") from None
    if not isinstance(values, dict):
        raise InputError(f"{file} must hold one JSON object, but holds {type(values).__name__}.")
    version = values.get("schema_version")
    if version not in (2, SCHEMA_VERSION):
        raise InputError(
            f"{file} must have schema_version 2 or {SCHEMA_VERSION}, but got {version!r}. Use the Recollect that wrote "
            "it."
        )
    return make_results(values, str(file))


def _of_schema_2(values: JsonObject) -> JsonObject:
    """One flat object with percents, as results of an earlier version were, with each chapter's part under its id."""
    found = {name: value for name, value in values.items() if name != "schema_version"}
    parts: JsonObject = {}
    for chapter in chapters():
        if chapter.flat:
            part = {name: found.pop(name) for name in chapter.flat if name in found}
            if any(value not in (None, [], {}) for value in part.values()):
                parts[chapter.id] = chapter.older(part)
        elif (part := found.pop(chapter.id, None)) is not None:
            parts[chapter.id] = chapter.older(part) if isinstance(part, dict) else part
    return {**found, "chapters": parts}


def _faults(error: ValidationError, before: str = "") -> list[str]:
    return [_fault(item, before) for item in error.errors()]


def _fault(item: Any, before: str) -> str:
    place = (before + ".".join(str(part) for part in item["loc"])).rstrip(".") or "results"
    got = repr(item["input"])
    got = got if len(got) <= 80 else got[:77] + "..."
    if item["type"] == "missing":
        return f"{place} must be given."
    if item["type"] == "extra_forbidden":
        return f"{place} is not a known key."
    if item["type"] == "value_error":
        return f"{place}: {item['msg'].removeprefix('Value error, ')}."
    return f"{place}: {item['msg'][0].lower() + item['msg'][1:]}, but got {got}."


def _first(faults: list[str], most: int = 5) -> list[str]:
    left = len(faults) - most
    return [*faults[:most], *([f"... and {left} more."] if left > 0 else [])]
