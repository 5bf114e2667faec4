"""What a model's weight files say of themselves: names, shapes and formats, without reading a weight.

The safetensors library checks each header (size, offsets, shapes against formats, gaps, overlaps); then we read it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recollect.errors import ModelError
from recollect.models.find import first_line

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_JSON = 1 << 28  # bytes of a JSON file beside the weights; tokenizers of 250,000 entries have 35 MB


@dataclass(frozen=True)
class Stored:
    """One tensor of a checkpoint: its format as safetensors names it ("BF16") and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_json(path: Path, limit: int = MAX_JSON) -> dict[str, Any]:
    """The object in a JSON file of a model. Raises ModelError when it is none, or the file is larger than `limit`."""
    try:
        if path.stat().st_size > limit:
            raise ModelError(f"{path} must have at most {limit:,} bytes, but has {path.stat().st_size:,}.")
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}.") from None
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} must hold a JSON object, but holds {type(loaded).__name__}.")
    return loaded


def weight_files(folder: Path, named: object = None) -> tuple[list[str], dict[str, str] | None]:
    """The weight files of a folder, sorted, and what its index maps to them (None without an index).

    `named`: the file or index that config.json names (`transformers_weights`). Raises ModelError for a folder with
    neither a single file nor an index.
    """
    by_name = named if isinstance(named, str) else None
    is_index = by_name is not None and by_name.endswith(".index.json")
    single = SINGLE if by_name is None or is_index else by_name
    index = folder / (by_name if by_name is not None and is_index else INDEX)
    if not is_index and (folder / single).is_file():
        return [single], None
    if not index.is_file():
        raise ModelError(f"{folder} holds neither {single} nor {index.name}; which of its files is the model?")
    mapped = read_json(index).get("weight_map")
    if not isinstance(mapped, dict):
        raise ModelError(f"{index} holds no weight_map.")
    wanted = {str(name): str(file) for name, file in mapped.items()}
    return sorted(set(wanted.values())), wanted


def stored_tensors(folder: Path, named: object = None) -> dict[str, Stored]:
    """Every tensor of a model folder, by name. Raises what `weight_files` and `read_header` raise."""
    files, _ = weight_files(folder, named)
    return tensors_of(folder / file for file in files)


def tensors_of(files: Iterable[Path]) -> dict[str, Stored]:
    """Every tensor of some safetensors files, by name."""
    found: dict[str, Stored] = {}
    for file in files:
        for name, item in tensor_items(read_header(file)[0]).items():
            found[name] = Stored(str(item["dtype"]), tuple(item["shape"]))
    return found


def tensor_items(header: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a header, without its free text."""
    return {name: item for name, item in header.items() if name != "__metadata__"}


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, checked, and where its data start. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):  # maps the file, reads and checks the header alone
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is not a whole safetensors file: {first_line(error)}. Fetch or write it again."
        ) from None
    return header, 8 + length
