"""Regions, layers and modules, by name."""

from __future__ import annotations

import pytest

from recollect.errors import InputError
from recollect.weights import in_region, layer_of, module_of

LLAMA = [
    "model.embed_tokens.weight",
    "model.layers.0.input_layernorm.weight",
    "model.layers.0.post_attention_layernorm.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.self_attn.q_proj.bias",
    "model.layers.0.self_attn.q_norm.weight",
    "model.layers.0.mlp.down_proj.weight",
    "model.layers.12.mlp.gate_proj.weight",
    "model.norm.weight",
    "lm_head.weight",
]


def picked(region: str) -> list[int]:
    """Places in LLAMA."""
    return sorted(LLAMA.index(name) for name in in_region(LLAMA, region))


@pytest.mark.parametrize(
    ("region", "places"),
    [
        ("decoder", [3, 4, 6, 7]),
        ("attention", [3, 4]),
        ("mlp", [6, 7]),
        ("embedding", [0, 9]),
        ("all", list(range(10))),
        ("model.layers.1?.*", [7]),
        ("re:layers\\.0\\..*norm", [1, 2, 5]),
        ("lm_head.weight", [9]),
    ],
)
def test_regions(region: str, places: list[int]) -> None:
    assert picked(region) == places


@pytest.mark.parametrize(
    ("region", "said"),
    [("decodr", "'decodr' holds no tensor"), ("re:(", "no regular expression"), ("re:zzz", "'re:zzz' holds no tensor")],
)
def test_a_region_without_a_tensor_is_refused(region: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        in_region(LLAMA, region)


@pytest.mark.parametrize(
    ("name", "layer", "module"),
    [
        ("model.layers.3.self_attn.o_proj.weight", 3, "attn.o"),
        ("model.layers.31.mlp.up_proj.bias", 31, "mlp.up"),
        ("model.layers.3.mlp.experts.7.down_proj.weight", 3, "mlp.down"),
        ("model.layers.3.mlp.gate.weight", 3, "mlp.router"),
        ("model.layers.3.mlp.gate_proj.weight", 3, "mlp.gate"),
        ("model.layers.3.self_attn.k_norm.weight", 3, "norm"),
        ("transformer.h.4.attn.c_attn.weight", 4, "attn.c_attn"),
        ("h.4.ln_1.weight", 4, "norm"),
        ("gpt_neox.layers.2.attention.query_key_value.weight", 2, "attn.query_key_value"),
        ("model.embed_tokens.weight", None, "embed"),
        ("lm_head.weight", None, "head"),
        ("model.norm.weight", None, "norm"),
    ],
)
def test_layers_and_modules(name: str, layer: int | None, module: str) -> None:
    assert (layer_of(name), module_of(name)) == (layer, module)
