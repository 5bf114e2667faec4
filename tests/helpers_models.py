"""What the tests of models share: a machine, and ways to edit, load and ask a tiny model."""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from recollect.core.machine import Machine
from recollect.errors import ModelError
from recollect.models import ModelSettings, load

CPU = Machine(1, "test", "cpu", "test", "float32", "test")


def edit(path: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **values}))


def loaded(folder: Path, **given: Any) -> Any:
    """Load a folder on the CPU."""
    return load(ModelSettings(model=str(folder), device="cpu", **given))


def nudged(folder: Path, base: str, *, by: float, seed: int = 0) -> str:
    """Write `base` with every weight, norms included, moved at random by `by` of its tensor's mean size."""
    made = load(ModelSettings(model=base))
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter += by * parameter.abs().mean() * torch.randn_like(parameter)
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return str(folder)


def logits(model: Any) -> torch.Tensor:
    """What the model says after some tokens."""
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([[0, 3, 4, 5]])).logits
    return found


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def plant(folder: Path, name: str, mark: Path) -> None:
    """Put a malicious pickle into the folder, and prove that it works."""
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    pickle.loads((folder / name).read_bytes())
    mark.rmdir()


CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM

Path({mark!r}).touch()

class OwnConfig(LlamaConfig):
    model_type = "own-llama"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""
AUTO_MAP = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}


def pin_of(folder: Path) -> str:
    """The pin that the refusal prints."""
    with pytest.raises(ModelError, match="wants to run its own Python code") as error:
        loaded(folder)
    found = re.search(r"--trust-remote-code --revision ([0-9a-f]+)\.", str(error.value))
    assert found
    return found[1]
