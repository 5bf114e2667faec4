"""The number formats in which a model folder stores its weights, and saving another model in the same ones.

Loading, computing and storing are three formats. A model may be loaded in one that holds its stored weights exactly
(bfloat16 in float32) or in one that rounds them (float32 in bfloat16); a training must know which, since it starts from
the base as stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.errors import ModelError
from recollect.models.files import Stored, all_finite
from recollect.models.find import is_adapter

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from recollect.models.load import LoadedModel

_HOLDS = {
    "float64": {"float64", "float32", "bfloat16", "float16"},
    "float32": {"float32", "bfloat16", "float16"},
    "bfloat16": {"bfloat16"},
    "float16": {"float16"},
}
"""Which stored formats a loaded one holds without rounding."""


@dataclass(frozen=True)
class Moved:
    """Which share of the weights a training moved: as it computed them, and as they are stored."""

    trained: float
    stored: float


def rounded_in(folder: Path, dtype: str) -> bool:
    """Whether loading the folder's weights in `dtype` rounds any of them. An adapter's merge is always computed in the
    format it is loaded in, so it counts as rounded in all but float32."""
    if is_adapter(folder):
        return dtype != "float32"
    with Stored(folder) as stored:
        return not set(stored.formats().values()) <= _HOLDS[dtype]


def copy_for_training(loaded: LoadedModel, dtype: str, device: str, quantize: str = "none") -> PreTrainedModel | None:
    """A copy of a loaded model in the format that a training wants, equal to reading the folder in it; None where the
    loaded one has rounded the weights or is elsewhere, so that the folder must be read again."""
    import copy

    if loaded.machine.device != device or loaded.quantize != quantize:
        return None
    if getattr(loaded.model, "is_quantized", False):  # what has been asked is packed, for asking alone
        return None
    if loaded.machine.dtype == dtype:
        return copy.deepcopy(loaded.model)
    if dtype == "float32" and quantize == "none" and not rounded_in(loaded.folder, loaded.machine.dtype):
        return copy.deepcopy(loaded.model).float()
    return None


def cast_as_stored(model: PreTrainedModel, folder: Path, save_dtype: str) -> Moved | None:
    """Cast the trained weights in place to the format they are to be stored in, and tell which share of them moved.

    With save_dtype "base" each weight gets the format in which `folder`, the base, stores it (a weight that is not
    found there the format of most; an adapter's merge, which nobody has stored, float32). Returns None where the
    base's weights cannot be compared (an adapter's merge, or other names). Raises ModelError for a weight that the
    format cannot hold.
    """
    import torch

    merged = is_adapter(folder)
    prefix = str(getattr(model, "base_model_prefix", ""))
    counts, compared = _Counts(), not merged
    with Stored(folder) as stored:
        formats = {} if merged else stored.formats()
        most = "float32" if merged else stored.main_format()
        for name, weight in _weights(model):
            at = None if merged else stored.name_of(name, prefix)
            kind = formats.get(at or "", most) if save_dtype == "base" else save_dtype
            cast = weight.detach().to(getattr(torch, kind))
            if not all_finite(cast):
                raise ModelError(
                    f"the trained weight {name} cannot be stored in {kind}: it exceeds its range. Take --save-dtype "
                    "float32."
                )
            before = None if at is None else stored.tensor(at).to(weight.device)
            if before is None or before.shape != weight.shape:
                compared = False
            else:
                counts.add(weight.detach(), cast, before)
            weight.data = cast
    return counts.moved() if compared else None


def _weights(model: PreTrainedModel) -> Iterator[tuple[str, torch.nn.Parameter]]:
    for name, weight in model.named_parameters():
        if weight.is_floating_point():
            yield name, weight


class _Counts:
    """Weights counted as they pass by."""

    def __init__(self) -> None:
        self.n = self.trained = self.stored = 0

    def add(self, trained: torch.Tensor, cast: torch.Tensor, base: torch.Tensor) -> None:
        self.n += trained.numel()
        self.trained += int((trained != base.to(trained.dtype)).sum())
        self.stored += int((cast != base.to(cast.dtype)).sum())

    def moved(self) -> Moved:
        return Moved(self.trained / max(1, self.n), self.stored / max(1, self.n))


def format_warnings(moved: Moved | None, trained_in: str) -> list[str]:
    """What a user must know of what rounding took from a training, in sentences."""
    found = []
    if trained_in != "float32":
        share = "an unknown share" if moved is None else percent(moved.trained)
        found.append(
            f"trained in pure {trained_in}: {share} of the weights moved at all, smaller updates were rounded away. "
            "Leave --dtype and --precision at auto to keep float32 weights while training."
        )
    if moved is not None and moved.stored < 0.5 * moved.trained:
        found.append(
            f"stored in the base's number format, {percent(moved.stored)} of the weights differ from the base, "
            f"{percent(moved.trained)} before that rounding. Take --save-dtype float32 to keep every change."
        )
    return found


def percent(share: float) -> str:
    """A share as a percentage, with enough digits to tell small ones from none."""
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else f"{100 * share:.2g} %"
