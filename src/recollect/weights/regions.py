"""Regions of a model, its layers and its modules, read from tensor names.

The names are those of Llama and its relatives (Mistral, Qwen, Gemma, OLMo, the pocket); GPT-2's and GPT-NeoX's are
known too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from recollect.errors import InputError

REGIONS = ("decoder", "attention", "mlp", "embedding", "all")

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_NORM = re.compile(r"norm|^ln(_|\d|$)")
_ATTENTION = {"self_attn", "attn", "attention", "self_attention"}
_MLP = {"mlp", "feed_forward", "ffn", "block_sparse_moe", "moe"}
_EMBEDDING = {"embed_tokens", "wte", "wpe", "embed_in", "embed_positions", "word_embeddings"}
_HEAD = {"lm_head", "embed_out"}
_ROUTER = re.compile(r"(?:^|\.)(?:router(?:\..*)?|gate)\.(?:weight|bias)$")


def in_region(names: Iterable[str], region: str) -> list[str]:
    """The names in a region, sorted.

    `decoder` (paper C's): what lies in the decoder layers, without norms. `attention`, `mlp`: the parts of it.
    `embedding`: token embeddings and the output head. `all`: everything. Else a glob (`model.layers.1?.mlp.*`) or,
    after `re:`, a regular expression that some part of the name must match. Raises InputError when no name is in it.
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
        return layer_of(name) is None and bool(parts & (_EMBEDDING | _HEAD))
    if layer_of(name) is None or any(_NORM.search(part) for part in parts):
        return False
    return region == "decoder" or bool(parts & (_ATTENTION if region == "attention" else _MLP))


def layer_of(name: str) -> int | None:
    """The number of the decoder layer that holds a tensor; None for embeddings, the head and the last norm."""
    found = _LAYER.search(name)
    return int(found[1]) if found else None


def module_of(name: str) -> str:
    """The kind of a tensor, for tables: attn.q, attn.o, mlp.down, mlp.router, norm, embed, head, or its own last part.

    A bias counts with its weight, the experts of a mixture count together.
    """
    parts = name.split(".")
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
    if set(parts) & _MLP:
        return "mlp.router" if _ROUTER.search(name) else f"mlp.{leaf}"
    return leaf
