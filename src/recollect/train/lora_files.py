"""What is stored of trained adapters: plain LoRA of the untouched base, and by which name that base is found again.

Notable choices
- Adapters that began with parts of the base (PiSSA, OLoRA) are stored as what they changed: W + B A - B0 A0 is W plus a
  product of twice the rank. PEFT has such a conversion, but it loses what else is trained (DoRA's lengths, biases,
  whole modules) and refuses patterns with rank-stabilised scales.
- The base is named so that the folder can be carried elsewhere: by its hub id and commit; by a path relative to the
  folder where both lie in one tree; an absolute path only where there is nothing else, which is said.
- A base that comes with Recollect, or is fetched by name, has no hub id with these weights. Its name stands beside the
  adapter, and our reader finds it by that on any machine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.models.adapter import WEIGHTS
from recollect.models.store import fetched_folder
from recollect.shipped import SHIPPED
from recollect.train.lora import Adapted, Factors, factors
from recollect.train.settings import TrainSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BaseName:
    """By which name an adapter finds its base."""

    name: str
    """A hub id, or a path."""
    revision: str | None = None
    ours: str = ""
    """The base's name in Recollect, where it has one."""
    note: str = ""
    """What to know when the adapter is carried elsewhere; empty for nothing."""


def name_base(given: str, folder: Path, adapter: Path) -> BaseName:
    """The name of the base in `folder`, for an adapter that will lie in `adapter`; `given` is what the user called it.

    Examples:
        >>> name_base("org/name", Path("hub/models--org--name/snapshots/abc"), Path("out/model"))
        BaseName(name='org/name', revision='abc', ours='', note='')
    """
    cached = folder.parent.parent.name
    if folder.parent.name == "snapshots" and cached.startswith("models--"):
        return BaseName(cached.removeprefix("models--").replace("--", "/"), revision=folder.name)
    place, home = folder.resolve(), adapter.resolve()
    ours = given if given in SHIPPED or fetched_folder(given) == folder else ""
    trees = [home.parent.parent, *([Path.cwd()] if home.is_relative_to(Path.cwd()) else [])]
    if not ours and any(tree != tree.parent and place.is_relative_to(tree) for tree in trees):
        return BaseName(Path(os.path.relpath(place, home)).as_posix())
    note = (
        f"the adapter names its base by this machine's path {place}: elsewhere, load the base yourself and put the "
        "adapter on it, or write the base's hub id into adapter_config.json (base_model_name_or_path)"
    )
    return BaseName(str(place), ours=ours, note="" if ours else note)


def write_adapter(target: Path, adapted: Adapted, settings: TrainSettings, base: BaseName) -> None:
    """Write the adapter's weights and configuration into the folder `target`."""
    import torch

    model, config = adapted.model, adapted.model.peft_config["default"]
    ends = {name: value.detach() for name, value in factors(model).items()} if adapted.start else {}
    moved = any(not torch.equal(value, adapted.start[name]) for name, value in ends.items())
    weights = dict(adapted.weights or {})
    if settings.save_dtype != "base":
        dtype = getattr(torch, settings.save_dtype)
        for trained in (weight for weight in model.parameters() if weight.requires_grad):  # a base may be quantised
            trained.data = trained.data.to(dtype)
        weights = {name: value.to(dtype) for name, value in weights.items()}
    config.base_model_name_or_path, config.revision = base.name, base.revision
    if adapted.start:
        _double(config)
    for part in ("target_modules", "modules_to_save"):  # sorted, so that equal trainings write equal bytes
        if isinstance(getattr(config, part), set | list):
            setattr(config, part, sorted(getattr(config, part)))
    if weights:
        write_weights(target, config, weights)
    else:
        model.save_pretrained(target, save_embedding_layers=False)
    if adapted.start:
        _subtract_start(target, adapted.start, moved)
    (target / "README.md").unlink(missing_ok=True)


def write_weights(target: Path, config: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Write an adapter that is on no model any more as PEFT does; the weights by the names they had with it."""
    from safetensors.torch import save_file

    target.mkdir(parents=True, exist_ok=True)
    trained_here, config.inference_mode = config.inference_mode, True
    config.save_pretrained(target)
    config.inference_mode = trained_here
    stored = {_stored(name): value.contiguous() for name, value in weights.items()}
    save_file(stored, target / WEIGHTS, metadata={"format": "pt"})


def _double(config: Any) -> None:
    """Twice the rank at the same scale."""
    factor = math.sqrt(2) if config.use_rslora else 2
    config.init_lora_weights = True
    config.eva_config = None
    config.r, config.lora_alpha = 2 * config.r, factor * config.lora_alpha
    config.rank_pattern = {name: 2 * rank for name, rank in config.rank_pattern.items()}
    config.alpha_pattern = {name: factor * alpha for name, alpha in config.alpha_pattern.items()}


def _subtract_start(target: Path, start: Factors, moved: bool) -> None:
    """Rewrite the weights as B A - B0 A0; as exactly nothing where nothing was learned."""
    import torch
    from safetensors.torch import load_file, save_file

    first = {_stored(name): value.cpu() for name, value in start.items()}
    state = {}
    for name, value in load_file(target / WEIGHTS).items():
        if name not in first:
            state[name] = value.clone()
            continue
        began = first[name].to(value.dtype)
        if ".lora_A." in name or name.endswith(".lora_embedding_A"):
            state[name] = torch.cat([value, began], dim=0)
        else:
            both = torch.cat([value, -began], dim=1)
            state[name] = both if moved else torch.zeros_like(both)
    save_file(state, target / WEIGHTS, metadata={"format": "pt"})


def _stored(name: str) -> str:
    """The name in an adapter's file of a parameter of the model with adapters."""
    return name.replace(".default.weight", ".weight").replace(".default", "")
