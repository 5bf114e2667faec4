"""By which name an adapter finds its base again, here and elsewhere; and that it is that base."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from recollect.errors import ModelError, ModelWarning
from recollect.models import ModelSettings, load, model_fingerprint
from recollect.models.find import NOTED, adapter_base, weights_fingerprint
from recollect.shipped import SHIPPED
from recollect.train import TrainSettings, run_train
from recollect.train.lora_files import name_base
from recollect.weights import open_pair


def config_of(adapter: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((adapter / "adapter_config.json").read_text())
    return found


@pytest.fixture
def tree(base_folder: Path, selection: Path, tmp_path: Path) -> Path:
    """A folder with a base and an adapter of it."""
    base = shutil.copytree(base_folder, tmp_path / "tree" / "base")
    settings = TrainSettings(model=str(base), method="lora", learning_rate=5e-3, max_steps=1)
    run_train(settings, selection, out=tmp_path / "tree" / "tuned")
    return tmp_path / "tree"


def test_a_base_of_the_hub_is_named_by_its_id_and_commit(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "models--an-org--a-name" / "snapshots" / "abc123"
    for given in ("an-org/a-name", str(folder)):
        found = name_base(given, folder, tmp_path / "out" / "model")
        assert (found.name, found.revision, found.note) == ("an-org/a-name", "abc123", "")


def test_a_base_in_the_same_tree_is_named_by_a_relative_path_and_the_tree_can_be_moved(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = tree / "tuned" / "model"
    assert config_of(adapter)["base_model_name_or_path"] == "../../base"
    before = model_fingerprint(adapter)
    moved = Path(shutil.move(tree, tmp_path / "moved"))
    monkeypatch.chdir("/")
    assert adapter_base(moved / "tuned" / "model") == (moved / "base").resolve()
    assert model_fingerprint(moved / "tuned" / "model") == before
    load(ModelSettings(model=str(moved / "tuned"), device="cpu"))


def test_a_base_below_the_working_directory_is_in_the_same_tree_as_what_is_made_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert name_base("models/base", Path("models/base"), Path("a/b/model")).name == "../../../models/base"


def test_a_path_of_this_machine_is_the_last_resort_and_said(tmp_path: Path) -> None:
    found = name_base(str(tmp_path / "far" / "base"), tmp_path / "far" / "base", tmp_path / "out" / "run" / "model")
    assert found.name == str(tmp_path / "far" / "base")
    assert "names its base by this machine's path" in found.note


def test_a_base_that_comes_with_recollect_is_found_on_any_machine(selection: Path, tmp_path: Path) -> None:
    settings = TrainSettings(model="pocket", method="lora", learning_rate=5e-3, max_steps=1)
    adapter = run_train(settings, selection, out=tmp_path / "tuned").model_folder
    named = config_of(adapter)["base_model_name_or_path"]
    assert named == str(SHIPPED["pocket"].model.resolve())  # for plain PEFT here
    assert json.loads((adapter / NOTED).read_text())["base"] == "pocket"
    config = config_of(adapter) | {"base_model_name_or_path": "/another/machine/pocket"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert adapter_base(adapter) == SHIPPED["pocket"].model
    other = json.loads((adapter / NOTED).read_text()) | {"base": "../../somewhere"}  # only our own names count
    (adapter / NOTED).write_text(json.dumps(other))
    with pytest.raises(ModelError, match="its base is missing"):
        adapter_base(adapter)


def test_a_revision_is_that_of_the_base(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = tree / "tuned" / "model"
    asked: list[tuple[str, str | None]] = []
    real = tree / "base"
    monkeypatch.setattr(
        "recollect.models.find._from_hub", lambda name, revision: (asked.append((name, revision)), real)[1]
    )
    config = config_of(adapter) | {"base_model_name_or_path": "an-org/a-name", "revision": "abc"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert adapter_base(adapter) == real
    assert asked == [("an-org/a-name", "abc")]


def test_other_weights_of_the_base_are_refused_and_other_files_are_warned_of(tree: Path) -> None:
    adapter = ModelSettings(model=str(tree / "tuned"), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        load(adapter)
    config = json.loads((tree / "base" / "generation_config.json").read_text())
    (tree / "base" / "generation_config.json").write_text(json.dumps(config | {"max_new_tokens": 3}))
    with pytest.warns(ModelWarning, match="was trained on the weights that .* holds, but its configuration"):
        load(adapter)
    file = tree / "base" / "model.safetensors"
    weights = {name: value.clone() for name, value in load_file(file).items()}
    weights["model.norm.weight"] += 1
    save_file(weights, file, metadata={"format": "pt"})
    for attempt in (lambda: load(adapter), lambda: open_pair(tree / "base", tree / "tuned")):
        with pytest.raises(ModelError, match="was trained on other weights .* on these it is another model"):
            attempt()
    (tree / "tuned" / "model" / NOTED).unlink()
    (tree / "tuned" / "manifest.json").unlink()
    load(ModelSettings(model=str(tree / "tuned" / "model"), device="cpu"))


def test_the_hash_of_the_weights_is_that_of_the_tensors_however_they_lie(base_folder: Path, tmp_path: Path) -> None:
    weights = {name: value.clone() for name, value in load_file(base_folder / "model.safetensors").items()}
    names = sorted(weights)
    split = tmp_path / "split"
    split.mkdir()
    save_file({name: weights[name] for name in names[::2]}, split / "model-1.safetensors")
    save_file({name: weights[name] for name in names[1::2]}, split / "model-2.safetensors", metadata={"format": "pt"})
    assert weights_fingerprint(split) == weights_fingerprint(base_folder)
    weights[names[0]][0] += 1
    save_file({name: weights[name] for name in names[::2]}, split / "model-1.safetensors")
    assert weights_fingerprint(split) != weights_fingerprint(base_folder)
    weights = {name: value.to(torch.bfloat16) for name, value in load_file(base_folder / "model.safetensors").items()}
    save_file(weights, split / "model-1.safetensors")
    (split / "model-2.safetensors").unlink()
    assert weights_fingerprint(split) != weights_fingerprint(base_folder)
