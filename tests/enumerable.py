"""A world small enough to enumerate: a random Llama over eleven words, every completion with its probability."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from recollect.core.machine import Machine
from recollect.facts import Fact, FactSet
from recollect.generate import Sampling
from recollect.generate.conformance import Truth
from recollect.models import LoadedModel, model_fingerprint

SPECIAL = ["<s>", "</s>", "<pad>"]
WORDS = ["a", "b", "c", "d"]


def save_model(folder: Path, seed: int = 0, sharpness: float = 12.0, head_dim: int = 8) -> None:
    """A random model over `WORDS` whose next-token distribution is neither flat nor sure."""
    vocabulary = {token: index for index, token in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="left"
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=head_dim,
            max_position_embeddings=64,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
            tie_word_embeddings=False,
        )
    )
    with torch.no_grad():
        model.lm_head.weight *= sharpness / 10
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


@dataclass
class Small:
    """The loaded model and its exact distributions."""

    loaded: LoadedModel

    def next_distribution(self, ids: Sequence[int], temperature: float) -> torch.Tensor:
        """softmax(z / T) after the ids, by a plain forward pass."""
        with torch.inference_mode():
            logits = self.loaded.model(input_ids=torch.tensor([list(ids)])).logits[0, -1].double()
        return torch.softmax(logits / temperature, dim=-1)

    def completions(
        self, prompt: Sequence[int], temperature: float, longest: int
    ) -> Iterator[tuple[tuple[int, ...], float]]:
        """Every completion (without its end token) and its probability."""
        return self.truth.completions(prompt, Sampling(temperature, longest))

    @property
    def truth(self) -> Truth:
        """What a conforming engine of this model must agree with."""
        stops = {self.loaded.tokenizer.eos_token_id}
        return Truth(("c", "a d b c", "b"), lambda ids: self.next_distribution(ids, 1.0).log().tolist(), stops)

    def text(self, ids: Sequence[int]) -> str:
        """Decoded as the probe decodes."""
        return str(self.loaded.tokenizer.decode(list(ids), skip_special_tokens=True))


def load_small(folder: Path, seed: int = 0) -> Small:
    """Make and load."""
    save_model(folder, seed)
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    machine = Machine(1, "test", "cpu", "test", "float32", "test")
    return Small(LoadedModel(model, tokenizer, folder, model_fingerprint(folder), machine))


def pairs() -> list[tuple[str, str]]:
    """All ordered pairs of words."""
    return list(itertools.permutations(WORDS, 2))


def facts(count: int = 8) -> FactSet:
    """Facts of one relation in the words of the small model, up to 16."""
    return FactSet(
        tuple(
            Fact(
                "R",
                f"{WORDS[i % 4]} {WORDS[i // 4]}",
                WORDS[(i * 3 + 1) % 4],
                f"what is {WORDS[i % 4]} {WORDS[i // 4]}",
            )
            for i in range(count)
        )
    )
