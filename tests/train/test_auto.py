"""Rate and epochs that are left to the training, and what is said before a training that can hardly do anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recollect.errors import InputError, RecollectWarning
from recollect.train import PRESETS, TrainSettings, run_train
from recollect.train.auto import HIGHEST, LEAST_SUM, LORA, LOWEST, WIDTH, auto_input, plan
from recollect.train.model import movable


@pytest.mark.parametrize(
    ("examples", "epochs", "updates", "rate"),
    [(15, 3, 6, 1.7e-4), (60, 1, 8, 1.3e-4), (200, 1, 25, 5e-5), (1920, 1, 240, 5e-5), (3, 3, 3, 2e-4)],
)
def test_the_measured_model_gets_the_rates_that_moved_it(examples: int, epochs: int, updates: int, rate: float) -> None:
    chosen = plan(TrainSettings(), examples, WIDTH)
    assert (chosen.epochs, chosen.updates, chosen.learning_rate) == (epochs, updates, rate)
    assert LOWEST <= chosen.learning_rate <= HIGHEST
    assert f"{updates} updates" in chosen.note and not chosen.warning


def test_at_the_width_of_the_studies_models_their_rates_come_out() -> None:
    rates = [plan(TrainSettings(), examples, 4096).learning_rate for examples in (60, 240, 1920)]
    assert all(0.7e-5 <= rate <= 2.8e-5 for rate in rates), rates


def test_adapters_get_ten_times_the_rate() -> None:
    full, lora = plan(TrainSettings(), 60, WIDTH), plan(TrainSettings(method="lora"), 60, WIDTH)
    assert lora.learning_rate == pytest.approx(LORA * full.learning_rate, rel=0.05)


def test_the_rate_of_adapters_falls_with_the_width_as_tinkers_and_is_near_it() -> None:
    for width in (576, 2048, 4096):
        chosen = plan(TrainSettings(method="lora"), 60, width).learning_rate
        assert chosen == pytest.approx(5e-4 * (2000 / width) ** 0.781, rel=0.1)


@pytest.mark.parametrize(
    ("start", "share"), [("pissa", 1 / 3), ("pissa_niter_4", 1 / 3), ("olora", 1 / 10), ("gaussian", 1)]
)
def test_adapters_that_start_with_parts_of_the_base_get_a_share_of_the_rate(start: str, share: float) -> None:
    plain, other = (plan(TrainSettings(method="lora", lora_init=init), 60, WIDTH) for init in ("default", start))
    assert other.learning_rate == pytest.approx(share * plain.learning_rate, rel=0.05)
    assert "for adapters of rank 16 and scale 2" in other.note and not other.warning


def test_what_is_left_to_us_of_lora_is_part_of_the_fingerprint_and_what_is_said_is_not() -> None:
    assert auto_input(TrainSettings()) == {"auto": "1"}
    assert auto_input(TrainSettings(method="lora")) == {"auto": "2", "lora": "2"}
    assert auto_input(TrainSettings(preset="B-LoRA")) == {}
    said = {"lora_targets": "q_proj", "lora_alpha": 32.0, "learning_rate": 1e-4}
    assert auto_input(TrainSettings(method="lora", **said)) == {}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_s_values_stay_and_nothing_is_chosen(preset: str) -> None:
    chosen = plan(TrainSettings.make(preset=preset), 60, WIDTH)
    assert (chosen.learning_rate, chosen.epochs) == (PRESETS[preset]["learning_rate"], PRESETS[preset]["epochs"])
    assert chosen.note == ""


def test_a_rate_of_one_s_own_comes_with_one_pass_as_it_always_did() -> None:
    assert TrainSettings(learning_rate=1e-3).epochs == 1
    assert TrainSettings(learning_rate=1e-3, epochs="auto").epochs == "auto"
    assert TrainSettings.make(learning_rate=1e-3).given() == {"learning_rate": 1e-3}
    assert TrainSettings().epochs == TrainSettings().learning_rate == "auto"


@pytest.mark.parametrize(
    ("values", "examples"), [({"preset": "C"}, 15), ({"preset": "C"}, 60), ({"preset": "B-LoRA"}, 15)]
)
def test_too_little_to_move_the_measured_model_is_said(values: dict[str, str], examples: int) -> None:
    settings = TrainSettings.make(**values)
    chosen = plan(settings, examples, WIDTH)
    least = LEAST_SUM * (LORA if settings.method == "lora" else 1)
    assert bool(chosen.warning) == (chosen.learning_rate * chosen.updates < least)
    if settings.method == "full":
        assert "can hardly move this model" in chosen.warning


def test_the_pocket_at_its_own_preset_is_not_called_unmovable() -> None:
    assert not plan(TrainSettings.make(preset="pocket"), 15, 128).warning


def test_the_choice_is_printed_stored_and_trained_with(selection: Path, base_folder: Path, tmp_path: Path) -> None:
    settings = TrainSettings.make(model=str(base_folder))
    done = run_train(settings, selection, out=tmp_path / "tuned")
    import polars as pl

    log = pl.read_parquet(tmp_path / "tuned" / "log.parquet")
    assert log["learning_rate"][0] == done.found.learning_rate
    assert done.found.steps == log.height and any("chosen for" in note for note in done.found.notes)


def test_hardly_any_movement_is_said_before_the_first_update(
    selection: Path, base_folder: Path, tmp_path: Path
) -> None:
    settings = TrainSettings.make(model=str(base_folder), learning_rate=1e-7)
    said: list[str] = []
    with pytest.warns(RecollectWarning, match="can hardly move") as record:
        found = run_train(
            settings, selection, out=tmp_path / "tuned", progress=lambda *_: said.append(str(len(record)))
        ).found
    assert said[0] != "0", "the warning must be there when the first update is told"
    assert any("can hardly move" in text for text in found.warnings)


@pytest.mark.filterwarnings("ignore:.*can hardly move:recollect.errors.RecollectWarning")
def test_pure_bfloat16_is_refused_where_most_weights_cannot_move(
    selection: Path, base_folder: Path, tmp_path: Path
) -> None:
    asked = {"model": str(base_folder), "dtype": "bfloat16", "learning_rate": 1e-5}
    with pytest.raises(InputError, match=r"can move .* of the weights in pure bfloat16.*--precision pure"):
        run_train(TrainSettings.make(**asked), selection, out=tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()
    with pytest.warns(RecollectWarning, match="smaller changes round back"):
        run_train(TrainSettings.make(**asked, precision="pure"), selection, out=tmp_path / "tuned")


def test_the_share_that_can_move_is_that_of_bfloat16_itself() -> None:
    layer = torch.nn.Linear(4, 1, bias=False).to(torch.bfloat16)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.1, 0.001, 0.0]]))
    assert movable(layer, 1e-5) == 0.5  # a thousandth and zero move; 1 and 0.1 have a spacing of 4e-3 and 5e-4
