"""Greedy decoding of a batch: the most likely token each time, finished rows dropped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from recollect.generate.state import prefill

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The ids that end a text: the tokenizer's end token and those of the model's generation settings."""
    ids: set[int] = set()
    for value in (tokenizer.eos_token_id, getattr(model.generation_config, "eos_token_id", None)):
        if isinstance(value, int):
            ids.add(value)
        elif value is not None:
            ids.update(int(item) for item in value)
    return ids


def greedy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Collection[int] | None = None,
) -> list[list[int]]:
    """The most likely continuation of each prompt, at most `max_new_tokens` long, without the stop token."""
    import torch

    stops = stop_tokens(model, tokenizer) if stop_ids is None else set(stop_ids)
    said: list[list[int]] = [[] for _ in prompt_ids]
    alive = list(range(len(prompt_ids)))
    state = prefill(model, prompt_ids, tokenizer.pad_token_id or 0)
    for step in range(max_new_tokens):
        tokens = state.logits.argmax(dim=-1).tolist()
        keep = [at for at, token in enumerate(tokens) if token not in stops]
        for at in keep:
            said[alive[at]].append(tokens[at])
        if not keep or step + 1 == max_new_tokens:
            break
        alive = [alive[at] for at in keep]
        device = state.mask.device
        state.select(torch.as_tensor(keep, device=device))
        state.read(torch.as_tensor([tokens[at] for at in keep], device=device)[:, None])
    return said
