"""Tiny random models of the families that people use: a configuration each, and the folder that it makes.

`FAMILIES` is the list that the conformance tests run over and that the table in the documentation is made from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers_tiny import tiny_tokenizer

VOCABULARY = 320
_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_MOE: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_LINEAR: dict[str, Any] = {
    "layer_types": ["linear_attention", "full_attention"],
    "head_dim": 8,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
_MAMBA: dict[str, Any] = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_chunk_size": 8,
}


@dataclass(frozen=True)
class Family:
    """A family of models and its smallest configuration here."""

    name: str
    """What people call it."""
    kind: str
    """`model_type` of its configuration."""
    given: dict[str, Any] = field(default_factory=dict)
    """What its configuration has beside the common numbers."""
    common: bool = True
    """Whether it takes the common numbers."""
    note: str = ""
    """For the table."""

    def config(self) -> Any:
        """Its configuration."""
        from transformers import AutoConfig

        return AutoConfig.for_model(self.kind, **{**(_COMMON if self.common else {}), **self.given})


def _plain(name: str, kind: str, **given: Any) -> Family:
    return Family(name, kind, given)


FAMILIES: tuple[Family, ...] = (
    _plain("Qwen3.5 (text)", "qwen3_5_text", **_LINEAR),
    _plain("Qwen3-Next", "qwen3_next", **_LINEAR, **_MOE, shared_expert_intermediate_size=16, decoder_sparse_step=1),
    _plain("LFM2", "lfm2", layer_types=["conv", "full_attention"], conv_L_cache=3, block_multiple_of=8),
    _plain(
        "Granite 4 hybrid",
        "granitemoehybrid",
        layer_types=["mamba", "attention"],
        shared_intermediate_size=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        **_MAMBA,
    ),
    _plain("Falcon-H1", "falcon_h1", **_MAMBA, mamba_d_ssm=64),
)


def family_model(folder: Path, family: Family, *, seed: int = 0, scale: float = 1.0) -> Path:
    """Write a random model of the family (float32) and a tokenizer to `folder`; returns `folder`.

    `scale` widens every matrix, so that what the model says hangs on what it read.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    tiny_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(family.config())
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter *= scale
    model.save_pretrained(folder)
    return folder


def written(folder: Path) -> dict[str, Any]:
    """The configuration as stored."""
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found
