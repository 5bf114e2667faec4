"""Trainings of adapters that are compared: how they are set, and whether two step directories are equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recollect.train import TrainSettings
from recollect.train.records import STATE

ROUNDING = 1e-5
"""How far two losses of an update may be apart, relatively."""
FACTORS = 1e-4
"""How far two final factors may be apart; they are learned with rates of 5e-3, so this is a fiftieth of one step."""


def settings(base: Path, **values: Any) -> TrainSettings:
    return TrainSettings.make(**{"model": str(base), "method": "lora", "learning_rate": 5e-3, **values})


def history(path: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((path / STATE).read_text())["log_history"]
    return found


def assert_equal(one: Path, other: Path) -> None:
    """Two step directories hold the same files and, up to rounding, the same numbers."""
    assert {file.relative_to(one) for file in one.rglob("*")} == {file.relative_to(other) for file in other.rglob("*")}
    for own, twin in zip(history(one), history(other), strict=True):
        assert own == pytest.approx(twin, rel=20 * ROUNDING, abs=1e-6)
        if "loss" in own:
            assert own["loss"] == pytest.approx(twin["loss"], rel=ROUNDING)
    manifests = [json.loads((path / "manifest.json").read_text()) for path in (one, other)]
    assert manifests[0]["fingerprint"] == manifests[1]["fingerprint"]
    for name in ("adapter_config.json", "README.md"):
        assert (one / "model" / name).read_text() == (other / "model" / name).read_text()
    first, second = (load_file(path / "model/adapter_model.safetensors") for path in (one, other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        rounded = 1e-2 if value.dtype == torch.bfloat16 else 0.0
        torch.testing.assert_close(value, second[name], rtol=rounded, atol=FACTORS)
