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

    @property
    def mixture(self) -> bool:
        """Whether it has experts."""
        return any("experts" in key for key in self.given)

    def config(self) -> Any:
        """Its configuration."""
        from transformers import AutoConfig

        return AutoConfig.for_model(self.kind, **{**(_COMMON if self.common else {}), **self.given})


def _plain(name: str, kind: str, **given: Any) -> Family:
    return Family(name, kind, given)


_SLIDING: dict[str, Any] = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8}
_GEMMA: dict[str, Any] = {**_SLIDING, "query_pre_attn_scalar": 8}
_GPT: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_GPT2: dict[str, Any] = {**_GPT, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
_FEW_EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
_LATENT: dict[str, Any] = {
    "n_routed_experts": 4,
    "n_group": 2,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
}
_JAMBA: dict[str, Any] = {
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "num_experts": 4,
    "mamba_d_state": 8,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_dt_rank": 4,
    "use_mamba_kernels": False,
}
_NEMOTRON_H: dict[str, Any] = {
    "hybrid_override_pattern": "M*",
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "ssm_state_size": 8,
    "n_groups": 1,
    "chunk_size": 8,
    "conv_kernel": 4,
    "expand": 2,
    "head_dim": 8,
}
_KIMI: dict[str, Any] = {
    "num_key_value_heads": 4,
    "num_experts": 4,
    "num_experts_per_token": 2,
    "moe_intermediate_size": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "head_dim": 8,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "linear_attn_config": {
        "head_dim": 8,
        "num_heads": 4,
        "short_conv_kernel_size": 4,
        "full_attn_layers": [2],
        "kda_layers": [1],
    },
}
_SHARED = {"shared_expert_intermediate_size": 16, "decoder_sparse_step": 1}
_OLMO_LINEAR = {**_LINEAR, "linear_num_key_heads": 4}
del _OLMO_LINEAR["head_dim"]

DENSE: tuple[Family, ...] = (
    _plain("Llama", "llama"),
    _plain("Qwen2, Qwen2.5", "qwen2"),
    _plain("Qwen3", "qwen3", head_dim=8),
    _plain("SmolLM3", "smollm3"),
    _plain("OLMo 2", "olmo2"),
    _plain("Phi-3, Phi-4", "phi3"),
    _plain("GLM-4", "glm4", head_dim=8),
    _plain("Command R", "cohere"),
    _plain("Granite 3", "granite"),
    _plain("Gemma", "gemma", head_dim=8),
)
SLIDING: tuple[Family, ...] = (
    _plain("Mistral", "mistral", sliding_window=4),
    _plain("Gemma 2 (softcapped logits)", "gemma2", **_GEMMA),
    _plain("Gemma 3 (text)", "gemma3_text", **_GEMMA),
    _plain("OLMo 3", "olmo3", **_SLIDING),
    _plain("Command R7B", "cohere2", sliding_window=4, head_dim=8),
)
OLDER: tuple[Family, ...] = (
    Family("GPT-2 (learned positions)", "gpt2", _GPT2, common=False),
    _plain("GPT-NeoX, Pythia", "gpt_neox"),
    Family("GPT-J", "gptj", {**_GPT2, "rotary_dim": 4}, common=False),
    _plain("OPT (learned positions)", "opt", ffn_dim=48, word_embed_proj_dim=32),
    Family("Bloom (ALiBi)", "bloom", {**_GPT, "hidden_size": 32, "n_layer": 2, "n_head": 4}, common=False),
    Family(
        "MPT (ALiBi)", "mpt", {**_GPT, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256}, common=False
    ),
)
MIXTURES: tuple[Family, ...] = (
    _plain("Mixtral", "mixtral", **_FEW_EXPERTS),
    _plain("Qwen3-MoE", "qwen3_moe", head_dim=8, **_MOE, decoder_sparse_step=1),
    _plain("OLMoE", "olmoe", num_experts=4, num_experts_per_tok=2),
    _plain("GPT-OSS", "gpt_oss", **_SLIDING, **_FEW_EXPERTS),
    _plain("DeepSeek-V3", "deepseek_v3", **_LATENT),
    _plain("Granite MoE", "granitemoe", **_FEW_EXPERTS),
)
HYBRIDS: tuple[Family, ...] = (
    _plain("Qwen3.5 (text)", "qwen3_5_text", **_LINEAR),
    _plain("Qwen3-Next", "qwen3_next", **_LINEAR, **_MOE, **_SHARED),
    _plain("LFM2", "lfm2", layer_types=["conv", "full_attention"], conv_L_cache=3, block_multiple_of=8),
    _plain(
        "Granite 4 hybrid",
        "granitemoehybrid",
        layer_types=["mamba", "attention"],
        shared_intermediate_size=32,
        **_FEW_EXPERTS,
        **_MAMBA,
    ),
    _plain("Falcon-H1", "falcon_h1", **_MAMBA, mamba_d_ssm=64),
    _plain("Bamba", "bamba", attn_layer_indices=[1], **_MAMBA),
    _plain("Jamba", "jamba", **_JAMBA),
    _plain("Nemotron-H", "nemotron_h", **_NEMOTRON_H),
    _plain("OLMo hybrid", "olmo_hybrid", **_OLMO_LINEAR),
    _plain("Kimi Linear", "kimi_linear", **_KIMI),
)
_TEXT: dict[str, Any] = _COMMON
_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}
_SIGHT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
_QWEN_SIGHT: dict[str, Any] = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 4,
    "out_hidden_size": 32,
    "patch_size": 14,
}
_QWEN_IDS = {"image_token_id": 300, "video_token_id": 301, "vision_start_token_id": 302, "vision_end_token_id": 303}
_LARGE = {"num_position_embeddings": 16}


def _seeing(name: str, kind: str, text: dict[str, Any], sight: dict[str, Any], **given: Any) -> Family:
    return Family(name, kind, {"text_config": {**_TEXT, **text}, "vision_config": sight, **given}, common=False)


SEEING: tuple[Family, ...] = (
    _seeing(
        "Gemma 3 with vision",
        "gemma3",
        _GEMMA,
        _SIGHT,
        mm_tokens_per_image=4,
        image_token_index=300,
        boi_token_index=301,
        eoi_token_index=302,
    ),
    _seeing("Qwen2.5-VL", "qwen2_5_vl", _ROPE, {**_QWEN_SIGHT, "fullatt_block_indexes": [1]}, **_QWEN_IDS),
    _seeing(
        "Qwen3-VL",
        "qwen3_vl",
        {"head_dim": 8, **_ROPE},
        {**_QWEN_SIGHT, **_LARGE, "deepstack_visual_indexes": [0, 1]},
        **_QWEN_IDS,
    ),
    _seeing("Qwen3.5 with vision", "qwen3_5", {**_LINEAR, **_ROPE}, {**_QWEN_SIGHT, **_LARGE}, **_QWEN_IDS),
    _seeing(
        "Llava", "llava", {"model_type": "llama"}, {**_SIGHT, "model_type": "clip_vision_model"}, image_token_index=300
    ),
    _seeing("SmolVLM", "smolvlm", {"model_type": "llama"}, _SIGHT, image_token_id=300, scale_factor=2),
    _seeing(
        "Mistral 3 with vision",
        "mistral3",
        {"model_type": "mistral", "head_dim": 8},
        {**_SIGHT, "model_type": "pixtral"},
        image_token_index=300,
    ),
)
FAMILIES: tuple[Family, ...] = (*DENSE, *SLIDING, *OLDER, *MIXTURES, *HYBRIDS, *SEEING)


def family_model(folder: Path, family: Family, *, seed: int = 0, scale: float = 1.0) -> Path:
    """Write a random model of the family (float32) and a tokenizer to `folder`; returns `folder`.

    `scale` widens every matrix, so that what the model says hangs on what it read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.utils import logging

    logging.disable_progress_bar()
    tiny_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind = AutoModelForImageTextToText if family in SEEING else AutoModelForCausalLM
        model = kind.from_config(family.config())
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter *= scale
            embedding = model.get_input_embeddings().weight
            embedding[0] = embedding[5]  # zero as made: padding that is read would then leave no trace
    model.save_pretrained(folder)
    return folder


def written(folder: Path) -> dict[str, Any]:
    """The configuration as stored."""
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def table() -> str:
    """The table of docs/models.md."""
    groups = (
        ("dense", DENSE, ""),
        ("sliding window", SLIDING, "windows of four tokens in the tests, outgrown by their prompts"),
        ("older", OLDER, "learned positions and ALiBi"),
        ("mixture of experts", MIXTURES, "experts fused to 3-D tensors have no adapter; the router and attention have"),
        (
            "hybrid",
            HYBRIDS,
            "recurrent or convolution states beside keys; what follows a prompt is read token by token",
        ),
        ("text of a multimodal model", SEEING, "loaded whole; what sees is frozen and stored as it was"),
    )
    rows = ["| families | kind | probed | trained | restored | note |", "|---|---|---|---|---|---|"]
    for kind, families, note in groups:
        names = " · ".join(family.name for family in families)
        rows.append(f"| {names} | {kind} | yes | full, LoRA | yes | {note} |")
    return "\n".join(rows)
