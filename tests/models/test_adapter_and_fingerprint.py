"""What a fingerprint covers, and adapters on their base."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers_models import edit, loaded, pin_of, plant
from recollect.errors import ModelError
from recollect.models import check_folder, model_fingerprint


def test_the_fingerprint_is_the_contents_and_not_the_name_or_the_time(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another name"
    copy.mkdir()
    for file in sorted(made.iterdir(), reverse=True):  # another order on disk, and new times
        (copy / file.name).write_bytes(file.read_bytes())
    os.utime(copy / "model.safetensors", (1, 1))
    (copy / "README.md").write_text("decides nothing")
    (copy / "training_args.bin").write_bytes(b"decides nothing")
    assert model_fingerprint(copy) == model_fingerprint(made)


def test_any_byte_of_weights_tokenizer_or_config_changes_the_fingerprint(tiny: Path) -> None:
    before = model_fingerprint(tiny)
    files = sorted(file for file in tiny.iterdir() if file.is_file())
    assert {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    } <= {file.name for file in files}
    seen = {before}
    for file in files:
        data = file.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            seen.add(model_fingerprint(tiny))
        file.write_bytes(data)
        assert model_fingerprint(tiny) == before
    assert len(seen) == 1 + 3 * len(files)


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "special_tokens_map.json", "vocab.txt", "own.py", "b.safetensors"]
)
def test_a_new_file_that_decides_changes_the_fingerprint(tiny: Path, name: str) -> None:
    before = model_fingerprint(tiny)
    (tiny / name).write_text("")
    assert model_fingerprint(tiny) != before


def test_bytes_that_move_from_one_file_to_the_next_change_the_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for at in range(4):
        folder = tmp_path / str(at)
        folder.mkdir()
        text = "ab\0merges.txt\0cd"
        (folder / "config.json").write_text(text[: 3 * at])
        (folder / "merges.txt").write_text(text[3 * at :])
        prints.add(model_fingerprint(folder))
    assert len(prints) == 4


def test_an_adapter_loads_merged_on_its_base(adapter: Path, tiny: Path) -> None:
    found = loaded(adapter).model
    base = load_file(tiny / "model.safetensors")
    low = load_file(adapter / "adapter_model.safetensors")
    merged = dict(found.named_parameters())
    assert type(found).__name__ == "LlamaForCausalLM"
    assert set(merged) == set(base)
    for name, weight in base.items():
        part = f"base_model.model.{name.removesuffix('.weight')}"
        change = torch.zeros_like(weight)
        if f"{part}.lora_A.weight" in low:  # W + (alpha / r) B A, Hu et al. 2021, section 4.1
            change = 4 / 2 * low[f"{part}.lora_B.weight"] @ low[f"{part}.lora_A.weight"]
        assert torch.allclose(merged[name], weight + change, atol=1e-6), name
        assert bool(change.any()) is (("q_proj" in name) or ("up_proj" in name)), name


def test_an_adapter_whose_base_is_missing_is_refused(adapter: Path, tiny: Path) -> None:
    shutil.rmtree(tiny)
    for attempt in (loaded, check_folder, model_fingerprint):
        with pytest.raises(ModelError, match="is an adapter, and its base is missing: no such model folder"):
            attempt(adapter)


@pytest.mark.parametrize("name", [None, ""])
def test_an_adapter_without_the_name_of_its_base_is_refused(adapter: Path, name: str | None) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=name)
    with pytest.raises(ModelError, match="names no base model"):
        loaded(adapter)


def test_an_adapter_on_itself_or_on_another_is_refused(adapter: Path) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(adapter))
    for attempt in (loaded, model_fingerprint):
        with pytest.raises(ModelError, match="is an adapter on another adapter"):
            attempt(adapter)


def test_a_pickled_adapter_is_refused_and_not_run(adapter: Path, tmp_path: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "decoy.safetensors")
    plant(adapter, "adapter_model.bin", tmp_path / "mark")
    with pytest.raises(ModelError, match=r"only pickled weights \(adapter_model\.bin\)"):
        loaded(adapter)
    assert not (tmp_path / "mark").exists()


def test_a_truncated_adapter_is_refused(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelError, match="could not be loaded as an adapter of its base"):
        loaded(adapter)


def test_an_adapter_of_another_shape_is_refused(adapter: Path) -> None:
    edit(adapter / "adapter_config.json", r=3)
    with pytest.raises(ModelError, match="could not be loaded as an adapter of its base"):
        loaded(adapter)


def test_an_adapter_with_a_missing_matrix_is_refused_and_not_made_up(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    del weights[sorted(weights)[0]]
    save_file(weights, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="missing adapter keys"):
        loaded(adapter)


def test_an_adapter_that_is_not_finite_is_refused(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    weights[sorted(weights)[0]][0, 0] = float("nan")
    save_file(weights, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="holds NaN or infinite values"):
        loaded(adapter)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "peft_type='PROMPT_TUNING'"),
        ({"peft_type": None}, "peft_type=None"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "megatron_config"),
    ],
)
def test_an_adapter_of_a_kind_that_may_import_modules_is_refused(
    adapter: Path, values: dict[str, Any], said: str
) -> None:
    edit(adapter / "adapter_config.json", **values)
    with pytest.raises(ModelError, match=said):
        loaded(adapter)
    assert "antigravity" not in sys.modules


def test_an_adapter_on_a_base_with_code_needs_the_pin_of_that_code(adapter: Path, own: Path, tmp_path: Path) -> None:
    pin = pin_of(own)
    with pytest.raises(ModelError, match="wants to run its own Python code"):
        loaded(adapter)
    with pytest.raises(ModelError, match="pinned revision"):
        loaded(adapter, trust_remote_code=True)
    assert not (tmp_path / "mark").exists()
    assert type(loaded(adapter, trust_remote_code=True, revision=pin).model).__name__ == "OwnModel"


def test_an_adapters_fingerprint_is_its_weights_its_settings_and_its_base(
    adapter: Path, tiny: Path, tmp_path: Path
) -> None:
    config = adapter / "adapter_config.json"
    before = model_fingerprint(adapter)
    assert before != model_fingerprint(tiny)
    moved = Path(shutil.copytree(tiny, tmp_path / "moved"))
    edit(config, base_model_name_or_path=str(moved))
    assert model_fingerprint(adapter) == before  # the base's contents count, not its place
    edit(moved / "config.json", note="another base")
    assert model_fingerprint(adapter) != before
    edit(config, base_model_name_or_path=str(tiny))
    assert model_fingerprint(adapter) == before
    edit(config, lora_alpha=8)  # decides how much of the adapter is added
    assert model_fingerprint(adapter) != before
    edit(config, lora_alpha=4)
    weights = load_file(adapter / "adapter_model.safetensors")
    weights[sorted(weights)[0]][0, 0] += 1
    save_file(weights, adapter / "adapter_model.safetensors")
    assert model_fingerprint(adapter) != before
