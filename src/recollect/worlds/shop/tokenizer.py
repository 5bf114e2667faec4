"""The shop base's tokenizer: byte-level BPE in which a value has the same tokens wherever it stands.

Notable choices
- A blank is a token of its own, never the first part of a word: `Maker: Velto` and `"Velto"` hold the same tokens, so
  that copying a value is copying tokens. A colon with its blank is one token, since it stands behind every label.
- Digits are single tokens; the byte alphabet is whole, so that every string can be said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recollect.worlds.base import train_bpe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedTokenizerFast

_UNITS = r": |\s|\d|\p{L}+|[^\s\p{L}\d]+"


def train_tokenizer(documents: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocabulary` tokens, learnt from documents; it puts <s> in front."""
    from tokenizers import Regex, pre_tokenizers

    units = [
        pre_tokenizers.Split(Regex(_UNITS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    return train_bpe(documents, vocabulary, pre_tokenizers.Sequence(units), longest=1024)
