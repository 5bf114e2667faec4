"""What a folder must hold: every unsafe or broken one is refused, with a way to fix it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers_models import edit, loaded, logits, plant
from recollect.errors import ModelError
from recollect.models import check_folder, model_fingerprint


def test_a_whole_folder_passes_and_loads(made: Path) -> None:
    check_folder(made)
    found = loaded(made)
    assert found.device == "cpu"
    assert found.folder == made
    assert found.fingerprint == model_fingerprint(made)
    assert not found.model.training
    assert found.tokenizer.pad_token == "<pad>"
    assert logits(found.model).shape == (1, 4, 7)


def test_without_a_config_it_is_no_model(tiny: Path) -> None:
    (tiny / "config.json").unlink()
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        check_folder(tiny)


@pytest.mark.parametrize("text", [b"{", b"not json", b"\xff\xfe", b"", b"[" * 100000])
def test_a_config_that_is_not_json_is_refused(tiny: Path, text: bytes) -> None:
    (tiny / "config.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"config\.json is not readable JSON"):
        check_folder(tiny)


def test_a_config_that_is_no_object_is_refused(tiny: Path) -> None:
    (tiny / "config.json").write_text("[1]")
    with pytest.raises(ModelError, match="must hold a JSON object, but holds list"):
        check_folder(tiny)


def test_a_config_of_an_unknown_kind_is_refused(tiny: Path) -> None:
    edit(tiny / "config.json", model_type="of my own", architectures=["Mine"])
    with pytest.raises(ModelError, match="could not be loaded as a causal language model"):
        loaded(tiny)


def test_without_a_tokenizer_it_is_refused(tiny: Path) -> None:
    for file in tiny.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="has a tokenizer that could not be loaded"):
        loaded(tiny)


def test_without_weights_it_is_refused(tiny: Path) -> None:
    (tiny / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors weights"):
        check_folder(tiny)


# -- pickles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "model.ckpt", "model.pkl"])
def test_pickled_weights_are_refused_and_not_run(tiny: Path, tmp_path: Path, name: str) -> None:
    (tiny / "model.safetensors").unlink()
    plant(tiny, name, tmp_path / "mark")
    with pytest.raises(ModelError, match=f"holds only pickled weights \\({re.escape(name)}\\), which can run code"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("decoy", ["decoy.safetensors", "training_args.safetensors"])
def test_pickled_weights_behind_a_decoy_are_not_run(tiny: Path, tmp_path: Path, decoy: str) -> None:
    (tiny / "model.safetensors").rename(tiny / decoy)
    plant(tiny, "pytorch_model.bin", tmp_path / "mark")
    with pytest.raises(ModelError, match="could not be loaded"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


def test_a_pickle_beside_good_weights_is_not_run(tiny: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin"):
        plant(tiny, name, tmp_path / "mark")
    loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["adapter_model.bin", "../elsewhere.safetensors", "pytorch_model.bin", "", 7])
def test_a_config_that_names_other_weights_is_refused(tiny: Path, tmp_path: Path, name: object) -> None:
    plant(tiny, "adapter_model.bin", tmp_path / "mark")
    edit(tiny / "config.json", transformers_weights=name)
    with pytest.raises(ModelError, match=r"config\.json names the weights"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("value", ["some-org/some-kernel", {"text_config": "some-org/some-kernel"}])
def test_a_config_that_asks_for_a_kernel_from_a_hub_is_refused(tiny: Path, key: str, value: object) -> None:
    edit(tiny / "config.json", **{key: value})
    with pytest.raises(ModelError, match="asks for code from a hub"):
        check_folder(tiny)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_refused_by_name(tiny: Path, value: float) -> None:
    weights = load_file(tiny / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = value
    save_file(weights, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight holds NaN or infinite"):
        loaded(tiny)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_truncated_weights_are_refused(tiny: Path, kept: float) -> None:
    file = tiny / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        loaded(tiny)


def test_a_missing_weight_is_refused_and_not_made_up(tiny: Path) -> None:
    weights = load_file(tiny / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights \(lm_head\.weight\); they would be random"):
        loaded(tiny)


def test_weights_of_another_shape_are_refused_with_both_shapes(tiny: Path) -> None:
    edit(tiny / "config.json", vocab_size=9)
    with pytest.raises(ModelError, match=r"lm_head\.weight is 7 by 16 in the checkpoint, 9 by 16 by config\.json"):
        loaded(tiny)


# -- shards ------------------------------------------------------------------------------------------------


def shard(folder: Path) -> Path:
    """Store the weights in two files with an index, which is returned."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    files = {name: f"model-0000{1 + (at > 5)}-of-00002.safetensors" for at, name in enumerate(names)}
    for file in set(files.values()):
        chosen = {name: weights[name] for name in names if files[name] == file}
        save_file(chosen, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    edit(index, metadata={"total_size": 1}, weight_map=files)
    return index


def test_a_model_in_shards_is_the_model(tiny: Path, made: Path) -> None:
    shard(tiny)
    assert torch.equal(logits(loaded(tiny).model), logits(loaded(made).model))


@pytest.mark.parametrize("where", ["../stolen.safetensors", "{outside}", "sub/../../stolen.safetensors", "..", ""])
def test_an_index_that_points_outside_the_folder_is_refused(tiny: Path, tmp_path: Path, where: str) -> None:
    index = shard(tiny)
    stolen = tmp_path / "stolen.safetensors"
    (tiny / "model-00001-of-00002.safetensors").rename(stolen)
    (tiny / "sub").mkdir()
    files = json.loads(index.read_text())["weight_map"]
    where = where.format(outside=stolen)
    edit(index, weight_map={name: where if "00001" in file else file for name, file in files.items()})
    with pytest.raises(ModelError, match="which lie outside the folder"):
        loaded(tiny)


def test_an_index_beside_whole_weights_is_checked_too(tiny: Path) -> None:
    edit(tiny / "model.safetensors.index.json", metadata={}, weight_map={"a": "/etc/passwd"})
    with pytest.raises(ModelError, match="which lie outside the folder"):
        check_folder(tiny)


def test_a_missing_shard_is_refused(tiny: Path) -> None:
    shard(tiny)
    (tiny / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"'model-00002-of-00002\.safetensors', which are not there"):
        check_folder(tiny)


def test_a_pickled_shard_is_refused(tiny: Path, tmp_path: Path) -> None:
    index = shard(tiny)
    plant(tiny, "model.bin", tmp_path / "mark")
    edit(index, weight_map={"model.norm.weight": "model.bin"})
    with pytest.raises(ModelError, match="not there as safetensors"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("text", ["{", "{}", '{"weight_map": []}'])
def test_a_broken_index_is_refused(tiny: Path, text: str) -> None:
    index = shard(tiny)
    index.write_text(text)
    with pytest.raises(ModelError, match=r"index\.json (is not readable JSON|holds no weight_map)"):
        check_folder(tiny)
