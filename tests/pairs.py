"""Small base / tuned pairs of safetensors checkpoints, for the tests of drift and restoration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recollect.restore import RestoreResult, RestoreSettings, run_restore

Weights = Mapping[str, Any]

NAMES = tuple(
    f"model.layers.{layer}.{module}.weight"
    for layer in (0, 1, 10, 2)
    for module in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj", "input_layernorm")
)


def weights(seed: int = 0, *, change: float = 1e-3, rows: int = 24, columns: int = 16) -> tuple[dict[str, Any], ...]:
    """A base and a tuned side in float32; about half of the weights changed."""
    rng = np.random.default_rng(seed)
    base, tuned = {}, {}
    for name in ("model.embed_tokens.weight", *NAMES, "model.norm.weight", "lm_head.weight"):
        shape = (columns,) if "norm" in name else (rows, columns)
        base[name] = rng.normal(0, 0.02, shape).astype(np.float32)
        moved = rng.random(shape) < 0.5
        tuned[name] = base[name] + (rng.normal(0, change, shape) * moved).astype(np.float32)
    return base, tuned


def write(
    folder: Path,
    tensors: Weights,
    *,
    dtype: str = "float32",
    shards: int = 0,
    order: int = 1,
    metadata: dict[str, str] | None = None,
    **config: Any,
) -> Path:
    """Write a model folder: one file (shards=0) or several with an index; `order` -1 puts the names in reverse."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False} | config))
    (folder / "tokenizer.json").write_text('{"of": "' + folder.name + '"}')
    found = {
        name: value if isinstance(value, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        for name, value in tensors.items()
    }
    found = {n: v.to(getattr(torch, dtype)) if v.is_floating_point() else v for n, v in found.items()}
    names = sorted(found)[::order]
    metadata = {"format": "pt"} | (metadata or {})
    if not shards:
        save_file({name: found[name] for name in names}, folder / "model.safetensors", metadata)
        return folder
    files = {name: f"model-{number % shards + 1:05d}-of-{shards:05d}.safetensors" for number, name in enumerate(names)}
    for file in sorted(set(files.values())):
        save_file({name: found[name] for name in names if files[name] == file}, folder / file, metadata)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return folder


def read(folder: Path) -> dict[str, Any]:
    """All tensors of a folder, as torch tensors."""
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return dict(sorted(found.items()))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def restore(
    base: Path | str, tuned: Path | str, percent: float = 20, *, out: Path | None = None, **named: Any
) -> RestoreResult:
    """One restoration; `named` are settings, `root` and `progress`."""
    places = {name: named.pop(name) for name in ("root", "progress") if name in named}
    return run_restore(RestoreSettings.make(percent=percent, **named), base, tuned, out=out, **places)
