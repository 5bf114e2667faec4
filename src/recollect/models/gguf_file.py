"""A GGUF file as a base: widened once into an ordinary folder, which every step then reads like any other model.

Notable choices
- transformers reads the file; weights stored in 32 or 16 bits keep their format, quantised ones become bfloat16 (as
  `recollect models get` makes them), so that training, drift and restoration have numbers to work on.
- The folder lies beside the fetched models, named by the file and its SHA-256: another file of that name is another
  folder. It is made under a lock and renamed when it is whole. Delete it to be rid of it; it is made again when needed.
- The steps' fingerprint is that folder's: of the weights that are used, whatever file they came from.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from recollect._version import __version__
from recollect.core.extras import need
from recollect.core.phases import phase
from recollect.core.workspace import locked, sync_folder, write_json
from recollect.errors import ModelError
from recollect.models.convert import convert
from recollect.models.files import first_line, read_json
from recollect.models.store import megabytes, models_folder, sha256_of

ENDING = ".gguf"
RECORD = "recollect_gguf.json"
_PLACE = "gguf"
_PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_WIDTH = {"float32": 4, "float16": 2, "bfloat16": 2}
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself."""

    architecture: str
    formats: dict[str, int]
    """How many weights each format holds, most first: {"Q4_1": 134000000, "F32": 40000}."""

    @property
    def format(self) -> str:
        """The format of most weights."""
        return next(iter(self.formats), "F32")

    @property
    def dtype(self) -> str:
        """The number format that the weights are widened to."""
        return _PLAIN.get(self.format, "bfloat16")


def only_gguf(folder: Path) -> Path | None:
    """The GGUF file that a folder without other weights holds; None where it holds none, or other weights.

    Raises ModelError where there are several to choose from.
    """
    if any(folder.glob("*.safetensors")) or (folder / "adapter_config.json").is_file():
        return None
    files = [file for file in sorted(folder.glob(f"*{ENDING}")) if not file.name.startswith("mmproj")]
    if len(files) > 1:
        raise ModelError(f"{folder} holds {len(files)} GGUF files. Name the one that is meant, such as {files[0]}.")
    return files[0] if files else None


def gguf_folder(file: Path) -> Path:
    """The ordinary folder of a GGUF file's model; made when it is first asked for, which a large file takes minutes to.

    Raises ModelError for a file that is no whole model or that transformers cannot read, MissingExtra without the
    extra "models".
    """
    file = file.expanduser().absolute()
    if _SHARD.search(file.stem):
        raise ModelError(
            f"{file} is one part of a split GGUF. Join the parts with `llama-gguf-split --merge` of llama.cpp, and "
            "give the file that it writes."
        )
    found = file.stat()
    digest = _digest(file, found.st_size, found.st_mtime_ns, found.st_ino)
    name = re.sub(r"[^\w.-]+", "-", file.stem)[:80]
    target = models_folder() / _PLACE / f"{name}-{digest[:12]}"
    if (target / RECORD).is_file():
        return target
    header = read_header(file)
    work = target.with_name(f".{target.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    with locked(work / "lock", lambda: f"another process is widening {file} into {target}. Wait for it."):
        try:
            if not (target / RECORD).is_file():
                _make(file, header, digest, work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def widened_from(folder: Path) -> str:
    """What the folder of a GGUF file is, for people: "dequantised from Q4_1"; empty for any other folder."""
    if not (folder / RECORD).is_file():
        return ""
    kind = str(read_json(folder / RECORD, 1 << 20).get("format", ""))
    return f"stored as {kind} in a GGUF file" if kind in _PLAIN else f"dequantised from {kind}"


@cache
def _digest(file: Path, *_: int) -> str:
    """The SHA-256 of a file, once a process while it stays as it is."""
    with phase("hashing the weights"):
        return sha256_of(file)


def read_header(file: Path) -> Header:
    """Read what a GGUF file says of itself. Raises ModelError for one that is broken, or holds no whole model."""
    need("gguf", "models", "a GGUF file as a model")
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        architecture, kind = _text(reader, "general.architecture"), _text(reader, "general.type")
        formats: Counter[str] = Counter()
        for tensor in reader.tensors:
            formats[tensor.tensor_type.name] += int(tensor.n_elements)
    except Exception as error:  # a reader of an open format: many kinds for a broken file
        raise ModelError(f"{file} is not a whole GGUF file: {first_line(error)}. Fetch it again.") from error
    if kind not in ("", "model") or architecture in ("", "clip"):
        what = f"a {kind}" if kind not in ("", "model") else "no language model"
        raise ModelError(
            f"{file} holds {what} (general.architecture {architecture!r}). Give the model's own GGUF file."
        )
    return Header(architecture, dict(formats.most_common()))


def _text(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return "" if field is None else str(field.contents())


def _make(file: Path, header: Header, digest: str, work: Path, target: Path) -> None:
    """Widen the file into `target`, by way of a folder in `work`."""
    needed, free = sum(header.formats.values()) * _WIDTH[header.dtype], shutil.disk_usage(work).free
    if free < needed:
        raise ModelError(
            f"{work.parent} has {megabytes(free)} free, but {file.name} widened to {header.dtype} takes "
            f"{megabytes(needed)}. Make room, or name another place in RECOLLECT_MODELS."
        )
    made = work / "model"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        with phase("widening the GGUF file"):
            convert(file, made, header.dtype)
    except ModelError as error:
        version = importlib.metadata.version("transformers")
        raise ModelError(
            f"{file}, a GGUF of the architecture {header.architecture!r}, cannot be widened by transformers {version}: "
            f"{_reason(error)}. Take the model's folder of safetensors instead."
        ) from error
    record = {
        "file": file.name,
        "file_sha256": digest,
        "architecture": header.architecture,
        "format": header.format,
        "formats": header.formats,
        "dtype": header.dtype,
        "made_with": {
            "recollect": __version__,
            **{name: importlib.metadata.version(name) for name in ("transformers", "torch", "gguf")},
        },
    }
    write_json(made / RECORD, record)
    for one in made.iterdir():
        sync_folder(one)
    sync_folder(made)
    shutil.rmtree(target, ignore_errors=True)  # one without its record was never whole
    made.rename(target)
    sync_folder(target.parent)


def _reason(error: ModelError) -> str:
    """Why, in the library's words: without our advice on folders."""
    said = str(error).partition("could not be loaded as a causal language model: ")[2] or str(error)
    return said.partition(". Check its JSON files")[0].rstrip(". ")
