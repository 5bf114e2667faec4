"""Building a base of an invented world: a tokenizer, a small Llama, one pass over its corpus, and a step directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recollect.core.machine import prepare
from recollect.core.workspace import Step
from recollect.core.workspace.result import Result
from recollect.facts import FactSet
from recollect.generate.random import library_seed

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

Progress = Callable[[int, int], None]
BOS, EOS, PAD = "<s>", "</s>", "<pad>"


class BaseSettings(Protocol):
    """What the settings of both worlds name: the size of the model and its training."""

    @property
    def seed(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


@dataclass(frozen=True)
class Recipe:
    """What a base starts from, and what it reads once."""

    settings: BaseSettings
    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    rows: list[Any]
    """Rows of the trainer's, or (tokens, how many of them carry no loss)."""
    documents: int
    tokens: int
    steps: int
    warmup_steps: int
    save_steps: int
    in_order: bool = False
    """Read the rows in their order, as (tokens, how many of them carry no loss)."""


class BaseFound(Result):
    """What building a base measured, and how many facts can be asked of it."""

    parameters: int
    documents: int
    tokens: int
    steps: int
    final_loss: float | None
    mean_loss: float
    train: int
    test: int
    ood: int
    seconds: float


@dataclass(frozen=True)
class BaseResult:
    """A base: `path` is its step directory, usable wherever a model or a fact set is named."""

    path: Path
    found: BaseFound

    @property
    def model_folder(self) -> Path:
        """The model and its tokenizer."""
        return self.path / "model"

    def facts(self) -> FactSet:
        """What can be asked of it."""
        return FactSet.read(self.path / "facts.parquet")


def build_base(step: Step, recipe: Callable[[], Recipe], facts: FactSet, progress: Progress | None) -> BaseFound:
    """Train the base of a recipe into the step's `model/`, with `facts.parquet` beside it.

    A killed training resumes from its last checkpoint in the step's `checkpoints/`.
    """
    from recollect.worlds.trainer import train

    started = time.monotonic()
    step.pin(threads=prepare().threads)
    made = recipe()
    final, mean = train(made, step.folder / "model", progress)
    # after the training, which may be that of a fork: there Polars hangs, since its threads are not taken along
    step.write_table("facts.parquet", facts.table())
    return BaseFound(
        parameters=sum(parameter.numel() for parameter in made.model.parameters()),
        documents=made.documents,
        tokens=made.tokens,
        steps=made.steps,
        final_loss=final,
        mean_loss=mean,
        **facts.counts(),
        seconds=round(time.monotonic() - started, 1),
    )


def train_bpe(
    documents: Iterable[str], vocabulary: int, pre_tokenizer: PreTokenizer, longest: int
) -> PreTrainedTokenizerFast:
    """Byte-level BPE of at most `vocabulary` tokens that puts <s> in front and knows every byte.

    `pre_tokenizer` cuts a text into units that no token crosses; `longest` is the model's longest text in tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=longest,
    )


def small_llama(settings: BaseSettings, tokenizer: PreTrainedTokenizerFast, heads: int, **own: Any) -> LlamaForCausalLM:
    """An untrained Llama of the settings' size and seed; `own` are further fields of its configuration."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(library_seed(settings.seed))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=settings.width * 8 // 3 // 8 * 8,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **own,
    )
    return LlamaForCausalLM(config)
