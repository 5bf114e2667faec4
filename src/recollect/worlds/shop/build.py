"""Train a shop base from scratch: tokenizer, corpus, a small Llama that starts with copying heads, one pass.

Notable choices
- Loss on what is said about a page, not on the page: names and numbers on a page cannot be foreseen, and a small
  model would spend itself on them.
- A document is one row; batches hold rows of like length, so little is padding.
- Attention is computed plainly ("eager"): at these lengths it is faster on a CPU than the fused kernel.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.models import without_bars
from recollect.train.checkpoints import last_checkpoint
from recollect.worlds.shop.corpus import Document, documents
from recollect.worlds.shop.rows import Row
from recollect.worlds.shop.settings import ShopSettings
from recollect.worlds.shop.start import set_copying
from recollect.worlds.shop.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_FOR_TOKENIZER = 4_000  # documents that the tokenizer is learnt from
_BUCKET = 64  # batches that are sorted by length together
HEADS = 4


def fresh_model(settings: ShopSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The untrained model."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=settings.width * 8 // 3 // 8 * 8,
        num_hidden_layers=settings.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    if settings.copying_start:
        set_copying(model, settings.seed)
    return model


def rows(tokenizer: PreTrainedTokenizerFast, given: Sequence[Document]) -> list[Row]:
    """Documents as tokens: <s> page summaries </s>."""
    pages = tokenizer([document.page for document in given], return_attention_mask=False)["input_ids"]
    said = tokenizer([document.summary for document in given], return_attention_mask=False, add_special_tokens=False)[
        "input_ids"
    ]
    end = tokenizer.eos_token_id
    return [([*page, *words, end], len(page)) for page, words in zip(pages, said, strict=True)]


def in_batches(all_rows: list[Row], batch_size: int, seed: int) -> list[Row]:
    """The rows in an order in which each `batch_size` of them are of like length; the odd ones at the end go."""
    rng = random.Random(f"shop-order-{seed}")
    size = batch_size * _BUCKET
    ordered: list[Row] = []
    for start in range(0, len(all_rows), size):
        bucket = sorted(all_rows[start : start + size], key=lambda row: len(row[0]))
        batches = [bucket[at : at + batch_size] for at in range(0, len(bucket) - batch_size + 1, batch_size)]
        rng.shuffle(batches)
        ordered += [row for batch in batches for row in batch]
    return ordered


def train_shop_base(
    settings: ShopSettings, folder: Path, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Train a base and save model and tokenizer to `folder`; returns what was measured.

    A killed training goes on from its last checkpoint in `folder/../checkpoints`.
    """

    from recollect.worlds.shop.trainer import make_trainer

    corpus = list(documents(settings.seed, settings.documents, summaries=settings.summaries))
    texts = (document.page + document.summary for document in corpus[:_FOR_TOKENIZER])
    tokenizer = train_tokenizer(texts, settings.vocabulary)
    ordered = in_batches(rows(tokenizer, corpus), settings.batch_size, settings.seed)
    model = fresh_model(settings, tokenizer)
    model.set_attn_implementation("eager")
    checkpoints = folder.parent / "checkpoints"
    trainer = make_trainer(model, ordered, settings, checkpoints, progress)
    found = last_checkpoint(checkpoints)
    with without_bars():
        result = trainer.train(resume_from_checkpoint=None if found is None else str(found))
    model.set_attn_implementation("sdpa")
    with without_bars():
        model.eval().to("cpu").bfloat16().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "documents": len(ordered),
        "tokens": sum(len(ids) for ids, _ in ordered),
        "steps": len(ordered) // settings.batch_size,
        "final_loss": losses[-1] if losses else None,
        "mean_loss": float(result.training_loss),
    }
