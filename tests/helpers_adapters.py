"""Tiny bases of several layouts, and LoRA adapters of every kind on them, made with PEFT."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from helpers_tiny import tiny_tokenizer

PROMPT = [[1, 5, 9, 20, 31]]

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rank-stabilised": {"use_rslora": True},
    "patterns": {
        "rank_pattern": {"o_proj": 2, "layers.1.mlp.up_proj": 6, "c_fc": 2},
        "alpha_pattern": {"q_proj": 3, "c_attn": 5},
    },
    "pattern with an expression": {"rank_pattern": {r"layers\.[01]\.mlp\.(up|down)_proj": 2, r"h\.\d\.mlp\.c_fc": 3}},
    "DoRA": {"use_dora": True},
    "PiSSA": {"init_lora_weights": "pissa"},
    "PiSSA and DoRA": {"init_lora_weights": "pissa", "use_dora": True},
    "OLoRA": {"init_lora_weights": "olora"},
    "EVA": {"init_lora_weights": "eva"},
    "LoRA-GA": {"init_lora_weights": "lora_ga"},
    "MiCA": {"init_lora_weights": "mica"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "norm saved whole": {"modules_to_save": ["norm", "ln_f"]},
    "all biases": {"bias": "all"},
    "biases of its layers": {"bias": "lora_only"},
    "a bias of its own": {"lora_bias": True, "target_modules": ["q_proj", "v_proj", "c_attn", "c_fc"]},
    "one layer": {"layers_to_transform": [1], "target_modules": ["q_proj", "up_proj", "c_attn"]},
    "an expression": {"target_modules": r".*\.(?:layers|h)\.1\.(?:mlp|self_attn|attn)\.(?:up_proj|q_proj|c_attn)"},
    "all but some": {"target_modules": ["q_proj", "v_proj", "c_attn", "c_fc"], "exclude_modules": ["v_proj", "c_fc"]},
    "output head": {"target_modules": ["q_proj", "c_attn", "lm_head"]},
    "embeddings": {"target_modules": ["q_proj", "c_attn", "embed_tokens", "wte"]},
    "output head saved whole": {"modules_to_save": ["lm_head"]},
    "embeddings saved whole": {"modules_to_save": ["embed_tokens", "wte"]},
}
PARTS_TIED = ("output head", "embeddings", "output head saved whole", "embeddings saved whole")
"""Kinds that make two matrices of tied embeddings."""
NEVER_MADE = {("gpt2", "OLoRA"), ("llama", "a bias of its own"), ("tied", "a bias of its own")}
"""PEFT makes no OLoRA of transposed layers, and merges no bias into a layer without one."""


def tiny_base(folder: Path, kind: str, dtype: str = "float32") -> Path:
    """A random model and its tokenizer: llama (two heads of embeddings), tied, bias (with biases) or gpt2 (tied)."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": 300}
    config: Any
    if kind == "gpt2":
        config = GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **ids)
    else:
        config = LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=kind == "tied",
            attention_bias=kind == "bias",
            **ids,
        )
    tiny_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
        model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def tiny_adapter(folder: Path, base: Path, kind: str = "plain", **changes: Any) -> Any:
    """Train-like noise in a fresh adapter of `base`, saved to `folder`; returns the logits of the unmerged model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    names = [name for name, _ in model.named_modules()]
    config = {"target_modules": ["q_proj", "v_proj", "o_proj", "up_proj", "c_attn", "c_fc"], **KINDS[kind], **changes}
    for key in ("modules_to_save",):
        if config.get(key):
            config[key] = [part for part in config[key] if any(name.endswith(part) for name in names)]
    transposed = model.config.model_type == "gpt2"
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        settings = LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", fan_in_fan_out=transposed, **config)
        lora = get_peft_model(model, settings)
        for name, parameter in lora.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.data += torch.randn(parameter.shape).to(parameter.dtype) * 0.05
        lora.peft_config["default"].base_model_name_or_path = str(base)
        with torch.inference_mode():
            logits = lora.eval()(input_ids=torch.tensor(PROMPT)).logits
        lora.save_pretrained(folder)
    return logits


def merged_by_peft(folder: Path, base: Path, dtype: str = "float32") -> dict[str, Any]:
    """The weights that PEFT's own loading and merging gives."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
        found: dict[str, Any] = PeftModel.from_pretrained(model, folder).merge_and_unload().state_dict()
    return found
