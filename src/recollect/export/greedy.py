"""Greedy answers of a transformers model, asked in one way on both sides of a check: `generate`, and nothing of ours.

Rows of a batch are padded on the left, in the order of the prompts, so that both sides compute the same sums. Of the
model's generation settings the end tokens alone are used: a repetition penalty would not be greedy decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from recollect.export.exporter import Prompt
from recollect.generate.encoding import decode, prompt_ids
from recollect.generate.transformers import stop_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 16


def ids_of(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[list[int]]:
    """The token ids of each prompt: a chat as its template writes it, any other text as training reads it."""
    return [
        list(tokenizer(prompt.text, add_special_tokens=False)["input_ids"])
        if prompt.messages
        else prompt_ids(tokenizer, [prompt.text])[0]
        for prompt in prompts
    ]


def greedy_texts(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], max_new_tokens: int
) -> list[str]:
    """The greedy answer to each prompt, up to its end token."""
    import torch
    from transformers import GenerationConfig

    stops = sorted(stop_tokens(model, tokenizer))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (stops or [0])[0]
    how = GenerationConfig(
        do_sample=False, num_beams=1, max_new_tokens=max_new_tokens, eos_token_id=stops or None, pad_token_id=pad
    )
    device = next(model.parameters()).device
    rows, found = ids_of(tokenizer, prompts), []
    model.eval()
    for first in range(0, len(rows), _BATCH):
        batch = rows[first : first + _BATCH]
        width = max(map(len, batch))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in batch], device=device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=device)
        with torch.no_grad():
            made = model.generate(input_ids=ids, attention_mask=mask, generation_config=how)
        for row in made[:, width:].tolist():
            found.append(decode(tokenizer, list(takewhile(lambda token: token not in stops, row))))
    return found
