"""The transformers trainer for a shop base: fixed order, loss and output layer only where something is said.

Imported only when a training starts: it loads torch and transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer

from recollect.worlds.shop.rows import collate
from recollect.worlds.trainer import Report, arguments

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from recollect.worlds.shop.rows import Row
    from recollect.worlds.shop.settings import ShopSettings


class _Trainer(Trainer):  # type: ignore[misc]  # transformers has no types
    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        """Cross-entropy over the labelled tokens; the output layer is computed for these alone."""
        hidden = model.model(inputs["input_ids"], use_cache=False).last_hidden_state[:, :-1]
        labels = inputs["labels"][:, 1:]
        said = labels != -100
        return torch.nn.functional.cross_entropy(model.lm_head(hidden[said]).float(), labels[said])


def make_trainer(
    model: LlamaForCausalLM,
    ordered: list[Row],
    settings: ShopSettings,
    checkpoints: Path,
    progress: Callable[[int, int], None] | None,
) -> Trainer:
    """A trainer that reads the rows once, in order, and leaves checkpoints to go on from."""
    steps = len(ordered) // settings.batch_size
    pad = model.config.pad_token_id
    trainer = _Trainer(
        model=model,
        args=arguments(
            checkpoints,
            seed=settings.seed,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=min(100, max(1, steps // 10)),
            save_steps=max(50, steps // 20),
            optim="adamw_torch_fused",
            bf16=has_fast_bfloat16(),
            remove_unused_columns=False,
        ),
        train_dataset=ordered,
        data_collator=lambda batch: collate(batch, pad),
        callbacks=[Report(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def has_fast_bfloat16() -> bool:
    """Whether computing in bfloat16 pays on this machine; weights and their updates stay in float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
