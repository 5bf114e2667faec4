"""Train a pocket base from scratch: tokenizer, corpus, a small Llama, one pass over all mentions.

Notable choices
- Llama architecture, 4 layers x width 128, 1.3 million parameters, untied embeddings; weights stored in bfloat16.
- Byte-level BPE with the full byte alphabet: every string can be said, the fine-tuning markers included.
- Documents are packed into sequences of 128 tokens; AdamW, cosine, no dropout; one epoch over the
  mentions, each worded anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from recollect.core.settings import Settings
from recollect.errors import InputError
from recollect.models import without_bars
from recollect.train.checkpoints import last_checkpoint
from recollect.worlds.base import train_bpe
from recollect.worlds.quiz.corpus import SHARED_TEMPLATES, render
from recollect.worlds.quiz.world import World

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class PocketSettings(Settings):
    """How a pocket base is built."""

    facts: str = ""
    """A fact set to build on (facts step directory or data file); empty: the synthetic world of the seed."""
    seed: int = 0
    """Another seed makes another world, another corpus and other starting weights."""
    mentions: Annotated[float, Field(gt=0)] = 12.0
    """With facts: mean number of mentions of a fact in the corpus; their distribution is log-normal (heavy-tailed)."""
    teacher_share: Annotated[float, Field(gt=0, lt=1)] = 1 / 3
    """With facts: share that the corpus speaks of often and also asks about; kept out of train and test."""
    shared_templates: Annotated[int, Field(ge=0, le=21)] = SHARED_TEMPLATES
    """How many of the 21 mapping templates the corpus speaks in; the others are new to the model in the probe."""
    vocabulary: Annotated[int, Field(ge=300)] = 2048
    """Tokens in the tokenizer."""
    width: Annotated[int, Field(ge=16)] = 128
    """Hidden size."""
    layers: Annotated[int, Field(ge=1)] = 4
    """Decoder layers."""
    sequence: Annotated[int, Field(ge=16)] = 128
    """Tokens in a training sequence."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Sequences in a training step."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    """Peak of the cosine schedule."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """AdamW weight decay."""


def train_tokenizer(documents: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that puts <s> in front and knows every byte."""
    from tokenizers import pre_tokenizers

    return train_bpe(documents, vocabulary, pre_tokenizers.ByteLevel(add_prefix_space=False), longest=512)


def pack(
    tokenizer: PreTrainedTokenizerFast, documents: list[str], sequence: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Token blocks, shape [blocks, sequence]: documents as <s> text </s>, one after the other, the rest dropped."""
    ends = tokenizer.eos_token_id
    flat: list[int] = []
    for ids in tokenizer(documents, return_attention_mask=False)["input_ids"]:
        flat.extend(ids)
        flat.append(ends)
    count = len(flat) // sequence
    if count == 0:
        raise InputError(
            f"the corpus has {len(flat)} tokens, fewer than one sequence of {sequence}. Use more facts or mentions."
        )
    return np.asarray(flat[: count * sequence], dtype=np.int64).reshape(count, sequence)


def train_base(
    settings: PocketSettings, world: World, folder: Path, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Train the base of a world and save model and tokenizer to `folder`; returns what was measured.

    A killed training goes on from its last checkpoint in `folder/../checkpoints`.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, set_seed

    from recollect.worlds.trainer import Report, arguments

    documents = render(world, settings.seed, shared_templates=settings.shared_templates)
    tokenizer = train_tokenizer(documents, settings.vocabulary)
    blocks = torch.from_numpy(pack(tokenizer, documents, settings.sequence))
    set_seed(settings.seed)
    heads = max(1, settings.width // 32)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=settings.width * 8 // 3 // 8 * 8,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    checkpoints = folder.parent / "checkpoints"
    steps = -(-len(blocks) // settings.batch_size)
    trainer = Trainer(
        model=model,
        args=arguments(
            checkpoints,
            seed=settings.seed,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=max(1, steps // 20),
            save_steps=max(50, steps // 10),
        ),
        train_dataset=[{"input_ids": block, "labels": block} for block in blocks],
        callbacks=[Report(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    found = last_checkpoint(checkpoints)
    with without_bars():
        result = trainer.train(resume_from_checkpoint=None if found is None else str(found))
    with without_bars():
        model.eval().to(dtype=torch.bfloat16, device="cpu").save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    shutil.rmtree(checkpoints)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "documents": len(documents),
        "tokens": int(blocks.numel()),
        "steps": steps,
        "final_loss": float(trainer.state.log_history[-2]["loss"]) if len(trainer.state.log_history) > 1 else None,
        "mean_loss": float(result.training_loss),
    }
