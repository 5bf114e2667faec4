"""Starting weights that can already copy: heads that look one, two and three tokens back, and heads that find.

A small model learns to copy from its context late and suddenly: the gain needs two attention layers to agree, and
neither pays before the other is there (Olsson et al. 2022, "In-context Learning and Induction Heads"). Starting
weights with the right shape spare that wait (Trockman and Kolter 2023, "Mimetic Initialization of Self-Attention
Layers", set query-key and value-output products near the identity). Here the whole circuit is set.

Notable choices
- The first layer's four heads look 1, 1, 2 and 3 tokens back, by rotary position alone, and write what they see into
  subspaces of their own.
- In the second layer each head asks for "a place whose last three tokens are mine" on the slow rotary dimensions,
  where distance hardly counts, and copies the token it finds.
- Embeddings are tied, so that a copied embedding is a prediction. One dimension of them is constant: the heads that
  look back need a query that does not depend on the token.
- All of it is trained like any other weight afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recollect.generate.random import library_seed

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaAttention

_SPREAD = 0.08  # standard deviation of the embeddings, and scale of what heads write beside them
_CONSTANT = 3.0  # the constant dimension, in units of _SPREAD
_FAST = 3  # rotary pairs that tell neighbouring places apart
_SLOW = 6  # rotary pairs from here on hardly turn within a page
_SHARPNESS = 8.0  # of looking back
_MATCH = 3.0  # of finding: gain of queries and of keys
_COPY = 6.0  # how strongly a found token is copied
_BACK = (1, 1, 2, 3)
HEADS = len(_BACK)


def set_copying(model: LlamaForCausalLM, seed: int) -> None:
    """Overwrite the embeddings and attention weights of a fresh model; needs four heads and tied embeddings."""
    import torch

    config = model.config
    heads, width = config.num_attention_heads, config.hidden_size
    size = width // heads
    if heads != HEADS or not config.tie_word_embeddings:
        raise ValueError(f"the copying start needs {HEADS} heads and tied embeddings, but got {config}")
    generator = torch.Generator().manual_seed(library_seed(seed))
    rotation = model.model.rotary_emb.inv_freq.float()
    with torch.no_grad():
        embedding = model.model.embed_tokens.weight
        embedding.copy_(torch.randn(embedding.shape, generator=generator) * _SPREAD)
        embedding[:, 0] = _CONSTANT * _SPREAD
        read = _orthonormal(width, generator)[: 2 * size]
        write = _orthonormal(width, generator)
        first, second = (layer.self_attn for layer in model.model.layers[:2])
        for head, back in enumerate(_BACK):
            rows = slice(head * size, (head + 1) * size)
            first.q_proj.weight[rows] = 0
            first.k_proj.weight[rows] = 0
            for pair in range(_FAST):
                angle = back * rotation[pair]
                first.k_proj.weight[rows.start + pair, 0] = _SHARPNESS / _CONSTANT
                first.q_proj.weight[rows.start + pair, 0] = _SHARPNESS / _CONSTANT * torch.cos(angle)
                first.q_proj.weight[rows.start + pair + size // 2, 0] = -_SHARPNESS / _CONSTANT * torch.sin(angle)
            first.v_proj.weight[rows] = read[:size] if head == 0 else read[size:]
            first.o_proj.weight[:, rows] = _SPREAD * write[rows].T
        _find_and_copy(second, read, write, size, generator)


def _find_and_copy(
    attention: LlamaAttention, read: torch.Tensor, write: torch.Tensor, size: int, generator: torch.Generator
) -> None:
    width = read.shape[1]
    copied = _orthonormal(width, generator)
    slow = [*range(_SLOW, size // 2), *range(size // 2 + _SLOW, size)]
    # (how the query sees a token, how the key sees the same token one place on), by distance
    pairs = [(read[:size], write[:size]), (read[size:], write[size : 2 * size])]
    pairs += [(write[size : 2 * size], write[2 * size : 3 * size]), (write[2 * size : 3 * size], write[3 * size :])]
    shares = (0, 0, 0, 1, 1, 1, 2, 2, 3)
    for head in range(width // size):
        rows = slice(head * size, (head + 1) * size)
        for at, row in enumerate(slow):
            asked, given = pairs[shares[(at + head) % len(shares)]]
            which = (at * 3 + head * 7) % size
            attention.q_proj.weight[rows.start + row] += _MATCH * asked[which]
            attention.k_proj.weight[rows.start + row] += _MATCH * given[which]
        attention.v_proj.weight[rows] += copied[rows]
        attention.o_proj.weight[:, rows] += _COPY * _SPREAD * copied[rows].T


def _orthonormal(width: int, generator: torch.Generator) -> torch.Tensor:
    import torch

    rows: torch.Tensor = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
    return rows
