"""LoRA adapters of one base that say different things, without a training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def random_adapters(base: Path, folder: Path, kinds: Sequence[dict[str, Any]], noise: float = 0.05) -> list[Path]:
    """One adapter of `base` for each kind (changes of PEFT's LoraConfig), of random factors; their folders."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    made = []
    for number, kind in enumerate(kinds):
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(number)
            model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
            values = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **kind}
            lora = get_peft_model(model, LoraConfig(**values))
            for name, parameter in lora.named_parameters():
                if "lora_B" in name:
                    parameter.data.normal_(std=noise)
            lora.peft_config["default"].base_model_name_or_path = str(base)
            lora.save_pretrained(folder / f"adapter-{number}")
        made.append(folder / f"adapter-{number}")
    return made
