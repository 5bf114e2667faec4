"""Checkpoints that also see: loaded whole, trained in their language part alone, stored with nothing lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers_families import SEEING, Family
from helpers_models import loaded
from recollect.models import ModelRef
from recollect.models.parts import other_parts
from recollect.train import TrainSettings
from recollect.train.lora import with_adapters
from recollect.train.model import load_base
from recollect.weights.pair import in_region, layer_of, module_of, sees

FolderOf = Callable[[Family], Path]
every_seeing = pytest.mark.parametrize("family", SEEING, ids=lambda family: family.name)


@every_seeing
def test_nothing_is_lost_by_loading_and_saving(family: Family, folder_of: FolderOf, tmp_path: Path) -> None:
    folder = folder_of(family)
    held = loaded(folder)
    held.model.save_pretrained(tmp_path / "again")
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "again" / "model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert any(sees(name) for name in before)


@every_seeing
def test_only_the_language_model_is_trained(family: Family, folder_of: FolderOf) -> None:
    settings = TrainSettings.make(model=str(folder_of(family)), device="cpu")
    model, _, _ = load_base(settings, ModelRef.at(folder_of(family), None, False), None)
    others = other_parts(model)
    assert others and all(sees(name) for name in others)
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == others
    model(input_ids=torch.tensor([[1, 5, 9]]), labels=torch.tensor([[1, 5, 9]])).loss.backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is None} == others


@every_seeing
@pytest.mark.parametrize("targets", ["all-linear", "q_proj,v_proj"])
def test_adapters_are_put_on_the_language_model_alone(family: Family, folder_of: FolderOf, targets: str) -> None:
    settings = TrainSettings.make(model=str(folder_of(family)), device="cpu", method="lora", lora_targets=targets)
    model, _, _ = load_base(settings, ModelRef.at(folder_of(family), None, False), None)
    parameters = with_adapters(model, settings, []).model.named_parameters()
    adapted = {name for name, value in parameters if value.requires_grad}
    assert adapted and all("lora_" in name and layer_of(name) is not None for name in adapted)
    assert not any(sees(name) for name in adapted)


@every_seeing
def test_layers_and_regions_are_those_of_the_language_model(family: Family, folder_of: FolderOf) -> None:
    names = list(load_file(folder_of(family) / "model.safetensors"))
    assert {layer_of(name) for name in names} == {None, 0, 1}
    assert {module_of(name) for name in names if sees(name)} == {"vision"}
    for region in ("decoder", "attention", "mlp", "embedding"):
        assert not any(sees(name) for name in in_region(names, region))
    assert set(in_region(names, "all")) == set(names)
