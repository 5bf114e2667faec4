"""Dropout drawn at once for all modules, as on a GPU: each training's own, whoever passes beside it."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from recollect.errors import RecollectWarning
from recollect.models import stacked as stacked_module
from recollect.models.stacked import Rows
from recollect.train import TrainResult, TrainSettings, run_train
from recollect.train.stack import TrainJob, run_trains
from recollect.train.stack import batch as batch_module
from recollect.train.stack.dropout import AtOnce
from recollect.train.stack.piece import Piece


def piece(owner: int, tokens: int, rate: float = 0.25) -> Piece:
    generator = torch.Generator().manual_seed(owner)
    return Piece(owner, [([1] * tokens, [True] * tokens)] * 2, 1.0, rate, generator)


def masks(*pieces: Piece) -> list[torch.Tensor]:
    """Of two modules with 8 and 32 inputs, [rows, tokens, inputs of both]."""
    rows = Rows([(0, number) for number in range(3)])
    rows.belong_to([one.owner for one in pieces for _ in one.examples])
    places = {"first": SimpleNamespace(inside=8), "second": SimpleNamespace(inside=32)}
    draw = AtOnce(list(pieces), SimpleNamespace(rows=rows, groups=[SimpleNamespace(places=places)]), "cpu")  # type: ignore[arg-type]
    found = []
    for run in rows.runs:
        longest = max(one.longest for one in pieces)
        inputs = [torch.zeros(run.stop - run.start, longest, width) for width in (8, 32)]
        drawn = [draw(run, x) for x in inputs]
        assert all(one is not None for one in drawn)
        both = torch.cat([one[0] for one in drawn if one is not None], dim=-1)
        found += list(both.split(2))
    return found


def test_a_piece_draws_the_same_beside_longer_ones() -> None:
    [alone] = masks(piece(1, 50))
    among = masks(piece(0, 90), piece(1, 50), piece(2, 3))[1]
    assert torch.equal(alone, among[:, :50])


def test_pieces_draw_their_own_and_at_their_rate() -> None:
    first, second, none = masks(piece(0, 400), piece(1, 400), piece(2, 400, 0.0))
    assert not torch.equal(first, second)
    assert none.all()
    n = first.numel()
    for drawn in (first, second):
        assert abs(drawn.float().mean() - 0.75) < 5 * math.sqrt(0.75 * 0.25 / n)
    assert abs((first == second).float().mean() - (0.75**2 + 0.25**2)) < 5 * math.sqrt(0.25 / n)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "dropout_of", AtOnce)
    monkeypatch.setattr(stacked_module, "one_group_pays", lambda factors, device: True)


def test_trainings_as_on_a_gpu(base_folder: Path, selection: Path, tmp_path: Path, as_on_a_gpu: None) -> None:
    """Ranks padded to the highest and dropout at once: alone and among others the same, and without dropout as PEFT."""
    chosen = [
        TrainSettings.make(model=str(base_folder), method="lora", learning_rate=5e-3, max_steps=4, lora_r=rank,
                           lora_dropout=rate, seed=rank, device="cpu")
        for rank, rate in ((4, 0.3), (16, 0.0), (5, 0.1))
    ]  # fmt: skip
    jobs = [TrainJob(one, selection, out=tmp_path / f"among-{one.lora_r}") for one in chosen]
    among = run_trains(jobs)
    [alone] = run_trains([TrainJob(chosen[0], selection, out=tmp_path / "alone")])
    single = run_train(chosen[1], selection, out=tmp_path / "single")
    for first, second in ((among[0], alone), (among[1], single)):
        assert isinstance(first, TrainResult)
        assert isinstance(second, TrainResult)
        stored = [load_file(one.model_folder / "adapter_model.safetensors") for one in (first, second)]
        for name, value in stored[0].items():
            torch.testing.assert_close(value, stored[1][name], rtol=0, atol=1e-4)


@pytest.mark.gpu
def test_trainings_on_a_gpu(base_folder: Path, selection: Path, tmp_path: Path) -> None:
    """Alone, among others, and by PEFT and TRL; without dropout, which is drawn otherwise there."""
    chosen = [
        TrainSettings.make(model=str(base_folder), method="lora", learning_rate=1e-3, max_steps=8, lora_r=rank,
                           lora_dropout=0.0, seed=rank, device="cuda", dtype="float32")
        for rank in (4, 16, 5)
    ]  # fmt: skip
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*passes alone", RecollectWarning)  # one that passes alone would equal itself
        among = run_trains([TrainJob(one, selection, out=tmp_path / f"among-{one.lora_r}") for one in chosen])
    for one, result in zip(chosen, among, strict=True):
        single = run_train(one, selection, out=tmp_path / f"single-{one.lora_r}")
        assert isinstance(result, TrainResult)
        assert result.found.last_loss == pytest.approx(single.found.last_loss, rel=1e-4)
        first, second = (
            load_file(path / "adapter_model.safetensors") for path in (result.model_folder, single.model_folder)
        )
        apart = torch.cat([(value - second[name]).abs().flatten() for name, value in first.items()])
        # AdamW takes a whole step where a gradient is nothing but rounding: eight of 1e-3, for a few numbers at most
        assert float((apart > 1e-4).float().mean()) < 1e-2
        assert float(apart.max()) <= 2 * 8 * 1e-3
        assert max(float(value.abs().max()) for name, value in first.items() if "lora_B" in name) > 2e-3
