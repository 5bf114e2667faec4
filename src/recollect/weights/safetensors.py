"""A safetensors checkpoint of any shard layout, read in pieces.

Notable choices
- Read with `pread` at the header's offsets, not through a memory map: a map's pages count as this process's memory.
- The safetensors library checks each header (size, offsets, shapes against dtype, gaps, overlaps); then we read it.
- bf16 is the upper half of fp32, so it needs no library: 16 bits moved up are the value.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recollect.errors import ModelError
from recollect.models.files import INDEX, read_header, tensor_items, weight_files

F32 = np.ndarray[Any, np.dtype[np.float32]]
Raw = np.ndarray[Any, np.dtype[Any]]

FLOATS: dict[str, np.dtype[Any]] = {"F32": np.dtype(np.uint32), "F16": np.dtype(np.uint16), "BF16": np.dtype(np.uint16)}
_WHOLE = {"BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64"}


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies. `offset` counts from the start of the file."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Checkpoint:
    """The weights of one folder, or of the one file (or index) `named` in it.

    `entries` maps names to places; `files` are the shards, sorted by name; `index` is the name of the file that lists
    them, or None.

    Raises ModelError for a folder without `model.safetensors` or its index, a file that is no whole safetensors file,
    an index that does not fit its shards, and formats other than float32, float16, bfloat16 and whole numbers.
    """

    def __init__(self, folder: Path, named: str | None = None) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self.data_start: dict[str, int] = {}
        self._handles: dict[str, Any] = {}
        files, wanted = weight_files(folder, named)
        try:
            for file in files:
                self._add(file)
            if wanted is not None:
                self._compare(folder / self._index_name(named), wanted)
        except BaseException:
            self.close()
            raise
        self.files = tuple(files)
        self.index = self._index_name(named) if wanted is not None else None
        self.entries = dict(sorted(self.entries.items()))

    @staticmethod
    def _index_name(named: str | None) -> str:
        return named if named is not None and named.endswith(".index.json") else INDEX

    def _add(self, file: str) -> None:
        path = self.folder / file
        header, self.data_start[file] = read_header(path)
        for name, item in tensor_items(header).items():
            if name in self.entries:
                raise ModelError(f"{self.folder} holds the tensor {name} twice: {self.entries[name].file} and {file}.")
            start, stop = item["data_offsets"]
            dtype, shape = item["dtype"], tuple(item["shape"])
            if dtype not in FLOATS and dtype not in _WHOLE:
                raise ModelError(
                    f"{path}: the tensor {name} has the format {dtype}; only F32, F16 and BF16 weights can be "
                    "compared. Convert the model first."
                )
            self.entries[name] = Entry(file, dtype, shape, self.data_start[file] + start, stop - start)
        self._handles[file] = path.open("rb", buffering=0)

    def _compare(self, index: Path, wanted: dict[str, str]) -> None:
        found = {name: entry.file for name, entry in self.entries.items()}
        wrong = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        if wrong:
            name = wrong[0]
            raise ModelError(
                f"{index} and its shards disagree on {len(wrong)} tensors: {name} should be in "
                f"{wanted.get(name, 'no file')}, but is in {found.get(name, 'no file')}. The checkpoint is not whole."
            )

    def bytes(self, name: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a tensor. Raises ModelError when the file has become shorter."""
        entry = self.entries[name]
        parts, position, end = [], entry.offset + start, entry.offset + stop
        while position < end:  # one call reads at most 2 GiB
            part = os.pread(self._handles[entry.file].fileno(), end - position, position)
            if not part:
                raise ModelError(f"{self.folder / entry.file} became shorter while it was read.")
            parts.append(part)
            position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def raw(self, name: str, start: int, stop: int) -> Raw:
        """Elements [start, stop) of a float tensor as their bits (uint16 or uint32), flat, read-only."""
        bits = FLOATS[self.entries[name].dtype]
        return np.frombuffer(self.bytes(name, start * bits.itemsize, stop * bits.itemsize), bits)

    def values(self, name: str, start: int, stop: int) -> F32:
        """Elements [start, stop) of a float tensor as float32, flat."""
        return to_float32(self.raw(name, start, stop), self.entries[name].dtype)

    def expect(self, name: str, start: int, stop: int) -> None:
        """Tell the system that these elements of a float tensor are read next."""
        entry = self.entries[name]
        width = FLOATS[entry.dtype].itemsize
        if hasattr(os, "posix_fadvise"):
            place = entry.offset + start * width
            os.posix_fadvise(self._handles[entry.file].fileno(), place, (stop - start) * width, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the files."""
        for handle in self._handles.values():
            handle.close()


def to_float32(raw: Raw, dtype: str) -> F32:
    """Bits of F32, F16 or BF16 as float32 values."""
    if dtype == "F32":
        return raw.view(np.float32)
    if dtype == "F16":
        return raw.view(np.float16).astype(np.float32)
    wide = raw.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def from_float32(values: F32, dtype: str) -> Raw:
    """float32 values as bits of F32, F16 or BF16, rounded to nearest, ties to even; too large ones become infinite."""
    if dtype == "F32":
        return values.view(np.uint32)
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).view(np.uint16)
    bits = values.view(np.uint32)
    rounded: Raw = ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(
        np.uint16
    )
    return rounded
