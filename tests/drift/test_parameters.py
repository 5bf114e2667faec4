"""What changed: every figure against its definition, computed the long way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pairs
from recollect.drift import change
from recollect.weights import TensorPair, open_pair, rank
from recollect.weights import read as stream

SHARES = (1, 3, 5, 10, 20, 40, 60)


def flat(tensors: dict[str, Any], names: list[str]) -> Any:
    """Weights of some tensors under one another, float64."""
    return np.concatenate([np.asarray(tensors[name], np.float64).ravel() for name in names])


def decoder(tensors: dict[str, Any]) -> list[str]:
    """The region of the paper, straight from its words."""
    return [name for name in sorted(tensors) if ".layers." in name and "norm" not in name]


@pytest.mark.parametrize("block", [7, 1 << 16])
def test_every_figure_is_its_definition(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(stream, "BLOCK", block)
    monkeypatch.setattr(stream, "CHUNK", block * 4)
    base, tuned = pairs.weights()
    changed = change(TensorPair(*({n: torch.from_numpy(v) for n, v in side.items()} for side in (base, tuned))))
    names = decoder(base)
    p, s = flat(base, names), flat(tuned, names)
    relative, absolute = np.abs(s - p) / (np.abs(p) + 1e-8), np.abs(s - p)
    for score, shares, order in (
        (relative, changed.found.share_top, "relative"),
        (absolute, changed.found.share_top_absolute, "absolute"),
    ):
        running = np.sort(score)[::-1].cumsum()
        for percent in SHARES:
            exact = running[percent * len(p) // 100 - 1] / score.sum()
            error = changed.concentration.filter(order=order, percent=percent)["error"].item()
            assert -1e-6 <= exact - shares[str(percent)] <= error + 1e-6
            assert error < 1e-3
    assert changed.found.of == len(p)
    assert changed.found.unchanged == np.mean(p == s)
    assert 0.4 < changed.found.unchanged < 0.6
    assert math.isclose(changed.found.norm_base, np.linalg.norm(p), rel_tol=1e-6)
    assert math.isclose(changed.found.norm_change, np.linalg.norm(s - p), rel_tol=1e-6)
    assert changed.warnings == ()


def test_the_map_adds_up_and_places_each_tensor() -> None:
    base, tuned = pairs.weights()
    pair = TensorPair(*({n: torch.from_numpy(v) for n, v in side.items()} for side in (base, tuned)))
    table = change(pair).modules
    assert table.select("layer", "module").rows() == [
        (layer, module) for layer in (0, 1, 2, 10) for module in ("attn.o", "attn.q", "mlp.down")
    ]
    assert table["weights"].to_list() == [24 * 16] * 12
    assert math.isclose(table["share"].sum(), 1.0, rel_tol=1e-9)
    assert table["restored_20"].sum() == rank(pair).cut(20).restored == 12 * 24 * 16 // 5
    name = "model.layers.10.self_attn.o_proj.weight"
    row = table.filter(layer=10, module="attn.o").row(0, named=True)
    moved = np.abs(tuned[name].astype(np.float64) - base[name])
    total = sum((np.abs(tuned[n] - base[n]) / (np.abs(base[n]) + 1e-8)).sum(dtype=np.float64) for n in decoder(base))
    assert math.isclose(row["mean_absolute"], moved.mean(), rel_tol=1e-5)
    assert math.isclose(row["share"], (moved / (np.abs(base[name]) + 1e-8)).sum() / total, rel_tol=1e-5)
    assert row["unchanged"] == np.mean(base[name] == tuned[name])
    everywhere = change(pair, "all").modules
    assert everywhere.filter(everywhere["layer"].is_null())["module"].to_list() == ["embed", "head", "norm"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_one_ulp_is_the_next_number_of_the_format(dtype: torch.dtype) -> None:
    base = torch.tensor([1.0, 2.0, -1.0, 0.0, 0.0, -0.0, 0.02, 3.0, -3.0], dtype=torch.float64).to(dtype)
    up, down = torch.tensor(torch.inf, dtype=dtype), torch.tensor(-torch.inf, dtype=dtype)
    tuned = base.clone()
    tuned[0] = torch.nextafter(base[0], up)
    tuned[1] = torch.nextafter(base[1], down)  # across a power of two
    tuned[2] = torch.nextafter(base[2], down)
    tuned[3] = torch.nextafter(base[3], down)  # the smallest negative number
    tuned[4] = -0.0  # the same number
    tuned[5] = torch.nextafter(torch.tensor(0.0, dtype=dtype), up)
    tuned[6] = torch.nextafter(torch.nextafter(base[6], up), up)
    tuned[7] = -3.0
    changed = change(TensorPair({"a": base}, {"a": tuned}), "all")
    assert changed.found.one_ulp == 5 / 9
    assert changed.found.unchanged == 2 / 9


def test_zero_training_is_a_change_of_exactly_zero() -> None:
    base = {"a": torch.randn(50), "b": torch.zeros(0)}
    changed = change(TensorPair(base, base), "all")
    assert set(changed.found.share_top.values()) == set(changed.found.share_top_absolute.values()) == {0.0}
    assert (changed.found.unchanged, changed.found.one_ulp, changed.found.norm_change) == (1.0, 0.0, 0.0)
    assert changed.modules["share"].sum() == 0
    assert changed.warnings == ()


def test_a_bf16_checkpoint_of_small_steps_is_warned_of(tmp_path: Path) -> None:
    base, tuned = pairs.weights(change=3e-5)
    folders = [pairs.write(tmp_path / n, side, dtype="bfloat16") for n, side in (("b", base), ("t", tuned))]
    with open_pair(*folders) as pair:
        changed = change(pair)
    assert changed.found.unchanged > 0.5
    assert len(changed.warnings) == 1
    assert "moved by one unit in the last place of BF16" in changed.warnings[0]
    assert changed.found.one_ulp > (1 - changed.found.unchanged) / 2


def test_the_summary_is_plain_and_the_tables_repeat_byte_for_byte(tmp_path: Path) -> None:
    import json

    base, tuned = ({n: torch.from_numpy(v) for n, v in side.items()} for side in pairs.weights())
    first, second = (change(TensorPair(base, tuned)) for _ in range(2))
    assert json.loads(json.dumps(first.found.plain())) == first.found.plain()
    assert list(first.found.plain()["share_top"]) == ["1", "3", "5", "10", "20", "40", "60"]
    assert first.concentration.equals(second.concentration)
    assert first.modules.equals(second.modules)


def test_progress_ends_at_its_total() -> None:
    told: list[tuple[int, int]] = []
    base, tuned = ({n: torch.from_numpy(v) for n, v in side.items()} for side in pairs.weights())
    change(TensorPair(base, tuned), progress=lambda *at: told.append(at))
    assert told[-1] == (3 * 12 * 24 * 16, 3 * 12 * 24 * 16)
