"""The restored checkpoint, written in a stream: the tuned model's shards with base values where the cut says so.

Notable choices
- Shapes and formats do not change, so the tuned model's header is the new one, byte for byte, and every tensor keeps
  its place. Nothing larger than a piece is ever in memory.
- Each shard is synced to disk and read back: header, length and CRC-32 must be what was meant. The checksum guards
  against accidents, not against people, and costs half of what SHA-256 does.
- Only plain files that belong to a model go along (configuration, tokenizer, licence): no other weights, no code, and
  no link that leads out of the model's folder.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from recollect.errors import ModelError
from recollect.models.files import read_header
from recollect.weights.live import interpolate
from recollect.weights.pair import CheckpointPair
from recollect.weights.ranking import Cut, Mask
from recollect.weights.read import (
    CHUNK,
    FLOATS,
    Checkpoint,
    Piece,
    Raw,
    from_float32,
    in_order,
    threads_to_use,
    to_float32,
)

_ALONG = {".json", ".py", ".txt", ".model", ".jinja", ".tiktoken", ".md", ""}
_INDEX = ".safetensors.index.json"
_SYNC_EVERY = 1 << 28  # bytes handed to the disk at once, while the next are computed
_READ = 1 << 22


@dataclass
class Written:
    """What went into the files."""

    restored: int = 0
    changed: int = 0
    checksums: dict[str, int] = field(default_factory=dict)
    """CRC-32 of every weights file, by name."""


@dataclass(frozen=True)
class Between:
    """What is written in place of a cut: every weight that both sides have at base + alpha * change (WiSE-FT)."""

    alpha: float

    @property
    def restored(self) -> int:
        """No weight is set back to the base's value."""
        return 0


def companions(weights: Checkpoint) -> list[Path]:
    """The files beside the weights that a copy of the model needs. Raises ModelError for a link out of the folder."""
    folder = weights.folder
    home = folder.parent.parent if folder.parent.name == "snapshots" else folder  # a hub cache links to its own blobs
    found = []
    for file in sorted(folder.iterdir()):
        unused_index = file.name.endswith(_INDEX) and file.name != weights.index
        if file.name.startswith(".") or file.suffix not in _ALONG or unused_index or not file.is_file():
            continue
        if not file.resolve().is_relative_to(home.resolve()):
            raise ModelError(f"{file} is a link that leads out of the model's folder. Put the file itself there.")
        found.append(file)
    return found


def bytes_needed(weights: Checkpoint) -> int:
    """The size of a copy of the model."""
    files = [weights.folder / file for file in weights.files] + companions(weights)
    return sum(file.stat().st_size for file in files)


def write_model(
    pair: CheckpointPair, cut: Cut | Between, folder: Path, tell: Callable[[int], None] | None = None
) -> Written:
    """Write the tuned model of `pair` into the new `folder`, the weights of `cut` with their base values, or all of
    them in between.

    `tell` gets the number of weights written, piece by piece. Raises ModelError for NaN and infinities outside the
    region, and when what is on disk is not what was meant; OSError from the disk.
    """
    folder.mkdir()
    written = Written()
    for file in pair.shape.files:
        with (folder / file).open("xb") as target:
            written.checksums[file] = _write_shard(pair, cut, file, target, written, tell)
    for source in companions(pair.shape):
        with source.open("rb") as read, (folder / source.name).open("xb") as copy:
            copy.write(read.read())
            copy.flush()
            os.fsync(copy.fileno())
    _verify(pair, cut, folder, written)
    return written


def _write_shard(
    pair: CheckpointPair,
    cut: Cut | Between,
    file: str,
    target: IO[bytes],
    written: Written,
    tell: Callable[[int], None] | None,
) -> int:
    """One weights file, in the order of its bytes; its checksum."""
    with (pair.shape.folder / file).open("rb") as source:
        header = source.read(pair.shape.data_start[file])
    checksum = zlib.crc32(header)
    target.write(header)
    todo = list(_in_file(pair.shape, file))
    unsynced = 0
    syncing: Future[None] | None = None
    with ThreadPoolExecutor(1) as disk:
        for piece, (data, restored, changed) in zip(
            todo, in_order(todo, lambda piece: _content(pair, cut, piece), threads_to_use()), strict=True
        ):
            target.write(data.data)
            checksum = zlib.crc32(data.data, checksum)
            written.restored += restored
            written.changed += changed
            unsynced += data.nbytes
            if unsynced >= _SYNC_EVERY and (syncing is None or syncing.done()):
                target.flush()
                syncing, unsynced = disk.submit(os.fsync, target.fileno()), 0
            if tell:
                tell(piece.stop - piece.start)
        target.flush()
        disk.submit(os.fsync, target.fileno()).result()
    return checksum


def _in_file(weights: Checkpoint, file: str) -> Iterator[Piece]:
    """The pieces of a file's tensors, in the order of their bytes; of tensors of whole numbers, pieces of bytes."""
    inside = [(entry.offset, name) for name, entry in weights.entries.items() if entry.file == file]
    for _, name in sorted(inside):
        entry = weights.entries[name]
        size = entry.size if entry.dtype in FLOATS else entry.nbytes
        for start in range(0, size, CHUNK):
            yield Piece(name, start, min(start + CHUNK, size))


def _content(pair: CheckpointPair, cut: Cut | Between, piece: Piece) -> tuple[Raw, int, int]:
    """The new bits of a piece, how many weights of it were restored, and how many of those differed."""
    name, dtype = piece.name, pair.shape.entries[piece.name].dtype
    if dtype not in FLOATS:
        return np.frombuffer(pair.shape.bytes(*piece), np.uint8), 0, 0
    if isinstance(cut, Between):
        return _between(pair, cut.alpha, piece, dtype), 0, 0
    ranked_as = pair.aliases.get(name, name)
    if not cut.has(ranked_as) and not pair.merged(name):
        bits = pair.shape.raw(*piece)
        _check_finite(pair, piece, bits, dtype)
        return bits, 0, 0
    pair.expect(*piece)
    content = np.empty(piece.stop - piece.start, FLOATS[dtype])
    restored = changed = 0
    for start, stop in piece.blocks():
        base, tuned, base_bits, tuned_bits = pair.read_bits(name, start, stop)
        if ranked_as == name:
            mask = cut.mask(name, base, tuned, start)
            restored += int(np.count_nonzero(mask))
            changed += int(np.count_nonzero(mask & (base != tuned)))
        else:  # a tied copy, counted with its original
            mask = cut.mask(ranked_as, *pair.read(ranked_as, start, stop), start)
        content[start - piece.start : stop - piece.start] = _choose(mask, base_bits, tuned_bits)
    return content, restored, changed


def _between(pair: CheckpointPair, alpha: float, piece: Piece, dtype: str) -> Raw:
    """The bits of a piece in between; what the base does not have, as the tuned side has it."""
    name = piece.name
    if pair.aliases.get(name, name) in pair.unrankable:
        bits = pair.shape.raw(*piece)
        _check_finite(pair, piece, bits, dtype)
        return bits
    pair.expect(*piece)
    content = np.empty(piece.stop - piece.start, FLOATS[dtype])
    for start, stop in piece.blocks():
        values = interpolate(*pair.read(name, start, stop), alpha)
        content[start - piece.start : stop - piece.start] = from_float32(values, dtype)
    _check_finite(pair, piece, content, dtype)
    return content


def _choose(mask: Mask, base: Raw, tuned: Raw) -> Raw:
    """`np.where(mask, base, tuned)` in bit operations, several times as fast on a mask without pattern."""
    ones: Raw = np.negative(mask.view(np.uint8).astype(tuned.dtype))  # all bits set where the mask is
    ones &= base ^ tuned
    ones ^= tuned
    return ones


def _check_finite(pair: CheckpointPair, piece: Piece, bits: Raw, dtype: str) -> None:
    for start, stop in piece.blocks():
        if not np.isfinite(to_float32(bits[start - piece.start : stop - piece.start], dtype)).all():
            raise ModelError(
                f"the tuned model's weight {piece.name} holds NaN or infinite values. The checkpoint is broken."
            )


def _verify(pair: CheckpointPair, cut: Cut | Between, folder: Path, written: Written) -> None:
    """Read the written files back; raises ModelError when they, or the number of weights restored, are not as meant."""
    if written.restored != cut.restored:
        raise ModelError(
            f"{cut.restored:,} weights were to be restored, but {written.restored:,} were. The models changed while "
            "they were read; let nothing write to them and run it again."
        )
    same = in_order(
        pair.shape.files,
        lambda file: _same(pair.shape.folder / file, folder / file, written.checksums[file]),
        threads_to_use(),
    )
    for file, good in zip(pair.shape.files, same, strict=True):
        if not good:
            raise ModelError(f"{folder / file} does not hold what was written to it. Check the disk and run it again.")


def _same(model: Path, copy: Path, wanted: int) -> bool:
    checksum = 0
    with copy.open("rb", buffering=0) as file:
        buffer = bytearray(_READ)
        view: Any = memoryview(buffer)
        while count := file.readinto(buffer):
            checksum = zlib.crc32(view[:count], checksum)
    whole = copy.stat().st_size == model.stat().st_size and read_header(copy) == read_header(model)
    return whole and checksum == wanted
