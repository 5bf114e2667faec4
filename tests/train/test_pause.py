"""A training that pauses on the way and resumes equals one that was never interrupted."""

import pytest
import torch

from helpers_stack import history
from recollect.errors import InputError
from recollect.models import ModelSettings, load
from recollect.train import PausedTraining, TrainResult, TrainSettings, run_train, run_train_until
from recollect.train.records import RESULTS, STATE


def settings(base_folder, **values):
    return TrainSettings(model=str(base_folder), learning_rate=5e-3, epochs=2, **values)


def files(path):
    return {file.name: file.read_bytes() for file in path.rglob("*") if file.suffix in (".safetensors", ".parquet")}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_resumed_training_equals_an_uninterrupted_one(base_folder, selection, tmp_path, method):
    chosen = settings(base_folder, method=method, warmup_ratio=0.1)
    whole = run_train(chosen, selection, out=tmp_path / "whole")
    seen = []
    paused = run_train_until(chosen, selection, 0.2, out=tmp_path / "cut", progress=lambda *now: seen.append(now))
    assert isinstance(paused, PausedTraining)
    assert seen == [(1, 10), (2, 10)]  # the schedule is that of all ten updates
    assert (paused.step, paused.steps) == (2, 10) and len(paused.log) == 2
    further = run_train_until(chosen, selection, 0.5, out=tmp_path / "cut")
    assert isinstance(further, PausedTraining) and further.step == 5
    cut = run_train(chosen, selection, out=tmp_path / "cut", progress=lambda *now: seen.append(now))
    assert [step for step, _ in seen] == [1, 2, 6, 7, 8, 9, 10]
    assert files(cut.path) == files(whole.path)
    assert history(cut.path) == history(whole.path)
    assert {path.name for path in cut.path.iterdir()} == {"log.parquet", "manifest.json", "model", STATE, *RESULTS}


def test_a_paused_model_can_be_asked_and_lies_between_base_and_end(base_folder, selection, tmp_path):
    chosen = settings(base_folder)
    paused = run_train_until(chosen, selection, 0.3, out=tmp_path / "cut")
    assert isinstance(paused, PausedTraining)
    models = {
        name: load(ModelSettings.make(model=str(folder))).model.get_input_embeddings().weight
        for name, folder in (("base", base_folder), ("paused", paused.model_folder))
    }
    assert not torch.equal(models["base"], models["paused"])


def test_pausing_again_at_the_same_place_trains_nothing(base_folder, selection, tmp_path):
    first = run_train_until(settings(base_folder), selection, 0.4, out=tmp_path / "cut")
    again = run_train_until(
        settings(base_folder), selection, 0.4, out=tmp_path / "cut", progress=lambda *_: pytest.fail("trained again")
    )
    assert again == first


def test_a_finished_training_is_not_paused(base_folder, selection, tmp_path):
    whole = run_train(settings(base_folder), selection, out=tmp_path / "whole")
    assert run_train_until(settings(base_folder), selection, 0.2, out=tmp_path / "whole") == whole
    one = run_train_until(settings(base_folder), selection, 1.0, out=tmp_path / "one")
    assert isinstance(one, TrainResult) and files(one.path) == files(whole.path)


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan")])
def test_a_share_must_be_a_share(base_folder, selection, tmp_path, share):
    with pytest.raises(InputError, match="share must be above 0"):
        run_train_until(settings(base_folder), selection, share, out=tmp_path / "cut")
    assert not list(tmp_path.iterdir())
