"""Where fetched models lie, and what is known of them: shipped, fetched, damaged, or still to fetch.

`RECOLLECT_MODELS` names the folder; without it the user's cache folder of the platform. Each model is a folder there by
its name: an ordinary Hugging Face folder, and in it a record of where it came from with the hash of every file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from recollect.core.workspace.result import Result
from recollect.errors import ModelError
from recollect.models.files import read_json
from recollect.models.known import FETCHABLE, Fetchable
from recollect.shipped import SHIPPED

RECORD = "recollect_source.json"
PLACE = "RECOLLECT_MODELS"

State = Literal["shipped", "fetched", "damaged", "no record", "to fetch"]


class Source(Result):
    """Where a fetched folder came from: its record, `recollect_source.json`."""

    name: str
    """As in `--model NAME`."""
    source: str
    """Who gave the file."""
    file_sha256: str
    """Of the GGUF file that it was made from."""
    licence: str
    licence_url: str
    made_with: dict[str, str]
    """The versions of the packages that made the folder."""
    files: dict[str, str]
    """The SHA-256 of every file of the model."""


class ModelInfo(Result):
    """A model that can be named: what it is, and whether it is here.

    Examples:
        >>> from recollect import list_models
        >>> pocket = list_models()[0]
        >>> pocket.name, pocket.state
        ('pocket', 'shipped')
    """

    name: str
    """As in `--model NAME`."""
    title: str
    state: State
    """shipped with the package, fetched and whole, damaged, without a record of its hashes, or still to fetch."""
    folder: Path
    """Where it is, or would be."""
    bytes: int
    """What the folder takes; of one that is not here, about what it would take."""
    licence: str
    licence_url: str = ""
    source: str = ""
    """Who gave it; of one that is not here, who would."""
    problem: str = ""
    """What is wrong with a damaged one."""


def models_folder() -> Path:
    """The folder of fetched models: `RECOLLECT_MODELS`, else beside the Hugging Face cache, as that finds its place."""
    given = os.environ.get(PLACE, "")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (Path(given) if given else cache / "recollect" / "models").expanduser().absolute()


def fetched_folder(name: str) -> Path | None:
    """The folder of a model that can be fetched by name; None for any other name.

    Raises ModelError, naming the command, where it has not been fetched.
    """
    known = FETCHABLE.get(name)
    if known is None:
        return None
    folder = models_folder() / name
    if not folder.is_dir():
        raise ModelError(
            f"the model {name!r} ({known.title}) has not been fetched: no folder {folder}. Fetch it with "
            f"`recollect models get {name}` ({megabytes(known.fetched_bytes)}, {known.licence.name})."
        )
    return folder


def list_models(folder: Path | None = None) -> tuple[ModelInfo, ...]:
    """Every model that has a short name: the shipped ones, and those that can be fetched, with their state.

    folder: where fetched ones lie, when that is not the usual place.
    Reads every byte of those that were fetched, to compare it with the record.

    Examples:
        >>> from recollect import list_models
        >>> [model.name for model in list_models()]
        ['pocket', 'pocket-shop', 'smollm2', 'gemma3-270m']
    """
    shipped = (shipped_info(name) for name in SHIPPED)
    return (*shipped, *(info_of(one, (folder or models_folder()) / one.name) for one in FETCHABLE.values()))


def shipped_info(name: str, folder: Path | None = None) -> ModelInfo:
    """A shipped model, where it lies or where it was copied to."""
    folder = SHIPPED[name].model if folder is None else folder
    return ModelInfo(
        name=name,
        title="a small base model of an invented world",
        state="shipped",
        folder=folder,
        bytes=_size(folder),
        licence="Apache-2.0",
        source="comes with Recollect",
    )


def info_of(known: Fetchable, folder: Path) -> ModelInfo:
    """What is at `folder`, where the model `known` is or would be; every byte is compared with the record."""
    state: State = "to fetch"
    problem, source = "", f"{known.hub.repository} on the hub, or {known.packages.requirements[0]}"
    size = known.folder_bytes
    if folder.is_dir():
        size, record = _size(folder), read_source(folder)
        if record is None:
            state, source = "no record", ""
        else:
            problem, source = damage(folder, record), record.source
            state = "damaged" if problem else "fetched"
    return ModelInfo(
        name=known.name,
        title=known.title,
        state=state,
        folder=folder,
        bytes=size,
        licence=known.licence.name,
        licence_url=known.licence.url,
        source=source,
        problem=problem,
    )


def read_source(folder: Path) -> Source | None:
    """The record of a fetched folder; None where there is none that can be read."""
    try:
        return Source.model_validate(read_json(folder / RECORD, 1 << 20)) if (folder / RECORD).is_file() else None
    except (ModelError, ValidationError):
        return None


def damage(folder: Path, record: Source) -> str:
    """What differs from the record, file by file; empty when nothing does."""
    for name, wanted in record.files.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if sha256_of(file) != wanted:
            return f"{name} has another SHA-256 than when it was fetched"
    return ""


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def megabytes(count: int) -> str:
    """A size for people."""
    return f"{count / 1e6:,.0f} MB"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
