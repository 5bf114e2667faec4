"""One reader of adapters: what drift and restore see is what loading gives, and both are what PEFT gives."""

from __future__ import annotations

import itertools
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import pairs
from helpers_adapters import KINDS, NEVER_MADE, PARTS_TIED, PROMPT, merged_by_peft, tiny_adapter, tiny_base
from pairs import restore
from recollect.core.machine import Machine
from recollect.errors import ModelError, ModelWarning
from recollect.models import (
    ModelRef,
    ModelSettings,
    check_folder,
    load,
    load_weights,
    model_fingerprint,
    write_base_fingerprint,
)
from recollect.weights import open_pair

BASES = ("llama", "tied", "bias", "gpt2")
ALL = [pair for pair in itertools.product(BASES, KINDS) if pair not in NEVER_MADE]


def machine(dtype: str = "float32") -> Machine:
    return Machine(1, "test", "cpu", "test", dtype, "test")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One base of each layout; nobody changes them."""
    root = tmp_path_factory.mktemp("bases")
    return {kind: tiny_base(root / kind, kind) for kind in BASES}


def read_whole(base: Path, tuned: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the tuned side of a pair, flat, as measuring and ranking read it."""
    with open_pair(base, tuned) as pair:
        return {name: torch.from_numpy(pair.read(name, 0, size)[1].copy()) for name, size in pair.sizes.items()}


def edit(folder: Path, **values: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(("layout", "kind"), ALL)
def test_loading_measuring_and_restoring_give_what_peft_gives(
    bases: dict[str, Path], tmp_path: Path, layout: str, kind: str
) -> None:
    base, lora = bases[layout], tmp_path / "lora"
    live = tiny_adapter(lora, base, kind)
    loaded, _ = load_weights(ModelRef.at(lora), machine())
    with torch.inference_mode():
        torch.testing.assert_close(loaded(input_ids=torch.tensor(PROMPT)).logits, live, rtol=1e-4, atol=2e-6)
    if kind in PARTS_TIED and layout in ("tied", "gpt2"):
        assert not loaded.config.tie_word_embeddings  # two matrices from now on, also when it is saved
        with pytest.raises(ModelError, match="ties its output head to its embeddings"):
            open_pair(base, lora)
        return
    wanted, weights = merged_by_peft(lora, base), loaded.state_dict()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    read = read_whole(base, lora)
    assert all(torch.equal(read[name], weights[name].flatten()) for name in read)
    restored = pairs.read(restore(base, lora, 0, region="all", out=tmp_path / "out").model)
    assert all(torch.equal(restored[name], weights[name]) for name in restored)
    assert any(not torch.equal(value, restored[name]) for name, value in pairs.read(base).items())


@pytest.mark.parametrize("kind", ["plain", "DoRA", "PiSSA", "OLoRA", "norm saved whole"])
def test_on_a_bf16_base_all_see_the_float32_merge_rounded_once(tmp_path: Path, kind: str) -> None:
    base, lora = tiny_base(tmp_path / "base", "llama", "bfloat16"), tmp_path / "lora"
    tiny_adapter(lora, base, kind)
    exact = {
        name: value.bfloat16() for name, value in load_weights(ModelRef.at(lora), machine())[0].state_dict().items()
    }
    loaded = load_weights(ModelRef.at(lora), machine("bfloat16"))[0].state_dict()
    restored = pairs.read(restore(base, lora, 0, region="all", out=tmp_path / "out").model)
    for name, value in restored.items():
        assert torch.equal(value, exact[name]), name
        assert torch.equal(loaded[name], exact[name]), name


@pytest.mark.parametrize("kind", ["plain", "DoRA", "PiSSA", "a bias of its own", "norm saved whole", "all biases"])
def test_an_adapter_without_a_weight_is_refused_by_loading_and_by_measuring(
    bases: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    lora = tmp_path / "lora"
    tiny_adapter(lora, bases["bias"], kind)
    # copies: what is loaded lies in the very file that is written next
    whole = {name: value.clone() for name, value in load_file(lora / "adapter_model.safetensors").items()}
    second = [name for name in whole if "layers.1." in name or ".norm" in name]
    for gone in (second, second[:1], second[-1:]):
        left = {name: value for name, value in whole.items() if name not in gone}
        save_file(left, lora / "adapter_model.safetensors", metadata={"format": "pt"})
        for attempt in (lambda: load_weights(ModelRef.at(lora), machine()), lambda: open_pair(bases["bias"], lora)):
            with pytest.raises(ModelError, match="lacks"):
                attempt()


def test_a_weight_without_a_place_is_refused_not_left_out(bases: dict[str, Path], tmp_path: Path) -> None:
    lora = tmp_path / "lora"
    tiny_adapter(lora, bases["llama"])
    edit(lora, layers_to_transform=[0])  # the file holds both layers
    for attempt in (lambda: load_weights(ModelRef.at(lora), machine()), lambda: open_pair(bases["llama"], lora)):
        with pytest.raises(ModelError, match="have no place in its base"):
            attempt()


@pytest.mark.parametrize(
    ("start", "said"),
    [("pissa_niter_4", "random decomposition"), ("corda", "data that is not stored"), ("loftq", "quantised")],
)
def test_starts_that_changed_the_base_by_what_is_not_stored_are_refused_by_name(
    bases: dict[str, Path], tmp_path: Path, start: str, said: str
) -> None:
    lora = tmp_path / "lora"
    tiny_adapter(lora, bases["llama"])
    edit(lora, init_lora_weights=start)
    for attempt in (lambda: check_folder(lora), lambda: open_pair(bases["llama"], lora)):
        with pytest.raises(ModelError, match=f"{start}.*{said}"):
            attempt()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"layer_replication": [[0, 2]] * 500_000}, "must have at most 4,194,304 bytes|uses layer_replication"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "uses layer_replication"),
        ({"alora_invocation_tokens": [3]}, "uses alora_invocation_tokens"),
        ({"r": 10**9}, "r must be a whole number from 1 to 65,536, but is 1000000000"),
        ({"r": 0}, "r must be"),
        ({"rank_pattern": {"q_proj": 10**9}}, "rank_pattern"),
        ({"rank_pattern": ["q_proj"]}, "rank_pattern must map names to numbers"),
        ({"target_modules": [f"m{n}" for n in range(60_000)]}, "must have at most 50,000 entries"),
        ({"layers_pattern": "(a+)+$", "layers_to_transform": [0]}, "layers_pattern must be a plain name"),
        ({"target_modules": "([a-z"}, "is no regular expression"),
        ({"target_modules": "nothing_like_it"}, "matches no module"),
    ],
)
def test_hostile_configurations_are_one_line(
    bases: dict[str, Path], tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    lora = tmp_path / "lora"
    tiny_adapter(lora, bases["llama"])
    edit(lora, **values)
    for attempt in (lambda: load_weights(ModelRef.at(lora), machine()), lambda: open_pair(bases["llama"], lora)):
        with pytest.raises(ModelError, match=said):
            attempt()


@pytest.mark.parametrize("key", ["target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"])
def test_expressions_that_never_end_are_given_up(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("recollect.models.adapter_config.SECONDS", 0.7)
    lora = tmp_path / "lora"
    tiny_adapter(lora, bases["llama"])
    endless = r"(([a-z_0-9]+\.?)+)+!"
    edit(lora, **{key: {endless: 4} if key.endswith("pattern") else endless})
    with pytest.raises(ModelError, match=f"{key}.*did not come to an end"):
        load_weights(ModelRef.at(lora), machine())


def test_an_adapter_knows_the_weights_of_its_base(bases: dict[str, Path], tmp_path: Path) -> None:
    base = Path(shutil.copytree(bases["llama"], tmp_path / "base"))
    lora = tmp_path / "lora"
    tiny_adapter(lora, base)
    before = model_fingerprint(lora)
    settings = ModelSettings(model=str(lora), device="cpu")
    write_base_fingerprint(lora, model_fingerprint(base))
    assert model_fingerprint(lora) == before
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        load(settings)
    other = load_file(base / "model.safetensors")
    other["model.norm.weight"] = other["model.norm.weight"] + 1
    save_file(other, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(ModelWarning, match="the base has changed since"):
        load(settings)
    with open_pair(base, lora) as pair:
        assert any("the base has changed since" in text for text in pair.warnings)
