"""Which number format `dtype: auto` takes on a processor, and why: fast where that changes no weight, else exact."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from recollect.models.files import Stored
from recollect.models.find import is_adapter
from recollect.models.formats import rounded_in

SMALL = 50_000_000
"""Weights under which a model stays in float32: it is quick in either, and float32 is the more exact."""


def format_on_processor(folder: Path) -> tuple[str, str]:
    """(number format, its reason) for the model of a folder, asked on a CPU. Nothing is trained in it.

    bfloat16 only for a model that is stored in it, on a processor that computes in it: others emulate it, slowly, and
    other models would be rounded.
    """
    if not computes_bfloat16():
        return "float32", "this processor does not compute in bfloat16"
    if is_adapter(folder):
        return "float32", "an adapter's merge would be rounded in bfloat16"
    if weight_count(folder) < SMALL:
        return "float32", "exact, for a small model"
    if rounded_in(folder, "bfloat16"):
        return "float32", "stored with more digits than bfloat16 has"
    return "bfloat16", "stored in it, and this processor computes in it"


@cache
def computes_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself (AMX or AVX-512 BF16); False where torch cannot tell."""
    import torch

    known = [getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")]
    return any(ask is not None and bool(ask()) for ask in known)


def weight_count(folder: Path) -> int:
    """How many numbers the model has, as stored."""
    with Stored(folder) as stored:
        return sum(math.prod(shape) for shape in stored.shapes().values())
