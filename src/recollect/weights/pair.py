"""A base and a tuned model, read side by side in small pieces: from disk or from memory.

Notable choices
- Compared in float32, whatever the files hold. Whatever does not fit is an error that names the tensor.
- A token matrix of another size (a resized vocabulary) is the one difference let pass: it is neither ranked nor
  restored, and a region that includes it is refused.
- Tied embeddings that a file holds twice are counted once; the copy follows the original.
- Other layouts of one model (prefixes, buffers, tied and untied heads) are matched, see `read`.
- A LoRA adapter is what loading it gives, in float32. It is ranked before it is rounded to the base's format, so a
  change too small for bf16 still has its rank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from recollect.core.json_object import JsonObject
from recollect.errors import InputError, ModelError
from recollect.models import ModelRef, base_changed, resolve_name
from recollect.models.check import read_model_config
from recollect.models.quantised import refuse_quantised
from recollect.weights.adapter import Adapter
from recollect.weights.read import (
    F32,
    FLOATS,
    Checkpoint,
    Entry,
    Raw,
    from_float32,
    is_buffer,
    match,
    tied_copies,
    to_float32,
)

if TYPE_CHECKING:
    import torch

_WHOLE = "whole numbers"
_BUFFER = "a buffer that code computes"


class Pair(Protocol):
    """What ranking and measuring need of a pair."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of elements of every tensor that can be ranked, by name, in canonical (sorted) order."""

    @property
    def unrankable(self) -> Mapping[str, str]:
        """Tensors that cannot be ranked, and why. They stay as tuned."""

    @property
    def dtypes(self) -> Mapping[str, str]:
        """The tuned side's format of every tensor that can be ranked: "F32", "F16" or "BF16"."""

    def read(self, name: str, start: int, stop: int) -> tuple[F32, F32]:
        """Flat elements [start, stop) of a tensor as float32, base and tuned; not to be written to."""

    def expect(self, name: str, start: int, stop: int) -> None:
        """Say which elements are read next, so that the disk can start."""


def names_of(pair: Pair, region: str) -> list[str]:
    """The tensors of a region, sorted. Raises InputError when it holds none, or one that cannot be ranked."""
    found = in_region([*pair.sizes, *pair.unrankable], region)
    bad = [name for name in found if pair.unrankable.get(name, _WHOLE) not in (_WHOLE, _BUFFER)]
    if bad:
        raise InputError(
            f"region {region!r} holds {bad[0]}, which cannot be ranked: {pair.unrankable[bad[0]]}. "
            "Take a region without it, such as decoder."
        )
    return [name for name in found if name in pair.sizes]


class TensorPair:
    """A pair in memory: two mappings of names to torch tensors, such as `dict(model.named_parameters())`.

    Nothing is copied but the piece being read, so `tuned` may be a live model's parameters. Tied weights should be
    given once (named_parameters does so). Raises InputError when names or shapes differ.
    """

    def __init__(self, base: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor]) -> None:
        odd = sorted({*base} ^ {*tuned}) or sorted(name for name in base if base[name].shape != tuned[name].shape)
        if odd:
            raise InputError(f"both sides must hold the same tensors, but {len(odd)} differ: {', '.join(odd[:3])}.")
        self._base, self._tuned = base, tuned
        floats = [name for name in sorted(base) if tuned[name].is_floating_point()]
        self.sizes: dict[str, int] = {name: tuned[name].numel() for name in floats}
        self.unrankable: dict[str, str] = {name: _WHOLE for name in sorted(base) if name not in self.sizes}
        formats = {"torch.bfloat16": "BF16", "torch.float16": "F16"}
        self.dtypes: dict[str, str] = {name: formats.get(str(tuned[name].dtype), "F32") for name in floats}

    def read(self, name: str, start: int, stop: int) -> tuple[F32, F32]:
        """Flat elements [start, stop) as float32, base and tuned."""
        return as_float32(self._base[name], start, stop), as_float32(self._tuned[name], start, stop)

    def expect(self, name: str, start: int, stop: int) -> None:
        """Nothing to wait for in memory."""


def as_float32(values: Any, start: int = 0, stop: int | None = None) -> F32:
    """Flat elements of a torch tensor or a numpy array as float32."""
    if hasattr(values, "detach"):
        flat: F32 = values.detach().reshape(-1)[start:stop].float().cpu().numpy()
        return flat
    return np.asarray(values).reshape(-1)[start:stop].astype(np.float32, copy=False)


class CheckpointPair:
    """Two checkpoints on disk. Open with `open_pair`; close with `with` or `close`.

    `warnings` holds texts for the user. `shape` is the checkpoint whose shards, header and formats a restored model
    takes: the tuned one, or the base of an adapter.
    """

    def __init__(self, base: ModelRef, tuned: ModelRef) -> None:
        self.base, self.tuned = base, tuned
        self.base_folder, self.tuned_folder = base.folder, tuned.folder
        self.warnings: tuple[str, ...] = ()
        self._base = _open(base.folder)
        try:
            self._adapter = Adapter(tuned.folder, self._base, base.runs_code) if tuned.base else None
            self.shape = self._base if self._adapter else _open(tuned.folder)
            self._compare(read_model_config(base.folder), read_model_config(self.shape.folder))
        except BaseException:
            self.close()
            raise

    @property
    def adapter(self) -> bool:
        """Whether the tuned side is a LoRA adapter."""
        return self._adapter is not None

    def _compare(self, base_config: JsonObject, config: JsonObject) -> None:
        if base_config.get("model_type") != config.get("model_type"):
            raise ModelError(
                f"base and tuned must be of one architecture, but {self.base_folder} is "
                f"{base_config.get('model_type')!r} and {self.tuned_folder} is {config.get('model_type')!r}."
            )
        self._places = match(self._base, self.shape)
        self.aliases = tied_copies(config, self._base, self.shape, self._places)
        self.unrankable: dict[str, str] = {}
        other_format = [name for name, entry in self.shape.entries.items() if self._compare_tensor(name, entry)]
        skipped = {*self.unrankable, *self.aliases}
        self.sizes = {name: entry.size for name, entry in self.shape.entries.items() if name not in skipped}
        self.dtypes = {name: self.shape.entries[name].dtype for name in self.sizes}
        for name in self.aliases:
            if self.aliases[name] in self.unrankable:
                self.unrankable[name] = self.unrankable[self.aliases[name]]
        if other_format:
            name = other_format[0]
            self._warn(
                f"{len(other_format)} tensors have another number format in the base ({name}: "
                f"{self._entry(name).dtype}, tuned {self.shape.entries[name].dtype}). They are compared in float32; "
                "base values are rounded to the tuned model's format."
            )
        self._warn_of_adapter()

    def _compare_tensor(self, name: str, entry: Entry) -> bool:
        """Note what of a tensor cannot be ranked; whether the base has it in another number format."""
        if is_buffer(name):
            self.unrankable[name] = _BUFFER
            return False
        ours = self._entry(name)
        if ours.shape != entry.shape:
            self._compare_shape(name, ours.shape, entry.shape)
        if entry.dtype in FLOATS and ours.dtype in FLOATS:
            return ours.dtype != entry.dtype
        if ours.dtype != entry.dtype:
            raise ModelError(f"the tensor {name} is {ours.dtype} in the base, {entry.dtype} in the tuned model.")
        self.unrankable[name] = _WHOLE
        return False

    def _entry(self, name: str) -> Entry:
        """Where the base holds the values of a tuned tensor."""
        return self._base.entries[self._places.base[name]]

    def _warn_of_adapter(self) -> None:
        if self._adapter:
            self._warn(
                "The tuned model is a LoRA adapter: what is ranked and restored is the merged change, weight by "
                "weight, as loading it gives it. The result is a whole model, not an adapter: a restored change is no "
                "longer of low rank."
            )
            if self.tuned.whole.resolve() != self.base_folder.resolve():
                self._warn(
                    f"The adapter was trained on {self.tuned.whole}, but is merged into {self.base_folder} here."
                )
            if changed := base_changed(self.tuned, self.base):
                self._warn(changed)

    def _compare_shape(self, name: str, ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
        resized = len(ours) == len(theirs) == 2 and ours[1] == theirs[1]
        if not (resized and module_of(name) in ("embed", "head")):
            raise ModelError(f"the tensor {name} is {ours} in the base, but {theirs} in the tuned model.")
        self.unrankable[name] = f"its vocabulary was resized from {ours[0]} to {theirs[0]} rows"
        self._warn(f"{name} is neither ranked nor restored: {self.unrankable[name]}.")

    def _warn(self, text: str) -> None:
        self.warnings = (*self.warnings, text)

    def read(self, name: str, start: int, stop: int) -> tuple[F32, F32]:
        """Flat elements [start, stop) as float32, base and tuned (an adapter's: before rounding)."""
        base = self._base.values(self._places.base[name], start, stop)
        if self._adapter:
            return base, self._adapter.values(name, start, stop) if self.merged(name) else base
        return base, self.shape.values(name, start, stop)

    def read_bits(self, name: str, start: int, stop: int) -> tuple[F32, F32, Raw, Raw]:
        """What `read` gives, and the bits of both in the number format of a restored model.

        Raises ModelError when base values are too large for that format.
        """
        dtype, base_dtype = self.shape.entries[name].dtype, self._entry(name).dtype
        base_bits = self._base.raw(self._places.base[name], start, stop)
        base = to_float32(base_bits, base_dtype)
        if self._adapter and self.merged(name):
            tuned = self._adapter.values(name, start, stop)
            tuned_bits = from_float32(tuned, dtype)
        elif self._adapter:
            tuned, tuned_bits = base, base_bits
        else:
            tuned_bits = self.shape.raw(name, start, stop)
            tuned = to_float32(tuned_bits, dtype)
        if base_dtype != dtype:
            base_bits = from_float32(base, dtype)
            if not np.isfinite(to_float32(base_bits, dtype)).all():
                raise ModelError(f"base values of {name} are too large for {dtype}. Convert the tuned model to F32.")
        return base, tuned, base_bits, tuned_bits

    def weights_of(self, folder: Path) -> Checkpoint:
        """The checkpoint of one of the pair's two folders; an adapter's own file for an adapter."""
        if folder == self.base_folder:
            return self._base
        return self._adapter.weights if self._adapter else self.shape

    def merged(self, name: str) -> bool:
        """Whether the tuned values of a tensor are made by an adapter, not stored."""
        return self._adapter is not None and name in self._adapter.changed

    def expect(self, name: str, start: int, stop: int) -> None:
        """Let the disk start on these elements."""
        self._base.expect(self._places.base[name], start, stop)
        if self.shape is not self._base:
            self.shape.expect(name, start, stop)

    def close(self) -> None:
        """Close the files."""
        for part in (getattr(self, "_base", None), getattr(self, "shape", None), getattr(self, "_adapter", None)):
            if part is not None:
                part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_pair(
    base: str | Path,
    tuned: str | Path,
    *,
    revision: str | None = None,
    tuned_revision: str | None = None,
    trust_remote_code: bool = False,
) -> CheckpointPair:
    """Open a base / tuned pair of models: folders, step directories, hub names, or for `tuned` a LoRA adapter folder.

    The revisions choose among a hub model's versions. Weights are read without running any code; a folder that brings
    code is refused all the same unless trusted and pinned, since what is written from it would run.
    Raises ModelError for models that are missing, unsafe, not whole, or do not belong together; the text names the
    tensor. NaN and infinities are met, and refused, while ranking and measuring.
    """
    base_ref = resolve_name(base, revision, trust_remote_code)
    tuned_ref = resolve_name(tuned, tuned_revision, trust_remote_code)
    if base_ref.base:
        raise ModelError(
            f"the base must be a whole model, but {base_ref.folder} is an adapter. Give the model it was trained on."
        )
    for side in (base_ref, tuned_ref):
        refuse_quantised(
            side.whole,
            "what compares or restores weights (drift, restore)",
            "An adapter of it can be evaluated all the same; its whole change is its own file. ",
        )
    return CheckpointPair(base_ref, tuned_ref)


def _open(folder: Path) -> Checkpoint:
    return Checkpoint(folder, read_model_config(folder).get("transformers_weights"))


# -- regions, layers and modules: read from tensor names as Llama and its relatives, GPT-2 and GPT-NeoX have them ---

REGIONS = ("decoder", "attention", "mlp", "embedding", "all")

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_NORM = re.compile(r"norm|^ln(_|\d|$)")
_ATTENTION = {"self_attn", "attn", "attention", "self_attention", "linear_attn"}
_STATE = {"mamba", "mixer", "conv", "conv_layer"}
_MLP = {"mlp", "feed_forward", "ffn", "block_sparse_moe", "moe", "shared_mlp", "fc1", "fc2"}
_SEES = re.compile(
    r"(?:^|\.)(vision_tower|vision_model|visual|vision_encoder|vision_embed_tokens|audio_tower|embed_vision|embed_audio"
    r"|multi_modal_projector|connector|merger)\."
)
_EMBEDDING = {"embed_tokens", "wte", "wpe", "embed_in", "embed_positions", "word_embeddings"}
_HEAD = {"lm_head", "embed_out"}
_ROUTER = re.compile(r"(?:^|\.)(?:router(?:\..*)?|gate)\.(?:weight|bias)$")


def in_region(names: Iterable[str], region: str) -> list[str]:
    """The names in a region, sorted.

    `decoder` (that of *Token and Parameter Levels*): what lies in the decoder layers, without norms. `attention`,
    `mlp`: the parts of it. `embedding`: token embeddings and the output head. `all`: everything. Else a glob
    (`model.layers.1?.mlp.*`) or, after `re:`, a regular expression that some part of the name must match. Raises
    InputError when no name is in it.
    """
    names = sorted(names)
    if region in REGIONS:
        found = [name for name in names if _belongs(name, region)]
    elif region.startswith("re:"):
        try:
            pattern = re.compile(region[3:])
        except re.error as error:
            raise InputError(f"region {region!r} is no regular expression: {error}.") from None
        found = [name for name in names if pattern.search(name)]
    else:
        found = [name for name in names if fnmatchcase(name, region)]
    if not found:
        known = f"{', '.join(REGIONS)}, a pattern of tensor names, or re: and a regular expression"
        example = f" The model's tensors are named like {names[len(names) // 2]}." if names else ""
        raise InputError(f"region must be {known}, but {region!r} holds no tensor of this model.{example}")
    return found


def _belongs(name: str, region: str) -> bool:
    parts = set(name.split("."))
    if region == "all":
        return True
    if region == "embedding":
        return not sees(name) and layer_of(name) is None and bool(parts & (_EMBEDDING | _HEAD))
    if layer_of(name) is None or any(_NORM.search(part) for part in parts):
        return False
    return region == "decoder" or bool(parts & (_ATTENTION if region == "attention" else _MLP))


def layer_of(name: str) -> int | None:
    """The number of the decoder layer that holds a tensor; None for embeddings, the head, the last norm and whatever
    sees or hears."""
    if sees(name):
        return None
    found = _LAYER.search(name)
    return int(found[1]) if found else None


def sees(name: str) -> bool:
    """Whether a tensor belongs to the part of a multimodal model that is not its language model."""
    return bool(_SEES.search(name))


def module_of(name: str) -> str:
    """The kind of a tensor, for tables: attn.q, attn.o, mlp.down, mlp.router, norm, embed, head, or its own last part.

    A bias counts with its weight, the experts of a mixture count together; what sees or hears is vision.
    """
    parts = name.split(".")
    if sees(name):
        return "vision"
    if any(_NORM.search(part) for part in parts):
        return "norm"
    if set(parts) & _EMBEDDING:
        return "embed"
    if set(parts) & _HEAD:
        return "head"
    leaf = parts[-2] if parts[-1] in ("weight", "bias") and len(parts) > 1 else parts[-1]
    leaf = leaf.removesuffix("_proj")
    if set(parts) & _ATTENTION:
        return f"attn.{leaf}"
    if set(parts) & _STATE:
        return f"state.{leaf}"
    if set(parts) & _MLP:
        return "mlp.router" if _ROUTER.search(name) else f"mlp.{leaf}"
    return leaf
