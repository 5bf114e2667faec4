"""Tokenizers of every common make, trained on the spot on four lines, each small enough to enumerate what it says.

`KINDS` holds them by name; `dressed` gives one begin and end tokens as published tokenizers have them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from recollect.core.machine import Machine
from recollect.models import LoadedModel, model_fingerprint

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
CORPUS = [
    "Q: Where is the Inn ? A: Linz",
    "Q: Who ? A: Zoé",
    'Q: What is <s> ? A: a "3" tag',
    "café 京 31 3.1 - the\nthe",
] * 3
BYTES = [f"<0x{byte:02X}>" for byte in sorted({byte for text in ("é京😀", "\n") for byte in text.encode()})]
FOLD = (normalizers.NFKC(), normalizers.Lowercase())
BARE = (normalizers.NFD(), normalizers.StripAccents())


def byte_level(*before: normalizers.Normalizer, prefix: bool = False, digits: bool = False) -> Tokenizer:
    """As GPT-2, Llama 3, Qwen, SmolLM2."""
    raw = Tokenizer(models.BPE())
    if before:
        raw.normalizer = normalizers.Sequence(list(before))
    split = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    raw.pre_tokenizer = pre_tokenizers.Sequence([*split, pre_tokenizers.ByteLevel(add_prefix_space=prefix)])
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=72, special_tokens=SPECIAL, show_progress=False))
    return raw


def unigram(scheme: str, *before: normalizers.Normalizer, split: bool = True) -> Tokenizer:
    """As T5, XLNet, XGLM: SentencePiece's unigram, without bytes."""
    raw = Tokenizer(models.Unigram())
    if before:
        raw.normalizer = normalizers.Sequence(list(before))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    raw.decoder = decoders.Metaspace(prepend_scheme=scheme, split=split)
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    raw.train_from_iterator(CORPUS, trainer)
    return raw


def _bytes_bpe() -> Tokenizer:
    return Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))


def metaspace_bpe(scheme: str) -> Tokenizer:
    """As Mistral's and Llama 2's newer files: SentencePiece's BPE with bytes for what it lacks."""
    raw = _bytes_bpe()
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)
    own = [decoders.Metaspace(prepend_scheme=scheme)]
    raw.decoder = decoders.Sequence([decoders.ByteFallback(), *own])
    _train_with_bytes(raw)
    return raw


def llama_legacy() -> Tokenizer:
    """As Llama 2 was published: the blank before the text is put there by the normaliser, and no words are split."""
    raw = _bytes_bpe()
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    raw.decoder = decoders.Sequence(steps)
    _train_with_bytes(raw)
    return raw


def gemma() -> Tokenizer:
    """As Gemma: blanks are letters like others, nothing is put before a text, merges may join words."""
    raw = _bytes_bpe()
    raw.normalizer = normalizers.Replace(" ", "▁")
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(" "), "merged_with_previous")
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _train_with_bytes(raw)
    return raw


def _train_with_bytes(raw: Tokenizer) -> None:
    plain = [text.replace("é", "").replace("京", "").replace("\n", " ") for text in CORPUS]
    trainer = trainers.BpeTrainer(vocab_size=76, special_tokens=[*SPECIAL, *BYTES], show_progress=False)
    raw.train_from_iterator(plain, trainer)
    written = json.loads(raw.to_str())  # bytes are ordinary tokens in published files, not special ones
    written["added_tokens"] = [token for token in written["added_tokens"] if token["content"] not in BYTES]
    made = Tokenizer.from_str(json.dumps(written))
    raw.__setstate__(made.__getstate__())


def word_piece(*, lowercase: bool, accents: bool = True) -> Tokenizer:
    """As BERT."""
    raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=not accents)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=SPECIAL, show_progress=False)
    raw.train_from_iterator(CORPUS, trainer)
    return raw


def word_level(before: pre_tokenizers.PreTokenizer) -> Tokenizer:
    """Whole words."""
    raw = Tokenizer(models.WordLevel(unk_token="<unk>"))
    raw.pre_tokenizer = before
    raw.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False))
    return raw


def with_added_words() -> Tokenizer:
    """Words that were added to a trained vocabulary, one of which eats the blank before it."""
    raw = byte_level()
    raw.add_tokens([AddedToken("Linz", normalized=False), AddedToken("Zoé", lstrip=True), AddedToken("Inn")])
    return raw


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte-level": byte_level,
    "byte-level, prefix space": lambda: byte_level(prefix=True),
    "byte-level, NFC, digits": lambda: byte_level(normalizers.NFC(), digits=True),
    "byte-level, NFKC and lower case": lambda: byte_level(*FOLD),
    "byte-level, no accents": lambda: byte_level(*BARE),
    "byte-level, added words": with_added_words,
    "unigram, always": lambda: unigram("always", normalizers.NFC()),
    "unigram, first": lambda: unigram("first", normalizers.NFKC()),
    "unigram, never": lambda: unigram("never"),
    "unigram, words joined": lambda: unigram("always", split=False),
    "bpe with bytes, always": lambda: metaspace_bpe("always"),
    "bpe with bytes, first": lambda: metaspace_bpe("first"),
    "bpe with bytes, never": lambda: metaspace_bpe("never"),
    "llama as published": llama_legacy,
    "gemma": gemma,
    "word-piece": lambda: word_piece(lowercase=False),
    "word-piece, lower case": lambda: word_piece(lowercase=True, accents=False),
    "word-level": lambda: word_level(pre_tokenizers.WhitespaceSplit()),
    "word-level, punctuation apart": lambda: word_level(pre_tokenizers.Whitespace()),
}

DRESSES: dict[str, str | None] = {"plain": None, "begin": "<s> $A", "begin and end": "<s> $A </s>", "end": "$A </s>"}


@cache
def _trained(kind: str) -> str:
    """Written down once: unigram numbers its pieces anew in each training."""
    return KINDS[kind]().to_str()


def dressed(kind: str, dress: str = "plain", **named: str | None) -> PreTrainedTokenizerFast:
    """The tokenizer with a post-processor; `named` overrides its special tokens (None takes one away)."""
    raw = Tokenizer.from_str(_trained(kind))
    frame = DRESSES[dress]
    if frame is not None:
        pairs = [(name, raw.token_to_id(name)) for name in ("<s>", "</s>") if name in frame]
        raw.post_processor = processors.TemplateProcessing(single=frame, special_tokens=pairs)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"} | named
    return PreTrainedTokenizerFast(tokenizer_object=raw, **{k: v for k, v in names.items() if v is not None})


def random_model(tokenizer: PreTrainedTokenizerFast, folder: Path, seed: int = 1) -> LoadedModel:
    """A tiny random Llama over the tokenizer's vocabulary, saved to the folder with it and loaded from there."""
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=max(tokenizer.get_vocab().values()) + 1,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    loaded = PreTrainedTokenizerFast.from_pretrained(folder)
    machine = Machine(1, "test", "cpu", "test", "float32", "test")
    return LoadedModel(model, loaded, folder, model_fingerprint(folder), machine)
