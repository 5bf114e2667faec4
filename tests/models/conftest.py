"""A tiny model, and copies of it to break."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

from enumerable import save_model
from helpers_models import AUTO_MAP, CODE, CPU, edit
from recollect.models import ModelRef, load_weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny model for all tests; nobody changes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder)
    return folder


@pytest.fixture
def tiny(made: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))


@pytest.fixture
def adapter(tiny: Path, tmp_path: Path) -> Path:
    """A LoRA adapter of `tiny` whose B matrices are not zero."""
    from peft import LoraConfig, get_peft_model

    model, _ = load_weights(ModelRef.at(tiny), CPU)
    torch.manual_seed(1)
    wrapped = get_peft_model(
        model, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    )
    wrapped.save_pretrained(tmp_path / "adapter")
    edit(tmp_path / "adapter/adapter_config.json", base_model_name_or_path=str(tiny))
    return tmp_path / "adapter"


@pytest.fixture
def own(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with classes of its own, whose code leaves a mark when it runs."""
    from transformers import dynamic_module_utils
    from transformers.utils import hub

    for module in (dynamic_module_utils, hub):
        monkeypatch.setattr(module, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tiny / "own.py").write_text(CODE.format(mark=str(tmp_path / "mark")))
    edit(tiny / "config.json", model_type="own-llama", architectures=["OwnModel"], auto_map=AUTO_MAP)
    return tiny
