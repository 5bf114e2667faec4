"""Which LoRA adapters another program than PEFT may apply beside their base: those that are nothing but products.

Other programs read an adapter's file and the rank, and pass over what else it holds without a word (saved modules,
embeddings, a start that changed the base). Such an adapter must be merged by us, or not be run at all.
"""

from __future__ import annotations

from recollect.core.json_object import JsonObject
from recollect.errors import ModelError
from recollect.models.adapter import put_on
from recollect.models.adapter_config import STARTS_BESIDE, read_adapter_config
from recollect.models.ref import ModelRef
from recollect.models.whole import empty_model

_OTHERWISE = ("use_dora", "lora_bias", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "trainable_token_indices")


def plain_rank(ref: ModelRef) -> int:
    """The rank of a plain adapter: products of two factors of one rank, beside linear layers, and nothing else.

    Raises ModelError for any other, and for an adapter that is not whole or is another base's.
    """
    config = read_adapter_config(ref.folder)
    why = _beside_products(config)
    placed = put_on(empty_model(ref.whole, ref.runs_code), ref.folder)
    embeddings = sorted(name for name, layer in placed.layers.items() if type(layer).__name__ == "Embedding")
    for what, names in (
        ("stores", sorted(placed.replaced())),
        ("changes", sorted(placed.odd())),
        ("changes", embeddings),
    ):
        if names and not why:
            why = f"{what} {names[0]} as well"
    if why:
        raise ModelError(
            f"{ref.folder} {why}: only plain LoRA adapters are served beside their base. Take --engine transformers, "
            "which merges it, or merge it with peft (merge_and_unload) and give that folder."
        )
    return int(config["r"])


def _beside_products(config: JsonObject) -> str:
    """What the configuration asks for besides products of two factors; "" for nothing."""
    for key in _OTHERWISE:
        if config.get(key):
            return f"uses {key}"
    if config.get("bias", "none") != "none":
        return f"trains biases (bias={config['bias']!r})"
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in STARTS_BESIDE:
        return f"was started by {start!r}"
    return ""
