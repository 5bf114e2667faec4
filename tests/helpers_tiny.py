"""A tiny random model with a tokenizer of its own, made on the spot; and facts to go with it.

Use: `from helpers_tiny import tiny_model` (pytest has this folder on its path).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recollect.facts import Fact, FactSet

RELATIONS = ("P17", "P19", "P20", "P36", "P69", "P131", "P159", "P276", "P495", "P740")
_TEXT = "<|question|> Which city is the capital of country 12? <|answer|> Paris Oslo 0123456789 answer"


def tiny_tokenizer(folder: Path, *, bos: bool = True) -> None:
    """Write a byte-level BPE tokenizer with about 300 entries, which can spell any text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([_TEXT] * 2, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="</s>", pad_token="<pad>", bos_token="<s>" if bos else None
    )
    tokenizer.save_pretrained(folder)


def tiny_model(folder: Path, *, seed: int = 0, bos: bool = True) -> Path:
    """Write a random Llama (hidden 32, 2 layers, float32) and its tokenizer to `folder`; returns `folder`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    tiny_tokenizer(folder, bos=bos)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def tiny_facts(per_relation: int = 4, *, test: int = 2, ood: int = 2) -> FactSet:
    """Facts over the ten in-domain relations (train and test) and one out-of-domain relation, P50."""
    facts = []
    for relation in RELATIONS:
        for number in range(per_relation + test):
            split = "train" if number < per_relation else "test"
            question = f"What is {relation} of thing {number}?"
            facts.append(Fact(relation, f"thing {number}", f"Answer{number}", question, split=split))
    for number in range(ood):
        question = f"Who wrote book {number}?"
        facts.append(Fact("P50", f"book {number}", f"Writer{number}", question, domain="out-of-domain", split="test"))
    return FactSet(tuple(facts), "tiny")


def tiny_levels(facts: FactSet) -> pl.DataFrame:
    """Levels 0..4 in turn inside each relation and part; every third is sure (probability 0.9, else 0.5)."""
    seen: dict[tuple[str, str], int] = {}
    levels = []
    for fact in facts:
        key = (fact.relation, fact.part)
        levels.append(seen.get(key, 0) % 5)
        seen[key] = seen.get(key, 0) + 1
    return pl.DataFrame(
        {
            "fact_id": [fact.id for fact in facts],
            "relation": [fact.relation for fact in facts],
            "subject": [fact.subject for fact in facts],
            "object": [fact.object for fact in facts],
            "score": [level / 4 for level in levels],
            "low": [max(0.0, level / 4 - 0.1) for level in levels],
            "high": [min(1.0, level / 4 + 0.1) for level in levels],
            "level": levels,
            "level_probability": [0.9 if index % 3 == 0 else 0.5 for index in range(len(levels))],
            "borderline": [index % 3 != 0 for index in range(len(levels))],
        }
    )
