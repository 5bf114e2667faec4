"""Where a model is (shipped, a folder, a step, fetched by name, of the hub), and which: a hash of what it says.

A name that looks like a path is looked up on disk first and never sent to a hub.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from recollect.core.phases import phase
from recollect.core.workspace import check_model_step
from recollect.errors import ModelError
from recollect.models.files import first_line, read_header, read_json, tensor_items
from recollect.models.gguf_file import ENDING, gguf_folder, only_gguf
from recollect.models.known import FETCHABLE
from recollect.models.store import fetched_folder
from recollect.shipped import SHIPPED

_HUB_SECONDS = 8  # the longest wait for a hub that does not answer
DECIDING = (  # every file that decides what a model says
    "*.safetensors",
    "*.safetensors.index.json",
    "*.py",
    "*.tiktoken",
    "added_tokens.json",
    "chat_template.*",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
_CHUNK = 1 << 24  # bytes; the interpreter is waited for once a chunk while others import
_AHEAD: dict[Path, tuple[threading.Thread, list[str]]] = {}
_LOCK = threading.Lock()
NOTED = "base_fingerprint.json"
"""Beside an adapter that we trained: what its base was."""
_SETS = ("exclude_modules", "layers_pattern", "modules_to_save", "target_modules", "target_parameters")
"""Lists of adapter_config.json that are sets: PEFT writes some of them in another order in every process."""


def find_model(name: str | Path, revision: str | None = None) -> Path:
    """The local folder of a model; downloads a hub model only when the hub may be used. Raises ModelError.

    A GGUF file, or a folder with one and no other weights, gives the folder that it was widened into.

    A model that a step made is checked byte by byte, once per process; StepError names a damaged file.
    """
    name = str(name)
    if name in SHIPPED:
        return SHIPPED[name].model
    try:
        path = Path(name).expanduser()
        is_folder, is_file = name != "" and path.is_dir(), path.is_file()
    except (OSError, RuntimeError) as error:  # a name too long; the home of an unknown user
        raise ModelError(f"no such model folder: {name:.200}: {error}. Give an existing folder.") from None
    if is_folder:
        manifest = path / "manifest.json"
        inner = path / "model"
        if manifest.is_file() and inner.is_dir():  # a train or pocket step directory
            check_model_step(inner)
            return inner
        check_model_step(path)
        file = only_gguf(path)
        return path if file is None else gguf_folder(file)
    if path.suffix.lower() == ENDING:
        if not is_file:
            raise ModelError(f"no such GGUF file: {name}. Check the path.")
        return gguf_folder(path)
    if is_file:
        raise ModelError(f"{name} is a file; a model is a folder with config.json and *.safetensors, or a .gguf file.")
    if ".." in name or not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", name):
        raise ModelError(
            f"no such model folder: {name!r}. Give an existing folder, a Hugging Face name, or one of {_short()}."
            f"{_meant(name)}"
        )
    if fetched := fetched_folder(name):
        return fetched
    return _from_hub(name, revision)


def _short() -> str:
    return ", ".join(repr(name) for name in (*SHIPPED, *FETCHABLE))


def _meant(name: str) -> str:
    """What follows a name that is not found: one of ours that is nearly the same, or where ours are listed."""
    close = get_close_matches(name, (*SHIPPED, *FETCHABLE), 1, 0.75)
    if close:
        return f" Did you mean {close[0]!r}?"
    return "" if "/" in name else " `recollect models list` shows the models that have a short name."


def can_be_found(name: str, revision: str | None = None) -> bool:
    """Whether a name is something here, or of ours, or may be one of a hub's models: `somebody/model`.

    A name of one word is one of the hub only where it is in the local cache: the few that are there are old, and a
    mistyped one of ours looks the same.
    """
    if name in SHIPPED or name in FETCHABLE or re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name):
        return True
    try:
        return Path(name).expanduser().exists() or in_cache(name, revision) is not None
    except (OSError, RuntimeError):
        return False


def in_cache(name: str, revision: str | None) -> Path | None:
    """The folder of a hub's model in the local cache, with its config.json at least."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except (OSError, ValueError):  # no name of the hub
        return None
    return Path(found).parent if isinstance(found, str) else None


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.tiktoken"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (OSError, ValueError):  # LocalEntryNotFoundError is an OSError
        pass
    where = f"there is no folder {name!r} here, and the hub model {name!r} is not in the local cache"
    if hub_forbidden():
        raise ModelError(
            f"{where}; HF_HUB_OFFLINE forbids fetching it. Check the path, or unset HF_HUB_OFFLINE.{_meant(name)}"
        )
    problem = ask_hub(name, revision)
    if problem:
        raise ModelError(f"{where}; {problem}{_meant(name)}")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the network may go at any moment, in any library's words
        raise ModelError(f"the download of {name!r} failed: {first_line(error)}. Run it again.") from error


def hub_forbidden() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}


def ask_hub(name: str, revision: str | None) -> str:
    """Why the hub cannot give the model; empty when it can. Waits `_HUB_SECONDS` at most.

    A thread of its own, since neither the look-up of the host's name nor the client's other questions keep to
    the timeout given.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    answers: list[str] = []

    def ask() -> None:
        try:
            HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
            answers.append("")
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", "no answer")
            answers.append(f"the hub answered {status} for it. Check the name, or log in.")
        except Exception as error:  # no network: every client library has its own exception for it
            answers.append(f"the hub could not be reached ({type(error).__name__}). Check the path or the network.")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_HUB_SECONDS)
    silent = f"the hub did not answer within {_HUB_SECONDS} seconds. Check the path or the network."
    return answers[0] if answers else silent


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, which needs its base."""
    return (folder / "adapter_config.json").is_file()


def adapter_base(folder: Path) -> Path:
    """The folder of an adapter's base. Raises ModelError where there is none, or it is an adapter itself.

    A relative path is looked up from the adapter's folder, then from the working directory. Where what is named is not
    there, the name that our training left beside the adapter (a model of Recollect's) is tried.
    """
    config = read_json(folder / "adapter_config.json")
    name = str(config.get("base_model_name_or_path") or "")
    if not name:
        raise ModelError(f"{folder / 'adapter_config.json'} names no base model (base_model_name_or_path).")
    revision = config.get("revision")
    try:
        base = find_model(_beside(folder, name), revision if isinstance(revision, str) and revision else None)
    except ModelError as error:
        if not (ours := _ours(folder)):
            raise ModelError(f"{folder} is an adapter, and its base is missing: {error}") from None
        base = find_model(ours)
    if is_adapter(base):
        raise ModelError(f"{folder} is an adapter on another adapter ({base}). Merge that one first.")
    return base


def _beside(adapter: Path, name: str) -> str:
    """A relative path as seen from the adapter's folder, where that leads somewhere; any other name as it is."""
    if name.startswith("."):
        with suppress(OSError, ValueError):
            if (adapter / name).is_dir():
                return str((adapter / name).resolve())
    return name


def _ours(adapter: Path) -> str:
    """The name, among Recollect's own models, of the base that our training noted beside an adapter."""
    try:
        noted = read_json(adapter / NOTED).get("base") if (adapter / NOTED).is_file() else ""
    except ModelError:
        return ""
    return noted if isinstance(noted, str) and (noted in SHIPPED or fetched_folder(noted)) else ""


def model_fingerprint(folder: Path, base: str | None = None) -> str:
    """Hash of the weights, configuration, tokenizer and code: everything that decides what the model says.

    It does not depend on the folder's name or on file times. An adapter's includes its base's, in place of
    the base's name; `base` is that fingerprint where it is known already. The tokenizer and the generation settings
    that our training lays beside an adapter are copies for other programs: an adapter is asked with its base's.
    Raises ModelError for an adapter without its base.
    """
    with _LOCK:
        begun = _AHEAD.pop(folder, None)
    if begun is not None and base is None:
        with phase("hashing the weights"):
            begun[0].join()
        if begun[1]:
            return begun[1][0]
    with phase("hashing the weights"):
        return _fingerprint(folder, base)


def hash_ahead(name: str | Path) -> None:
    """Begin to hash the files of a model in a thread; the next `model_fingerprint` of its folder takes the result.

    For the time in which something else is imported, which does not need the second core. Only for a whole model that
    lies here as a plain folder; for any other nothing happens, and what is wrong with it is told by those who ask.
    """
    try:
        folder = _plain_folder(name)
        if folder is None or not (folder / "config.json").is_file() or is_adapter(folder):
            return
    except (OSError, RuntimeError, ModelError):
        return
    found: list[str] = []

    def hash_it() -> None:
        with suppress(Exception):
            found.append(_fingerprint(folder))

    thread = threading.Thread(target=hash_it, daemon=True, name="recollect-hash")
    with _LOCK:
        _AHEAD[folder] = (thread, found)
    thread.start()


def _plain_folder(name: str | Path) -> Path | None:
    if str(name) in SHIPPED:
        return SHIPPED[str(name)].model
    path = Path(name).expanduser()
    return path if path.is_dir() else fetched_folder(str(name))


def _fingerprint(folder: Path, base: str | None = None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    patterns = DECIDING[:1] if (folder / NOTED).is_file() and is_adapter(folder) else DECIDING
    _add_files(digest, folder, patterns)
    if is_adapter(folder):
        config = read_json(folder / "adapter_config.json")
        config["base_model_name_or_path"] = base or model_fingerprint(adapter_base(folder))
        for key in _SETS:
            if isinstance(config.get(key), list):
                config[key] = sorted(map(str, config[key]))
        digest.update(json.dumps(config, sort_keys=True).encode())
    return digest.hexdigest()


def tokenizer_fingerprint(folder: Path) -> str:
    """Hash of a folder's tokenizer, chat template and configuration, without its weights and code."""
    digest = hashlib.blake2b(digest_size=16)
    patterns = [pattern for pattern in DECIDING if "safetensors" not in pattern and pattern != "*.py"]
    _add_files(digest, folder, patterns)
    return digest.hexdigest()


def _add_files(digest: hashlib.blake2b, folder: Path, patterns: Sequence[str]) -> None:
    for file in sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}):
        add_file(digest, file.name, file)


def weights_fingerprint(folder: Path) -> str:
    """Hash of a whole model's tensors alone: names, formats, shapes and bytes, however they lie in files.

    Reads every weight, once as long as the files are not written anew. Raises ModelError for a file that is no whole
    safetensors file.
    """
    stats = [(file.name, file.stat()) for file in sorted(folder.glob("*.safetensors"))]
    return _hash_of_weights(folder, tuple((name, of.st_ino, of.st_size, of.st_mtime_ns) for name, of in stats))


@lru_cache(maxsize=4)
def _hash_of_weights(folder: Path, _: tuple[tuple[str, int, int, int], ...]) -> str:
    """The second tells files apart from those that lay there before."""
    tensors = sorted(
        (name, str(item["dtype"]), tuple(item["shape"]), file, [start + at for at in item["data_offsets"]])
        for file in folder.glob("*.safetensors")
        for header, start in [read_header(file)]
        for name, item in tensor_items(header).items()
    )
    digest = hashlib.blake2b(digest_size=16)
    for name, kind, shape, file, (place, stop) in tensors:
        digest.update(f"{name}\0{kind}\0{shape}\0".encode())
        left = stop - place
        with file.open("rb") as handle:
            handle.seek(place)
            while left and (chunk := handle.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()


def add_file(digest: hashlib.blake2b, name: str, file: Path) -> None:
    """Add the name, the size and the bytes of a file; the size keeps two files from passing for one."""
    with file.open("rb") as handle:
        digest.update(f"{name}\0{os.fstat(handle.fileno()).st_size}\0".encode())
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
