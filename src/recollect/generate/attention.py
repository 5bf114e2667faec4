"""Attention of one new token a row that reads grouped keys where they are, and a mask that is made once a token.

transformers' `sdpa` repeats the keys of grouped heads wherever there is a mask (before 5.23), which copies the whole
cache for every layer and token; and it asks the device, for every token, whether the mask masks anything, which waits
for it. `packed` puts a function into transformers' own attention interface that does neither, for as long as it is
open. Prompts, other attention implementations and models outside that interface are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_NAME = "recollect_sdpa"
_PLAIN = {"is_causal", "sliding_window", "position_ids", "use_cache", "cache_position", "output_attentions"}
"""What models hand to an attention function beside its arguments, and what changes nothing for one new token."""


def can_be_packed(model: PreTrainedModel) -> bool:
    """Whether the model asks transformers' attention interface, and for `sdpa`."""
    backend = getattr(type(model), "_supports_attention_backend", False)
    return bool(backend) and model.config.get_text_config()._attn_implementation == "sdpa"


@contextmanager
def packed(model: PreTrainedModel) -> Iterator[None]:
    """While open, the model's `sdpa` reads grouped keys where they are. Only where `can_be_packed`."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if _NAME not in ALL_ATTENTION_FUNCTIONS:
        ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
        ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    config = model.config.get_text_config()
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = "sdpa"


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """query [rows, heads, n, width], key and value [rows, key heads, read, width] -> [rows, n, heads, width]."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, new, width = query.shape
    unusual = any(value is not None and name not in _PLAIN for name, value in others.items())
    if new > 1 or unusual or (attention_mask is not None and attention_mask.shape[1] > 1):
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return found
    said = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], heads // key.shape[1], width),
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
    )
    return said.reshape(rows, 1, heads, value.shape[-1]), None
