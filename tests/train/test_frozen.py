"""Frozen parts: they stay the base's to the last bit, and everything else learns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers_adapters import tiny_base
from recollect.errors import InputError
from recollect.models import ModelSettings, load
from recollect.train import TrainResult, TrainSettings, run_train
from recollect.train.frozen import still

BOTH = "embeddings, layers.1.mlp"


def train(base: Path, selection: Path, out: Path, **values: Any) -> TrainResult:
    given = {"learning_rate": 2e-2, "batch_size": 8, "max_steps": 2, "prompt": "plain", **values}
    return run_train(TrainSettings.make(model=str(base), device="cpu", **given), selection, out=out)


def same(base: Path, tuned: TrainResult) -> set[str]:
    """The weights that did not change."""
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tuned.path / "model"))
    assert before.keys() == after.keys()
    return {name for name in before if torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("freeze", "begins"),
    [
        ("embeddings", ("model.embed_tokens",)),
        ("lower", ("model.embed_tokens", "model.layers.0.")),
        ("attention", ("model.layers.0.self_attn.", "model.layers.1.self_attn.")),
        (BOTH, ("model.embed_tokens", "model.layers.1.mlp.")),
    ],
)
def test_what_is_frozen_stays_and_the_rest_learns(
    base_folder: Path, eight: Path, tmp_path: Path, freeze: str, begins: tuple[str, ...]
) -> None:
    more = {"gradient_checkpointing": True} if freeze == "lower" else {}
    kept = same(base_folder, train(base_folder, eight, tmp_path / "out", freeze=freeze, **more))
    names = load_file(base_folder / "model.safetensors").keys()
    assert kept == {name for name in names if name.startswith(begins)}


def test_frozen_parts_get_no_adapters(base_folder: Path, eight: Path, tmp_path: Path) -> None:
    tuned = train(base_folder, eight, tmp_path / "out", method="lora", freeze="lower")
    factors = load_file(tuned.path / "model" / "adapter_model.safetensors")
    assert factors
    assert all(".layers.1." in name for name in factors)


def test_an_anchor_and_frozen_parts_go_together(base_folder: Path, eight: Path, tmp_path: Path) -> None:
    kept = same(base_folder, train(base_folder, eight, tmp_path / "out", freeze="lower", anchor=0.5))
    assert "model.layers.0.mlp.up_proj.weight" in kept
    assert "model.layers.1.mlp.up_proj.weight" not in kept


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"freeze": "mpl"}, "freeze names 'mpl', but nothing .* such as .*mlp"),
        ({"freeze": "embeddings,layers,norm,lm_head"}, "leaves nothing of this model to train"),
        ({"freeze": "layers", "method": "lora"}, "leaves no module for adapters"),
        ({"freeze": "lower", "method": "lora", "lora_bias": "all"}, "lora_bias all trains every bias"),
        ({"freeze": "lower", "method": "lora", "lora_modules_to_save": "embed_tokens"}, "which freeze lower keeps"),
    ],
)
def test_what_cannot_be_is_refused(
    base_folder: Path, eight: Path, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        train(base_folder, eight, tmp_path / "out", **values)
    assert not (tmp_path / "out").exists()


def test_a_tied_head_stays_with_the_embeddings(tmp_path: Path) -> None:
    model = load(ModelSettings(model=str(tiny_base(tmp_path / "base", "tied")), device="cpu")).model
    names = [name for name, _ in model.named_parameters()]
    assert "lm_head.weight" not in names
    assert still(model, "embeddings", names) == {"model.embed_tokens.weight"}
    assert still(model, "embeddings", ["lm_head", "model.layers.0.mlp"]) == {"lm_head"}
    assert still(model, "lower", ["model.layers.0.mlp", "model.layers.1.mlp", "lm_head"]) == {
        "model.layers.0.mlp", "lm_head",
    }  # fmt: skip


def test_nothing_frozen_is_what_there_was_before() -> None:
    assert "freeze" not in TrainSettings().fingerprint_values()
    assert TrainSettings(freeze="lower").fingerprint_values()["freeze"] == "lower"
