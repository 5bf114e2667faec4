"""The engine that comes with Recollect: a transformers model in this process; a prompt's draws share one prefill.

Caches, prefix trees and tensors stay inside: `state` reads, `sampler` draws, `selftest` checks both against the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from recollect.core.phases import phase
from recollect.generate.encoding import TokenizerVocabulary, context_limit
from recollect.generate.engine import NEGLIGIBLE, Ask, Decided, Drawn, Ids, Sampling
from recollect.generate.random import draw_keys
from recollect.generate.sampler import Trie, prefix_free, sample
from recollect.generate.selftest import self_test
from recollect.generate.state import Owners, State, continuation_logprobs, greedy, prefill

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from recollect.core.machine import Machine
    from recollect.models import LoadedModel

_TOKENS_A_ROW = 96  # prompt and answer, for the size of a batch: both of the studies' kind have under half of it
_UNSEEN_ON_A_GPU = 8  # tokens drawn before a look at them
_LOOK_FROM = 1_000_000_000
"""Parameters from which a look at a draw's text (some 20 microseconds) costs less than it saves on a GPU, where a
small model says a token in two. Draws end early or do not; either way they are judged alike."""


class TransformersEngine(TokenizerVocabulary):
    """A loaded transformers model as an `Engine`."""

    name = "transformers"
    draws_are_addressed = True
    draws_excluding = True

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded.tokenizer)
        self.machine: Machine = loaded.machine
        self._model = loaded.model
        self._stops = stop_tokens(loaded.model, loaded.tokenizer)
        self._pad = loaded.tokenizer.pad_token_id or 0
        gpu = self.machine.device.startswith("cuda")
        self._unseen = _UNSEEN_ON_A_GPU if gpu else 1
        self._looks = not gpu or loaded.model.num_parameters() >= _LOOK_FROM
        self._owners: Owners | None = None
        """Whose the prompts of the question at work are; see `together`."""

    @property
    def context(self) -> int | None:
        """As the model's configuration states it."""
        return context_limit(self._model.config)

    def decode(self, ids: Ids) -> str:
        """Up to the first token that ends a text, also one that only the model's generation settings name."""
        return super().decode(list(takewhile(lambda token: token not in self._stops, ids)))

    def scores_at(self, temperature: float) -> bool:
        """At any."""
        return True

    def batch_size(self, draws: int) -> int:
        """So many that logits and caches of all draws stay within bounds: on a GPU within half of what is free."""
        vocabulary = int(self._model.config.get_text_config().vocab_size)
        rows = max(1, draws)
        if not self.machine.device.startswith("cuda"):
            return max(1, min(256, (1 << 26) // (vocabulary * rows)))
        import torch

        free = int(torch.cuda.mem_get_info(self._model.device)[0])
        numbers = vocabulary + _TOKENS_A_ROW * cached_numbers(self._model)
        return max(1, min(4096, free // (2 * int(self._model.dtype.itemsize) * numbers * rows)))

    def greedy(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
        """The most likely token each time; finished rows are dropped."""
        if not prompts:
            return []
        return greedy(self._model, prompts, max_new_tokens, self._stops, self._pad, self._owners)

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        """One prefill for all draws, with and without the excluded continuations."""
        if not asks:
            return []
        room = max([how.max_new_tokens, *(len(ids) for ask in asks for ids in ask.excluded or ())])
        draws_at_most = sum(ask.draws for ask in asks)
        state = self._read([ask.prompt for ask in asks], room, draws_at_most)
        tries = None
        if any(ask.excluded is not None for ask in asks):
            tries = _tries(state, [ask.excluded or () for ask in asks], how.temperature)
        counts = [ask.draws for ask in asks]
        if tries is not None:
            counts = [ask.draws if 1 - t.probability > NEGLIGIBLE else 0 for ask, t in zip(asks, tries, strict=True)]
        rows = [row for row, count in enumerate(counts) for _ in range(count)]
        draws: list[list[list[int]]] = [[] for _ in asks]
        if rows:
            names, numbers = [asks[row].name for row in rows], [asks[row].number for row in rows]
            order = [ask.first + draw for ask, count in zip(asks, counts, strict=True) for draw in range(count)]
            keys = draw_keys(how.seed, names, numbers, order)
            decided = decided if self._looks else None
            said = sample(state, rows, keys, how, self._stops, tries, decided, self._unseen)
            for row, ids in zip(rows, said, strict=True):
                draws[row].append(ids)
        started = [
            None if ask.excluded is None or tries is None else tries[row].probability for row, ask in enumerate(asks)
        ]
        return [Drawn(tuple(said), share) for said, share in zip(draws, started, strict=True)]

    def score(
        self, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], temperature: float = 1.0
    ) -> list[list[list[float]]]:
        """By teacher forcing, all continuations of a prompt after one prefill."""
        if not prompts:
            return []
        room = max((len(ids) for texts in continuations for ids in texts), default=0)
        return _scores(self._read(prompts, room), continuations, temperature)

    def _read(self, prompts: Sequence[Ids], room: int, rows: int = 0) -> State:
        return prefill(self._model, prompts, self._pad, room=room, rows=rows, owners=self._owners)

    def self_test(self, temperature: float, top_k: int = 0) -> float | None:
        """Draws against the softmax of a plain forward pass, cache against no cache."""
        with phase("self-test"):
            return self_test(self._model, self.tokenizer, temperature=temperature, top_k=top_k).p_value


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The ids that end a text: the tokenizer's end token and those of the model's generation settings."""
    return stop_ids(tokenizer.eos_token_id, getattr(model.generation_config, "eos_token_id", None))


def stop_ids(*values: object) -> set[int]:
    """End tokens as they are configured: one, several, or none."""
    several = [value if isinstance(value, list | tuple) else [value] for value in values]
    return {one for some in several for one in some if isinstance(one, int)}


def cached_numbers(model: PreTrainedModel) -> int:
    """How many numbers the attention cache holds of a token, at most."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 1)
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * (getattr(config, "num_key_value_heads", None) or heads) * width)


def _scores(state: State, continuations: Sequence[Sequence[Ids]], temperature: float) -> list[list[list[float]]]:
    rows = [row for row, texts in enumerate(continuations) for _ in texts]
    flat = iter(continuation_logprobs(state, rows, [ids for texts in continuations for ids in texts], temperature))
    return [[next(flat) for _ in texts] for texts in continuations]


def _tries(state: State, excluded: Sequence[Sequence[Ids]], temperature: float) -> list[Trie]:
    sequences = [prefix_free(paths) for paths in excluded]
    return [Trie(*pair) for pair in zip(sequences, _scores(state, sequences, temperature), strict=True)]
