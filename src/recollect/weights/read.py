"""Checkpoints read in pieces: of any shard layout, matched where two are laid out differently, on a few threads.

Notable choices
- Read with `pread` at the header's offsets, not through a memory map: a map's pages count as this process's memory.
- The safetensors library checks each header (size, offsets, shapes against dtype, gaps, overlaps); then we read it.
- bf16 is the upper half of fp32, so it needs no library: 16 bits moved up are the value.
- Buffers that code computes (rotary frequencies, GPT-2's masks) are no weights: one side may have them alone.
- A model without an output head of its own uses its embedding as one, so the other side's head is compared with that; a
  tuned model that ties what the base keeps apart cannot hold the base's values and is refused.
- Prefixes (`transformer.`, `model.`) and old names are understood by transformers' own rules, with both models built on
  the meta device. Only then is torch needed.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from recollect.core.machine import choose_threads
from recollect.errors import ModelError
from recollect.models.files import INDEX, parameter_of, read_header, tensor_items, weight_files
from recollect.models.whole import HARMLESS, bare_model

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
        self._handles: dict[str, FileIO] = {}
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


# -- two layouts of one model ----------------------------------------------------------------------------------

_HEADS = ("lm_head.weight", "embed_out.weight")
_TABLES = ("embed_tokens.weight", "wte.weight", "embed_in.weight")
_COMPARED = 1 << 24


@dataclass(frozen=True)
class Places:
    """Where each tuned tensor has its base values: stored name to stored name. `alone`: buffers without a partner."""

    base: Mapping[str, str]
    alone: frozenset[str]


def is_buffer(name: str) -> bool:
    """Whether a stored tensor is a buffer that code computes, not a weight."""
    return bool(HARMLESS.search(name))


def match(base: Checkpoint, tuned: Checkpoint) -> Places:
    """Match the tensors of two checkpoints. Raises ModelError that names what has no partner, and the way out."""
    found = _match({name: name for name in base.entries}, {name: name for name in tuned.entries}, base)
    if isinstance(found, Places):
        return found
    ours, theirs = (parameter_names(side.folder, side.entries) for side in (base, tuned))
    again = _match(ours, theirs, base) if ours and theirs else found
    if isinstance(again, Places):
        return again
    missing, extra = found
    tied = ""
    if any(name.endswith(_HEADS) for name in [*missing, *extra]):
        tied = " One side ties its output head to its embeddings, the other does not: save both in the same way."
    raise ModelError(
        f"base and tuned must hold the same tensors, but the tuned model lacks {len(missing)} "
        f"({', '.join(missing[:3]) or '-'}) and adds {len(extra)} ({', '.join(extra[:3]) or '-'}).{tied} If they are "
        "one model in two layouts, load each with transformers and save it again."
    )


def _match(
    ours: Mapping[str, str], theirs: Mapping[str, str], base: Checkpoint
) -> Places | tuple[list[str], list[str]]:
    """Match by common names; each side maps them to its stored ones. What has no partner, when there is such."""
    places = {stored: ours[name] for name, stored in theirs.items() if name in ours}
    alone = {stored for name, stored in theirs.items() if name not in ours and is_buffer(name)}
    head, table = one_of(ours, _HEADS), one_of(ours, _TABLES)
    extra = [name for name, stored in theirs.items() if stored not in places and stored not in alone]
    if head is None and table is not None and len(extra) == 1 and extra[0].endswith(_HEADS):
        places[theirs[extra[0]]] = ours[table]
        extra = []
    missing = [name for name in ours if name not in theirs and not is_buffer(name)]
    if head is not None and table is not None and missing == [head] and same_values(base, ours[head], ours[table]):
        missing = []
    if missing or extra:
        return sorted(missing), sorted(extra)
    return Places(places, frozenset(alone))


def parameter_names(folder: Path, stored: Iterable[str]) -> dict[str, str]:
    """The names that tensors have in the model, mapped to those they are stored by; empty where that is not known."""
    try:
        model = bare_model(folder)
    except ModelError:
        return {}
    return names_in(model, stored)


def names_in(model: Any, stored: Iterable[str]) -> dict[str, str]:
    """The names that tensors have in a model, mapped to those they are stored by: a prefix more or less, or renamed.

    Renamed ones are understood by transformers' own rules (the names that Llava's weights have on the hub). Tensors
    that it joins or cuts while it loads have no single name, and keep their own.
    """
    known = {*model.state_dict(), *(name for name, _ in model.named_parameters(remove_duplicate=False))}
    renamings = _renamings(model)

    def own(name: str) -> str:
        renamed = name
        for rule in renamings:
            renamed, _ = rule.rename_source_key(renamed)
        prefix = model.base_model_prefix
        return parameter_of(name, known, prefix) or parameter_of(renamed, known, prefix) or name

    return {own(name): name for name in stored}


def _renamings(model: Any) -> list[Any]:
    """transformers' rules for this model that only rename; none where this version has none."""
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightRenaming
    except ImportError:
        return []
    return [rule for rule in get_model_conversion_mapping(model) if isinstance(rule, WeightRenaming)]


def tied_copies(config: Mapping[str, object], base: Checkpoint, tuned: Checkpoint, places: Places) -> dict[str, str]:
    """Copies of tied token matrices in a file that holds both: the head's name to the embedding's.

    Only where both really are one matrix, on both sides: of two that differ, the loaded model keeps both.
    """
    head, table = one_of(tuned.entries, _HEADS), one_of(tuned.entries, _TABLES)
    if not config.get("tie_word_embeddings") or head is None or table is None:
        return {}
    ours = places.base.get(head), places.base.get(table)
    one = same_values(tuned, head, table)
    if one and ours[0] is not None and ours[1] is not None:
        one = same_values(base, ours[0], ours[1])
    return {head: table} if one else {}


def one_of(names: Collection[str], endings: tuple[str, ...]) -> str | None:
    """The one name with such an ending; None when there is none, or several."""
    found = [name for name in names if name.endswith(endings)]
    return found[0] if len(found) == 1 else None


def same_values(weights: Checkpoint, one: str, other: str) -> bool:
    """Whether two tensors of a checkpoint hold the same bytes."""
    if one == other:
        return True
    first, second = weights.entries[one], weights.entries[other]
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    return all(
        weights.bytes(one, at, min(at + _COMPARED, first.nbytes))
        == weights.bytes(other, at, min(at + _COMPARED, first.nbytes))
        for at in range(0, first.nbytes, _COMPARED)
    )


# -- the walk: pieces of bounded size, worked on by a few threads, given back in order ----------------------------

CHUNK = 1 << 22  # elements given to a thread at once
BLOCK = 1 << 16  # elements computed on at once: a few arrays of this size stay in a core's cache
MOST_THREADS = 8  # each holds some 30 MB

T = TypeVar("T")
R = TypeVar("R")


class Piece(NamedTuple):
    """Flat elements [start, stop) of a tensor."""

    name: str
    start: int
    stop: int

    def blocks(self) -> Iterator[tuple[int, int]]:
        """The piece in blocks, as (start, stop); always cut at multiples of BLOCK."""
        for start in range(self.start, self.stop, BLOCK):
            yield start, min(start + BLOCK, self.stop)


def pieces(names: Sequence[str], sizes: Mapping[str, int]) -> list[Piece]:
    """The tensors cut into pieces of at most CHUNK elements, in the order given; empty tensors have none."""
    return [
        Piece(name, start, min(start + CHUNK, sizes[name])) for name in names for start in range(0, sizes[name], CHUNK)
    ]


def threads_to_use() -> int:
    """How many threads to work with."""
    return min(choose_threads()[0], MOST_THREADS)


def in_order(items: Iterable[T], work: Callable[[T], R], threads: int) -> Iterator[R]:
    """`map(work, items)` on some threads, results in the order of the items; at most threads + 1 are under way.

    The first error ends the walk and is raised here.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[R]] = deque(pool.submit(work, item) for item in islice(waiting, threads + 1))
        try:
            while running:
                result = running.popleft().result()
                running.extend(pool.submit(work, item) for item in islice(waiting, 1))
                yield result
        finally:
            for future in running:
                future.cancel()
