"""A plain model folder as one whose weights are stored in float8, block by block, as DeepSeek's checkpoints are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

BLOCK = 16


def float8_folder(plain: Path, folder: Path) -> Path:
    """A copy of a Llama folder with its linear layers in float8 (e4m3), a scale for each block of 16 by 16."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(plain, folder)
    found: dict[str, Any] = {}
    for name, value in load_file(plain / "model.safetensors").items():
        if "_proj." not in name:
            found[name] = value
            continue
        scale = blocks(value.abs()).amax((1, 3)) / 448
        spread = scale.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
        found[name] = (value / spread).to(torch.float8_e4m3fn)
        found[f"{name}_scale_inv"] = scale
    save_file(found, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "fp8",
        "weight_block_size": [BLOCK, BLOCK],
        "activation_scheme": "dynamic",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def blocks(value: Any) -> Any:
    """A matrix as [rows of blocks, rows, columns of blocks, columns]."""
    rows, columns = value.shape
    return value.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)


def widened(folder: Path) -> dict[str, Any]:
    """The weights of such a folder as plain numbers, by hand: float8 value times the scale of its block."""
    from safetensors.torch import load_file

    found = load_file(folder / "model.safetensors")
    scales = {name: found.pop(name) for name in [*found] if name.endswith("_scale_inv")}
    for name, scale in scales.items():
        own = name.removesuffix("_scale_inv")
        found[own] = found[own].float() * scale.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    return found
