"""The files of a model's folder: JSON read with care, the headers of the weights, and one weight at a time.

The safetensors library checks each header (size, offsets, shapes against formats, gaps, overlaps); then we read it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.core.json_object import JsonObject
from recollect.errors import ModelError

if TYPE_CHECKING:
    import torch

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_JSON = 1 << 28  # bytes of a JSON file beside the weights; tokenizers of 250,000 entries have 35 MB


FORMATS = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""The formats of plain numbers, as safetensors and as torch name them."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint: its format as safetensors names it ("BF16") and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_json(path: Path, limit: int = MAX_JSON) -> JsonObject:
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


def stored_tensors(folder: Path, named: object = None) -> dict[str, TensorInfo]:
    """Every tensor of a model folder, by name. Raises what `weight_files` and `read_header` raise."""
    found: dict[str, TensorInfo] = {}
    for file in weight_files(folder, named)[0]:
        for name, item in tensor_items(read_header(folder / file)[0]).items():
            found[name] = TensorInfo(str(item["dtype"]), tuple(item["shape"]))
    return found


def tensor_items(header: JsonObject) -> JsonObject:
    """The tensors of a header, without its free text."""
    return {name: item for name, item in header.items() if name != "__metadata__"}


def read_header(path: Path) -> tuple[JsonObject, int]:
    """The header of a safetensors file, checked, and where its data start. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):  # maps the file, reads and checks the header alone
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: JsonObject = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is not a whole safetensors file: {first_line(error)}. Fetch or write it again."
        ) from None
    return header, 8 + length


class Stored:
    """The safetensors files of a model folder, read by name; a weight is found with or without its model's prefix."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        self._stack = ExitStack()
        files = sorted(folder.glob("*.safetensors"))
        opened = [self._stack.enter_context(safe_open(file, framework="pt")) for file in files]
        self._file_of = {name: file for file in opened for name in file.keys()}  # noqa: SIM118  # no mapping

    def __enter__(self) -> Stored:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def formats(self) -> dict[str, str]:
        """The format of every floating-point tensor, by its stored name."""
        found = {name: file.get_slice(name).get_dtype() for name, file in self._file_of.items()}
        return {name: FORMATS[kind] for name, kind in found.items() if kind in FORMATS}

    def shapes(self) -> dict[str, list[int]]:
        """The shape of every tensor, by its stored name."""
        return {name: list(file.get_slice(name).get_shape()) for name, file in self._file_of.items()}

    def name_of(self, name: str, prefix: str) -> str | None:
        """The stored name of a model's weight `name`; `prefix` is the model's `base_model_prefix`."""
        return parameter_of(name, self._file_of, prefix)

    def tensor(self, stored_name: str) -> torch.Tensor:
        """A tensor as it is stored."""
        found: torch.Tensor = self._file_of[stored_name].get_tensor(stored_name)
        return found

    def main_format(self) -> str:
        """The format of most of the weights; float32 where none is a floating-point number."""
        counted: Counter[str] = Counter()
        for name, kind in self.formats().items():
            counted[kind] += math.prod(self._file_of[name].get_slice(name).get_shape())
        return counted.most_common(1)[0][0] if counted else "float32"


def parameter_of(name: str, known: Collection[str], prefix: str) -> str | None:
    """The name among `known` that a tensor has, with its base model's prefix put on or taken off."""
    for candidate in (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")):
        if candidate in known:
            return candidate
    return None


def all_finite(values: torch.Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinities: both show in its extremes, in one pass without a copy.

    `isfinite` takes 30 times as long for bfloat16 on a CPU: a second for 135 million weights.
    """
    import torch

    if values.numel() == 0 or not values.is_floating_point():
        return True
    values = values.detach()
    if values.element_size() == 1:  # float8 has no minimum
        values = values.float()
    return bool(torch.isfinite(torch.stack(torch.aminmax(values))).all())


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
