"""What the bases of both worlds have in common: a finished base, and byte-level BPE tokenizers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.facts import FactSet

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


@dataclass(frozen=True)
class BaseResult:
    """A base: `path` is its step directory, usable wherever a model or a fact set is named."""

    path: Path
    metrics: dict[str, Any]

    @property
    def model_folder(self) -> Path:
        """The model and its tokenizer."""
        return self.path / "model"

    def facts(self) -> FactSet:
        """What can be asked of it."""
        return FactSet.read(self.path / "facts.parquet")

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        return {**self.metrics, "out": str(self.path)}


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
