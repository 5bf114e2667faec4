"""Modules that a pass cannot take: whose inputs are nobody's rows, or that the model does not call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers_stack import ROUNDING, assert_equal, history, settings
from recollect.errors import InputError, RecollectWarning
from recollect.train import TrainResult, run_train
from recollect.train.stack import TrainJob, run_trains


@pytest.mark.filterwarnings("ignore::recollect.errors.RecollectWarning")
def test_rows_that_are_lost_on_the_way_leave_those_alone_that_were_so_before(
    base_folder: Path, eight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.models.stacked import NotByRows
    from recollect.train.stack import passing

    def lost(*_: Any) -> None:
        raise NotByRows("experts are called with (7, 32), but the batch has 3 rows.")

    monkeypatch.setattr(passing, "pass_through", lost)
    chosen = [settings(base_folder, max_steps=1, lora_targets=targets) for targets in ("lm_head", "q_proj", "v_proj")]
    found = run_trains([TrainJob(one, eight, out=tmp_path / one.lora_targets) for one in chosen])
    assert all(isinstance(one, TrainResult) for one in found)


@pytest.fixture
def odd_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose inputs are nobody's rows from the second update on, and one that the model does not call."""
    from transformers.models.llama import modeling_llama

    calls = 0

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += x.requires_grad or torch.is_grad_enabled()
        inner = self.act_fn(x @ self.gate_proj.weight.T) * self.up_proj(x)
        if type(self.down_proj).__name__ != "StackedLinear" or calls < 3:
            return self.down_proj(inner)
        return self.down_proj(inner.transpose(0, 1)).transpose(0, 1)

    monkeypatch.setattr(modeling_llama.LlamaMLP, "forward", forward)


def test_one_on_a_module_of_another_kind_leaves_the_rest_in_the_pass(
    base_folder: Path, eight: Path, tmp_path: Path, odd_modules: None
) -> None:
    """Its rows are lost at the second update: it goes on alone from there, and the others in the pass."""
    chosen = [settings(base_folder, max_steps=3, lora_targets=one) for one in ("down_proj", "q_proj", "up_proj")]
    with pytest.warns(RecollectWarning, match="training 1 of 3 passes alone: .*down_proj is called with") as told:
        among = run_trains([TrainJob(one, eight, out=tmp_path / one.lora_targets) for one in chosen])
    assert len(told) == 1
    for one, found in zip(chosen, among, strict=True):
        assert isinstance(found, TrainResult)
        alone = run_train(one, eight, out=tmp_path / f"alone-{one.lora_targets}").path
        assert_equal(alone, found.path)
        assert [entry["loss"] for entry in history(found.path) if "loss" in entry] == pytest.approx(
            [entry["loss"] for entry in history(alone) if "loss" in entry], rel=ROUNDING
        )


def test_one_on_a_module_that_is_never_called_is_refused_by_name(
    base_folder: Path, eight: Path, tmp_path: Path, odd_modules: None
) -> None:
    dead, live = (settings(base_folder, max_steps=1, lora_targets=one) for one in ("gate_proj", "q_proj"))
    jobs = [TrainJob(one, eight, out=tmp_path / one.lora_targets) for one in (dead, live)]
    refused, found = run_trains(jobs)
    assert isinstance(refused, InputError) and "reads the weight of model.layers.0.mlp.gate_proj by" in str(refused)
    assert isinstance(found, TrainResult)
    [refused] = run_trains(jobs[:1])
    assert isinstance(refused, InputError)
    with pytest.raises(InputError, match=r"reads the weight of .*\.gate_proj"):
        run_train(dead, eight, out=tmp_path / "alone")
