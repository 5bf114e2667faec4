"""`recollect pocket shop`: a seed in, a base that copies from its context and the page examples of its world out.

Notable choices
- Loss on what is said about a page, not on the page: names and numbers on a page cannot be foreseen, and a small
  model would spend itself on them.
- A document is one row; batches hold rows of like length, so little is padding.
- The tokenizer gives a value the same tokens wherever it occurs, so that copying a value is copying tokens: a blank is
  a token of its own, never the first part of a word. A colon with its blank is one token, since it is behind every
  label; digits are single tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from recollect.core.settings import Settings
from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.extraction import need_pages
from recollect.extraction.values import read_schema
from recollect.worlds.builder import BaseFound, BaseResult, Progress, Recipe, build_base, small_llama, train_bpe
from recollect.worlds.shop.corpus import Document, documents
from recollect.worlds.shop.page import shop_facts
from recollect.worlds.shop.start import HEADS, set_copying

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from recollect.worlds.trainer import Row

_FOR_TOKENIZER = 4_000  # documents that the tokenizer is learnt from
_BUCKET = 64  # batches that are sorted by length together
_UNITS = r": |\s|\d|\p{L}+|[^\s\p{L}\d]+"


class ShopSettings(Settings):
    """How a shop base is built.

    Examples:
        >>> from recollect import ShopSettings
        >>> ShopSettings.make(seed=1, documents=12_000).documents
        12000
    """

    seed: int = 0
    """Another seed makes other shops, another corpus and other starting weights."""
    documents: Annotated[int, Field(ge=100)] = 48_000
    """Pages in the corpus, each with its summaries; all are read once."""
    summaries: Annotated[int, Field(ge=1)] = 2
    """Summaries of each page."""
    copying_start: bool = True
    """Start with attention heads that can already copy. Without it, copying takes far more text to appear."""
    vocabulary: Annotated[int, Field(ge=300)] = 1024
    """Tokens in the tokenizer."""
    width: Annotated[int, Field(ge=64, multiple_of=16)] = 128
    """Hidden size; there are always four attention heads."""
    layers: Annotated[int, Field(ge=2)] = 4
    """Decoder layers."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Documents in a training step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Peak of the cosine schedule."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """AdamW weight decay."""

    @model_validator(mode="after")
    def _enough_for_a_step(self) -> Self:
        if self.documents < self.batch_size:
            raise ValueError(f"documents must be at least batch_size, but got {self.documents} and {self.batch_size}")
        return self


class ShopResult(BaseResult):
    """A shop base; its facts are the page examples of the world."""


def run_shop(
    settings: ShopSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
) -> ShopResult:
    """Build the shop base of a seed; resumes where a killed build was left.

    Writes model/, facts.parquet (the page examples) and schema.yaml (what they ask for).

    Examples:
        >>> from recollect import ShopSettings, run_shop
        >>> result = run_shop(ShopSettings.make(documents=100, width=64, layers=2))
        >>> sorted(path.name for path in result.path.iterdir())
        ['facts.parquet', 'manifest.json', 'model', 'schema.yaml']
    """
    need_pages("recollect pocket shop")
    with open_step("pocket", settings.model_dump(mode="json"), {"world": "shop"}, out, root) as step:
        if not step.done:
            found = build_base(step, lambda: _recipe(settings), shop_facts(settings.seed), progress)
            (step.folder / "schema.yaml").write_text(read_schema("product").text(), encoding="utf-8")
            step.finish(found)
        return ShopResult(step.path, BaseFound.read(step.path))


def _recipe(settings: ShopSettings) -> Recipe:
    corpus = list(documents(settings.seed, settings.documents, summaries=settings.summaries))
    texts = (document.page + document.summary for document in corpus[:_FOR_TOKENIZER])
    tokenizer = train_tokenizer(texts, settings.vocabulary)
    ordered = in_batches(rows(tokenizer, corpus), settings.batch_size, settings.seed)
    steps = len(ordered) // settings.batch_size
    return Recipe(
        settings=settings,
        model=fresh_model(settings, tokenizer),
        tokenizer=tokenizer,
        rows=ordered,
        documents=len(ordered),
        tokens=sum(len(ids) for ids, _ in ordered),
        steps=steps,
        warmup_steps=min(100, max(1, steps // 10)),
        save_steps=max(50, steps // 20),
        in_order=True,
    )


def train_tokenizer(documents: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocabulary` tokens, learnt from documents; it puts <s> in front."""
    from tokenizers import Regex, pre_tokenizers

    units = [
        pre_tokenizers.Split(Regex(_UNITS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    return train_bpe(documents, vocabulary, pre_tokenizers.Sequence(units), longest=1024)


def fresh_model(settings: ShopSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The untrained model."""
    rope = {"rope_type": "default", "rope_theta": 1e6}
    model = small_llama(settings, tokenizer, HEADS, rope_parameters=rope, tie_word_embeddings=True)
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
